/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/creds.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "registry/base64.h"

enum { FILE_MAX = 1 << 20, HELPER_MAX = 64 << 10 };

static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void creds_done(struct creds *c)
{
	wipe(c->user);
	wipe(c->secret);
	wipe(c->identity);
	*c = (struct creds){0};
}

int creds_parse(const char *text, struct creds *ret, struct err *err)
{
	const char *colon = strchr(text, ':');

	if (!colon || colon == text)
		return err_set(err, EINVAL, "credentials: not USER:PASSWORD");
	ret->user = strndup(text, (size_t)(colon - text));
	ret->secret = strdup(colon + 1);
	if (ret->user && ret->secret)
		return 0;
	creds_done(ret);
	return err_set(err, ENOMEM, "out of memory");
}

/* --- the files --- */

/* The file that `hull login` writes to; the caller frees. */
static int own_file(char **ret, struct err *err)
{
	const char *named = getenv("REGISTRY_AUTH_FILE");
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	int n;

	if (named && *named)
		n = asprintf(ret, "%s", named);
	else if (config && *config)
		n = asprintf(ret, "%s/containers/auth.json", config);
	else
		n = asprintf(ret, "%s/.config/containers/auth.json",
			     home && *home ? home : "/root");
	return n < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int add_path(struct strv *paths, const char *folder, const char *name, struct err *err)
{
	if (!folder || !*folder)
		return 0;
	AUTO_FREE char *path = path_join(folder, name);
	return path ? strv_add(paths, path, err) : err_set(err, ENOMEM, "out of memory");
}

/* Where credentials may be, the most particular first. */
static int all_files(struct strv *paths, struct err *err)
{
	AUTO_FREE char *own = NULL;
	char run[64];

	int r = own_file(&own, err);
	if (r == 0 && getenv("REGISTRY_AUTH_FILE"))
		return strv_add(paths, own, err);
	(void)snprintf(run, sizeof(run), "/run/containers/%u", (unsigned int)getuid());
	if (r == 0)
		r = add_path(paths, getenv("XDG_RUNTIME_DIR"), "containers/auth.json", err);
	if (r == 0)
		r = add_path(paths, run, "auth.json", err);
	if (r == 0)
		r = strv_add(paths, own, err);
	if (r == 0)
		r = add_path(paths, getenv("DOCKER_CONFIG"), "config.json", err);
	if (r == 0 && !getenv("DOCKER_CONFIG"))
		r = add_path(paths, getenv("HOME"), ".docker/config.json", err);
	return r;
}

/* --- helpers --- */

/* Runs docker-credential-NAME; what it wrote is appended to *out. */
static int run_helper(const char *name, const char *verb, const char *input, struct buf *out,
		      struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-.";
	AUTO_FREE char *program = NULL;

	if (!*name || strspn(name, allowed) != strlen(name))
		return err_set(err, EINVAL, "'%.60s' is no name of a credential helper", name);
	if (asprintf(&program, "docker-credential-%s", name) < 0) {
		program = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return proc_run((const char *const[]){program, verb, NULL}, input, out, err);
}

/* Docker's own registry is known to helpers and to docker's file by an old name. */
static const char *helper_key(const char *host)
{
	return strcmp(host, "docker.io") == 0 ? "https://index.docker.io/v1/" : host;
}

static int copy(char **to, const char *from, struct err *err)
{
	*to = strdup(from);
	return *to ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* Identity tokens are stored under this name instead of a user's. */
static int take_pair(const char *user, const char *secret, struct creds *ret, struct err *err)
{
	if (strcmp(user, "<token>") == 0)
		return copy(&ret->identity, secret, err);
	int r = copy(&ret->user, user, err);
	return r == 0 ? copy(&ret->secret, secret, err) : r;
}

static int ask_helper(const char *name, const char *host, struct creds *ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_BUF struct buf out = BUF_INIT;
	struct err failure = ERR_INIT;
	const char *user = NULL, *secret = NULL;

	int r = run_helper(name, "get", helper_key(host), &out, &failure);
	if (r < 0 && out.data && strstr(out.data, "not found"))
		return 0;
	if (r < 0)
		return err_set(err, failure.code, "%s", failure.msg);
	r = json_parse(out.data ? out.data : "", out.len, HELPER_MAX, "answer of the helper", &doc,
		       err);
	if (r == 0 && !json_is_obj(doc))
		r = err_set(err, EINVAL, "answer of the helper: not an object");
	if (r == 0)
		r = json_need(json_get_str(doc, "Username", &user, err), "Username", err);
	if (r >= 0)
		r = json_need(json_get_str(doc, "Secret", &secret, err), "Secret", err);
	if (r >= 0 && user && secret)
		r = take_pair(user, secret, ret, err);
	if (out.data)
		explicit_bzero(out.data, out.len);
	return r < 0 ? err_wrap(err, "docker-credential-%s", name) : 1;
}

/* --- one file --- */

/* Whether `key` of a file means `place`, "HOST[/PATH]": with or without scheme, version and slash.
 */
static bool key_is(const char *key, const char *place)
{
	static const char *const ends[] = {"", "/", "/v1/", "/v2/", "/v1", "/v2", NULL};
	const char *rest = NULL;

	if (str_prefix(key, "https://", &rest) || str_prefix(key, "http://", &rest))
		key = rest;
	if (str_prefix(key, "index.docker.io", &rest) && str_prefix(place, "docker.io", &place))
		key = rest;
	return str_prefix(key, place, &rest) && str_in(rest, ends);
}

struct search {
	const char *place;
	struct json_object *found; /* borrowed from the document */
};

static int compare_key(void *ctx, const char *key, struct json_object *value, struct err *err)
{
	struct search *s = ctx;

	(void)err;
	if (!s->found && key_is(key, s->place))
		s->found = value;
	return 0;
}

/* The member of `object` (NULL: none) for the longest beginning of HOST/REPOSITORY that has one. */
static int find_entry(struct json_object *object, const char *host, const char *repository,
		      struct json_object **ret, struct err *err)
{
	AUTO_FREE char *place = path_join(host, repository);
	struct search s = {.place = place};

	if (!place)
		return err_set(err, ENOMEM, "out of memory");
	while (object) {
		int r = json_each(object, compare_key, &s, err);
		if (r < 0)
			return r;
		char *slash = strrchr(place, '/');
		if (s.found || !slash)
			break;
		*slash = '\0';
	}
	*ret = s.found;
	return 0;
}

/* An entry of "auths": 1, or 0 when it holds nothing (docker leaves such beside a helper). */
static int take_entry(struct json_object *entry, struct creds *ret, struct err *err)
{
	const char *auth = NULL, *identity = NULL;
	AUTO_BUF struct buf text = BUF_INIT;

	if (!json_is_obj(entry))
		return err_set(err, EINVAL, "auths: not an object");
	int r = json_get_str(entry, "identitytoken", &identity, err);
	if (r > 0 && *identity)
		return copy(&ret->identity, identity, err) < 0 ? -ENOMEM : 1;
	if (r >= 0)
		r = json_get_str(entry, "auth", &auth, err);
	if (r <= 0 || !*auth)
		return r < 0 ? r : 0;
	r = base64_decode(&text, auth, err);
	if (r == 0)
		r = creds_parse(text.data ? text.data : "", ret, err);
	if (text.data)
		explicit_bzero(text.data, text.len);
	return r < 0 ? err_wrap(err, "auth") : 1;
}

static int search_document(struct json_object *doc, const char *host, const char *repository,
			   struct creds *ret, struct err *err)
{
	struct json_object *helpers = NULL, *auths = NULL, *entry = NULL;
	const char *store = NULL;

	if (!json_is_obj(doc))
		return err_set(err, EINVAL, "not an object");
	int r = json_get_obj(doc, "credHelpers", &helpers, err);
	if (r >= 0)
		r = find_entry(helpers, host, "", &entry, err);
	if (r >= 0 && json_text(entry))
		return ask_helper(json_text(entry), host, ret, err);
	if (r >= 0)
		r = json_get_obj(doc, "auths", &auths, err);
	if (r >= 0)
		r = find_entry(auths, host, repository, &entry, err);
	if (r >= 0 && entry)
		r = take_entry(entry, ret, err);
	if (r != 0)
		return r;
	r = json_get_str(doc, "credsStore", &store, err);
	return r > 0 && *store ? ask_helper(store, host, ret, err) : r;
}

static int search_file(const char *path, const char *host, const char *repository,
		       struct creds *ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_BUF struct buf text = BUF_INIT;
	struct err absent = ERR_INIT;

	int r = file_read(AT_FDCWD, path, FILE_MAX, &text, &absent);
	if (r == -ENOENT || r == -ENOTDIR || r == -EACCES || text.len == 0)
		return 0;
	if (r < 0)
		return err_set(err, absent.code, "%s", absent.msg);
	r = json_parse(text.data, text.len, FILE_MAX, path, &doc, err);
	explicit_bzero(text.data, text.len);
	if (r < 0)
		return r;
	r = search_document(doc, host, repository, ret, err);
	return r < 0 ? err_wrap(err, "%s", path) : r;
}

int creds_find(const char *host, const char *repository, bool given, struct creds *ret,
	       struct err *err)
{
	const char *text = given ? getenv("HULL_REGISTRY_CREDS") : NULL;
	AUTO_STRV struct strv paths = {0};

	if (text) {
		int r = creds_parse(text, ret, err);
		return r < 0 ? r : 1;
	}
	int r = all_files(&paths, err);
	for (size_t i = 0; r == 0 && i < paths.n; i++)
		r = search_file(paths.v[i], host, repository, ret, err);
	return r;
}

/* --- login and logout --- */

/* The document of our own file, a new one when there is none. */
static int read_own(const char *path, struct json_object **ret, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err absent = ERR_INIT;

	int r = file_read(AT_FDCWD, path, FILE_MAX, &text, &absent);
	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return err_set(err, absent.code, "%s", absent.msg);
	if (text.len > 0) {
		r = json_parse(text.data, text.len, FILE_MAX, path, ret, err);
		if (r == 0 && !json_is_obj(*ret))
			return err_set(err, EINVAL, "%s: not an object", path);
		return r;
	}
	*ret = json_object_new_object();
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int write_own(const char *path, struct json_object *doc, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_FREE char *folder = strdup(path);
	struct json_out out = JSON_OUT(&text, true);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!folder)
		return err_set(err, ENOMEM, "out of memory");
	if (slash && slash != folder) {
		*slash = '\0';
		int r = path_mkdir_all(AT_FDCWD, folder, 0700, err);
		if (r < 0)
			return r;
	}
	json_put_value(&out, NULL, doc);
	buf_str(&text, "\n");
	int r = buf_check(&text, err);
	if (r == 0)
		r = file_replace(AT_FDCWD, path, text.data, text.len, 0600, err);
	if (text.data)
		explicit_bzero(text.data, text.len);
	return r;
}

/* Which helper keeps what belongs to host, or NULL. */
static int own_helper(struct json_object *doc, const char *host, const char **ret, struct err *err)
{
	struct json_object *helpers = NULL, *entry = NULL;

	int r = json_get_obj(doc, "credHelpers", &helpers, err);
	if (r >= 0)
		r = find_entry(helpers, host, "", &entry, err);
	if (r < 0)
		return r;
	*ret = json_text(entry);
	return *ret ? 1 : json_get_str(doc, "credsStore", ret, err);
}

static int save_with_helper(const char *helper, const char *host, const struct creds *c,
			    struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, false);

	json_begin(&out, NULL);
	json_put_str(&out, "ServerURL", helper_key(host));
	json_put_str(&out, "Username", c->user);
	json_put_str(&out, "Secret", c->secret);
	json_end(&out);
	int r = buf_check(&text, err);
	if (r == 0)
		r = run_helper(helper, "store", text.data, NULL, err);
	if (text.data)
		explicit_bzero(text.data, text.len);
	return r;
}

/* Puts {"auth": …} for host into doc. */
static int put_entry(struct json_object *doc, const char *host, const struct creds *c,
		     struct err *err)
{
	AUTO_BUF struct buf pair = BUF_INIT;
	AUTO_BUF struct buf auth = BUF_INIT;
	struct json_object *auths = NULL;

	buf_printf(&pair, "%s:%s", c->user, c->secret);
	int r = buf_check(&pair, err);
	if (r == 0) {
		base64_encode(&auth, pair.data, pair.len);
		explicit_bzero(pair.data, pair.len);
		r = buf_check(&auth, err);
	}
	if (r == 0)
		r = json_get_obj(doc, "auths", &auths, err);
	if (r < 0)
		return r;
	if (!auths) {
		auths = json_object_new_object();
		json_object_object_add(doc, "auths", auths);
	}
	struct json_object *entry = json_object_new_object();
	json_object_object_add(entry, "auth", json_object_new_string(auth.data));
	json_object_object_add(auths, host, entry);
	return 0;
}

/* The file of ours (*path and *doc are the caller's), and the helper that it names for the host,
 * which is borrowed of *doc. */
static int open_own(const char *host, char **path, struct json_object **doc, const char **helper,
		    struct err *err)
{
	int r = own_file(path, err);

	if (r == 0)
		r = read_own(*path, doc, err);
	return r == 0 ? own_helper(*doc, host, helper, err) : r;
}

int creds_save(const char *host, const struct creds *c, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_FREE char *path = NULL;
	const char *helper = NULL;

	int r = open_own(host, &path, &doc, &helper, err);
	if (r < 0)
		return r;
	if (helper && *helper)
		return save_with_helper(helper, host, c, err);
	r = put_entry(doc, host, c, err);
	return r == 0 ? write_own(path, doc, err) : r;
}

int creds_remove(const char *host, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *auths = NULL, *entry = NULL;
	AUTO_FREE char *path = NULL;
	const char *helper = NULL;

	int r = open_own(host, &path, &doc, &helper, err);
	if (r < 0)
		return r;
	if (helper && *helper) {
		r = run_helper(helper, "erase", helper_key(host), NULL, err);
		return r < 0 ? r : 1;
	}
	r = json_get_obj(doc, "auths", &auths, err);
	if (r <= 0 || !json_object_object_get_ex(auths, host, &entry))
		return r < 0 ? r : 0;
	json_object_object_del(auths, host);
	r = write_own(path, doc, err);
	return r < 0 ? r : 1;
}
