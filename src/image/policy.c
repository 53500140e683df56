/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which images may be run: /etc/hull/policy.json, in the form of containers-policy.json(5). Of its
 * transports only "docker" is looked at, whose scopes are names, from the whole one up to the
 * registry. The file is judged whole each time, and one that says something unknown lets nothing
 * pass.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "image/image.h"
#include "image/policy.h"

#define POLICY_FILE "/etc/hull/policy.json"

enum { POLICY_BYTES_MAX = 1 << 20 };

static void requirement_done(struct requirement *q)
{
	strv_done(&q->keys);
	free(q->repository);
}

void policy_done(struct policy *policy)
{
	for (size_t i = 0; i < policy->n; i++)
		requirement_done(&policy->v[i]);
	free(policy->v);
	*policy = (struct policy){0};
}

static int add_key_data(struct strv *keys, const char *data, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	buf_printf(&text, "data:%s", data);
	int r = buf_check(&text, err);
	return r < 0 ? r : strv_add(keys, text.data, err);
}

/* {"type":"matchRepository"} and {"type":"exactRepository","dockerRepository":…}. */
static int parse_identity(struct json_object *obj, struct requirement *q, struct err *err)
{
	struct json_object *identity = NULL;
	const char *type = NULL, *repository = NULL;

	int r = json_get_obj(obj, "signedIdentity", &identity, err);
	if (r <= 0)
		return r;
	r = json_need(json_get_str(identity, "type", &type, err), "type", err);
	if (r < 0 || strcmp(type, "matchRepository") == 0)
		return r;
	if (strcmp(type, "exactRepository") != 0)
		return err_set(err, EINVAL,
			       "signedIdentity '%.40s' is not matchRepository or exactRepository",
			       type);
	r = json_need(json_get_str(identity, "dockerRepository", &repository, err),
		      "dockerRepository", err);
	if (r < 0)
		return r;
	q->repository = strdup(repository);
	return q->repository ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int parse_signed(struct json_object *obj, struct requirement *q, struct err *err)
{
	const char *path = NULL, *data = NULL;

	int r = json_get_str(obj, "keyPath", &path, err);
	if (r > 0)
		r = strv_add(&q->keys, path, err);
	if (r >= 0)
		r = json_get_str(obj, "keyData", &data, err);
	if (r > 0)
		r = add_key_data(&q->keys, data, err);
	if (r >= 0)
		r = json_get_strv(obj, "keyPaths", &q->keys, err);
	if (r >= 0 && q->keys.n == 0)
		r = err_set(err, EINVAL, "sigstoreSigned without keyPath, keyPaths or keyData");
	if (r >= 0)
		r = parse_identity(obj, q, err);
	return r < 0 ? r : 0;
}

static int check_member(void *ctx, const char *key, struct json_object *value, struct err *err)
{
	static const char *const known[] = {"type",    "keyPath",        "keyPaths",
					    "keyData", "signedIdentity", NULL};

	(void)ctx;
	(void)value;
	return str_in(key, known) ? 0 : err_set(err, EINVAL, "'%.60s' is not known here", key);
}

static int parse_requirement(struct json_object *obj, struct requirement *q, struct err *err)
{
	const char *type = NULL;

	if (!json_is_obj(obj))
		return err_set(err, EINVAL, "not an object");
	int r = json_each(obj, check_member, NULL, err);
	if (r >= 0)
		r = json_need(json_get_str(obj, "type", &type, err), "type", err);
	if (r < 0)
		return r;
	if (strcmp(type, "insecureAcceptAnything") == 0)
		q->kind = POLICY_ACCEPT;
	else if (strcmp(type, "reject") == 0)
		q->kind = POLICY_REJECT;
	else if (strcmp(type, "sigstoreSigned") == 0)
		q->kind = POLICY_SIGNED;
	else
		return err_set(err, EINVAL,
			       "type '%.40s' is not insecureAcceptAnything, reject or "
			       "sigstoreSigned",
			       type);
	return q->kind == POLICY_SIGNED ? parse_signed(obj, q, err) : 0;
}

/* --- the file as a whole --- */

static int check_list(void *ctx, const char *scope, struct json_object *list, struct err *err)
{
	(void)ctx;
	int r = json_is_array(list) && json_len(list) > 0
			? 0
			: err_set(err, EINVAL, "not a list of requirements");
	for (size_t i = 0; r == 0 && i < json_len(list); i++) {
		AUTO(requirement_done) struct requirement q = {0};
		r = parse_requirement(json_at(list, i), &q, err);
	}
	return r < 0 ? err_wrap(err, "'%.100s'", scope) : 0;
}

static int check_transport(void *ctx, const char *name, struct json_object *scopes, struct err *err)
{
	if (strcmp(name, "docker") != 0) /* says nothing about names */
		return 0;
	if (!json_is_obj(scopes))
		return err_set(err, EINVAL, "transport 'docker': not an object");
	return json_each(scopes, check_list, ctx, err);
}

static int check_policy(struct json_object *doc, struct err *err)
{
	struct json_object *fallback = NULL, *transports = NULL;

	if (!json_is_obj(doc))
		return err_set(err, EINVAL, "not an object");
	int r = json_need(json_get_array(doc, "default", &fallback, err), "default", err);
	if (r >= 0)
		r = check_list(NULL, "default", fallback, err);
	if (r >= 0)
		r = json_get_obj(doc, "transports", &transports, err);
	return r > 0 ? json_each(transports, check_transport, NULL, err) : r;
}

/* --- which requirements are meant --- */

static struct json_object *scope_of(struct json_object *scopes, const char *name)
{
	struct json_object *list = NULL;
	struct err ignored = ERR_INIT; /* the file was judged before */

	return scopes && json_get_array(scopes, name, &list, &ignored) > 0 ? list : NULL;
}

/* "*.example.org" for a registry "a.b.example.org:5000". */
static struct json_object *wildcard_of(struct json_object *scopes, const char *host)
{
	for (const char *dot = strchr(host, '.'); dot; dot = strchr(dot + 1, '.')) {
		char scope[300];
		(void)snprintf(scope, sizeof(scope), "*%.*s", (int)strcspn(dot, ":"), dot);
		struct json_object *list = scope_of(scopes, scope);
		if (list)
			return list;
	}
	return NULL;
}

/* From the whole name up: its repository, what that lies in, the registry, all of a domain. */
static struct json_object *find_scope(struct json_object *scopes, const char *name)
{
	char scope[600]; /* more than a name has */
	struct json_object *list = scope_of(scopes, name);

	/* a digest has a colon too, and a tag may stand before it */
	(void)snprintf(scope, sizeof(scope), "%.*s", (int)strcspn(name, "@"), name);
	char *slash = strrchr(scope, '/');
	char *tag = strrchr(slash ? slash : scope, ':');
	if (tag)
		*tag = '\0';
	while (!list) {
		list = scope_of(scopes, scope);
		char *cut = strrchr(scope, '/');
		if (list || !cut)
			break;
		*cut = '\0';
	}
	if (!list && slash)
		list = wildcard_of(scopes, scope);
	return list ? list : scope_of(scopes, "");
}

static int judge(const struct policy_question *question, const struct requirement *q, size_t i,
		 struct err *err)
{
	if (q->kind == POLICY_ACCEPT)
		return 0;
	if (q->kind == POLICY_REJECT)
		return err_set(err, EACCES, "image '%.200s': " POLICY_FILE " rejects it",
			       question->shown);
	struct err why = ERR_INIT;
	int r = question->verify(question->ctx, i, q->repository ? q->repository : question->name,
				 &why, err);
	if (r == 0)
		return err_set(err, EACCES,
			       "image '%.200s': " POLICY_FILE " demands a signature: %s",
			       question->shown, why.msg);
	return r < 0 ? r : 0;
}

int policy_judge(const struct policy *policy, const struct policy_question *question,
		 struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < policy->n; i++)
		r = judge(question, &policy->v[i], i, err);
	return r;
}

/* What the policy asks under that name. */
static int pick(struct json_object *doc, const char *name, struct policy *ret, struct err *err)
{
	struct policy policy = {0};
	struct json_object *transports = NULL, *scopes = NULL, *fallback = NULL;

	int r = json_get_array(doc, "default", &fallback, err);
	if (r >= 0)
		r = json_get_obj(doc, "transports", &transports, err);
	if (r > 0)
		r = json_get_obj(transports, "docker", &scopes, err);
	if (r < 0)
		return r;
	struct json_object *list = name ? find_scope(scopes, name) : NULL;
	list = list ? list : fallback;
	policy.v = calloc(json_len(list) + 1, sizeof(*policy.v));
	if (!policy.v)
		return err_set(err, ENOMEM, "out of memory");
	for (r = 0; r == 0 && policy.n < json_len(list); policy.n++)
		r = parse_requirement(json_at(list, policy.n), &policy.v[policy.n], err);
	if (r < 0)
		policy_done(&policy);
	else
		*ret = policy;
	return r;
}

/* The whole file, judged: 1, or 0 when there is none. */
static int load(struct json_object **ret, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err absent = ERR_INIT;

	int r = file_read(AT_FDCWD, POLICY_FILE, POLICY_BYTES_MAX, &text, &absent);
	if (r < 0)
		return absent.code == ENOENT ? 0 : err_set(err, absent.code, "%s", absent.msg);
	r = json_parse(text.data ? text.data : "", text.len, POLICY_BYTES_MAX, "policy", ret, err);
	if (r == 0)
		r = check_policy(*ret, err);
	return r < 0 ? err_wrap(err, POLICY_FILE) : 1;
}

int policy_open(const char *name, struct policy *ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;

	int r = load(&doc, err);
	if (r == 0)
		*ret = (struct policy){0};
	return r > 0 ? pick(doc, name, ret, err) : r;
}

/* --- of images in the store --- */

struct kept_image {
	const struct store *store;
	const struct image *image;
	struct policy policy;
};

/* A policy_verify_fn. */
static int verify(void *ctx, size_t i, const char *repository, struct err *why, struct err *err)
{
	const struct kept_image *k = ctx;

	return image_verify(k->store, k->image->id, repository, &k->policy.v[i].keys, why, err);
}

/* name NULL: it has none */
static int judge_kept(struct json_object *doc, struct kept_image *kept, const char *name,
		      struct err *err)
{
	const struct policy_question question = {.name = name,
						 .shown = name ? name : kept->image->id,
						 .verify = verify,
						 .ctx = kept};

	int r = pick(doc, name, &kept->policy, err);
	if (r == 0)
		r = policy_judge(&kept->policy, &question, err);
	policy_done(&kept->policy);
	return r;
}

int image_policy_check(const struct store *store, const struct image *image, const char *name,
		       struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct kept_image kept = {.store = store, .image = image};

	int r = load(&doc, err);
	if (r <= 0)
		return r;
	if (name || image->names.n == 0)
		return judge_kept(doc, &kept, name, err);
	r = 0;
	for (size_t i = 0; r == 0 && i < image->names.n; i++)
		r = judge_kept(doc, &kept, image->names.v[i], err);
	return r;
}
