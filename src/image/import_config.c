/* SPDX-License-Identifier: Apache-2.0 */
/* The image's config document, made or changed by what the user asked for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "image/import_spec.h"

bool import_changes(const struct image_import *what)
{
	return what->cmd || what->entrypoint || what->workdir || what->user || what->stop_signal ||
	       what->env.n || what->expose.n || what->labels.n || what->volumes.n;
}

/* The port number that *text begins with; 0 when there is none. *text is moved behind it. */
static unsigned take_port(const char **text)
{
	unsigned port = 0;
	size_t n = strspn(*text, "0123456789");

	for (size_t i = 0; i < n && i < 6; i++)
		port = port * 10 + (unsigned)((*text)[i] - '0');
	*text += n;
	return n > 5 || port > 65535 ? 0 : port;
}

/* "80", "80/udp", "8000-8010/tcp", as "PORT/PROTO" in *ret; the caller frees. */
static int expose_parse(const char *text, char **ret, struct err *err)
{
	static const char *const protocols[] = {"tcp", "udp", "sctp", NULL};
	const char *rest = text;
	const char *proto = "tcp";

	unsigned from = take_port(&rest);
	unsigned to = str_prefix(rest, "-", &rest) ? take_port(&rest) : from;
	if (str_prefix(rest, "/", &proto))
		rest = "";
	if (from == 0 || to < from || *rest || !str_in(proto, protocols))
		return err_set(err, EINVAL, "--expose '%.60s': not PORT[-PORT][/tcp|udp|sctp]",
			       text);
	int n = from == to ? asprintf(ret, "%u/%s", from, proto)
			   : asprintf(ret, "%u-%u/%s", from, to, proto);
	return n < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* A JSON array of strings; or one word; or a line for the shell. */
static int command_parse(const char *flag, const char *text, struct strv *ret, struct err *err)
{
	strv_done(ret);
	if (text[0] == '[') {
		AUTO(auto_json_free) struct json_object *doc = NULL;
		int r = json_parse(text, strlen(text), 1 << 20, flag, &doc, err);
		for (size_t i = 0; r == 0 && i < json_len(doc); i++) {
			const char *word = json_text(json_at(doc, i));
			r = word ? strv_add(ret, word, err)
				 : err_set(err, EINVAL, "%s: element %zu is not a string", flag, i);
		}
		return r;
	}
	bool line = strpbrk(text, " \t\n") != NULL;
	int r = line ? strv_add(ret, "/bin/sh", err) : 0;
	if (r == 0 && line)
		r = strv_add(ret, "-c", err);
	return r == 0 && *text ? strv_add(ret, text, err) : r;
}

/* What a list of the command line has to hold. */
typedef int word_fn(const char *word, struct err *err);

static int check_env(const char *word, struct err *err)
{
	return word[0] == '=' || !strchr(word, '=')
		       ? err_set(err, EINVAL, "--env '%.100s': not KEY=VALUE", word)
		       : 0;
}

static int check_label(const char *word, struct err *err)
{
	return word[0] == '=' || !*word ? err_set(err, EINVAL, "--label '%.100s': no name", word)
					: 0;
}

static int check_expose(const char *word, struct err *err)
{
	AUTO_FREE char *port = NULL;

	return expose_parse(word, &port, err);
}

static int check_volume(const char *word, struct err *err)
{
	return word[0] != '/'
		       ? err_set(err, EINVAL, "--volume '%.200s': not an absolute path", word)
		       : 0;
}

static int check_all(const struct strv *words, word_fn *check, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < words->n; i++)
		r = check(words->v[i], err);
	return r;
}

static int check_names(const struct image_import *what, struct err *err)
{
	AUTO_REFERENCE struct reference ref = {0};
	AUTO(platform_done) struct platform platform = {0};

	int r = reference_parse(what->name, &ref, err);
	if (r == 0 && ref.digest)
		r = err_set(err, EINVAL, "image name '%s': a name to give has no digest",
			    what->name);
	return r == 0 ? platform_parse(what->platform, &platform, err) : r;
}

int import_check(const struct image_import *what, struct err *err)
{
	AUTO_STRV struct strv words = {0};
	int signal;

	int r = check_names(what, err);
	if (r == 0 && what->cmd)
		r = command_parse("--cmd", what->cmd, &words, err);
	if (r == 0 && what->entrypoint)
		r = command_parse("--entrypoint", what->entrypoint, &words, err);
	if (r == 0 && what->workdir && what->workdir[0] != '/')
		r = err_set(err, EINVAL, "--workdir '%.200s': not an absolute path", what->workdir);
	if (r == 0 && what->stop_signal)
		r = parse_signal(what->stop_signal, &signal, err);
	if (r == 0)
		r = check_all(&what->env, check_env, err);
	if (r == 0)
		r = check_all(&what->labels, check_label, err);
	if (r == 0)
		r = check_all(&what->expose, check_expose, err);
	return r == 0 ? check_all(&what->volumes, check_volume, err) : r;
}

static int replace(char **to, const char *with, struct err *err)
{
	if (!with)
		return 0;
	free(*to);
	*to = strdup(with);
	return *to ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* Puts an element into a set kept as a list. */
static int set_add(struct strv *set, const char *s, struct err *err)
{
	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->v[i], s) == 0)
			return 0;
	}
	return strv_add(set, s, err);
}

static int apply_lists(const struct image_import *what, struct image_config *c, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < what->env.n; i++)
		r = strv_set_env(&c->env, what->env.v[i], err);
	for (size_t i = 0; r == 0 && i < what->labels.n; i++)
		r = strv_set_env(&c->labels, what->labels.v[i], err);
	for (size_t i = 0; r == 0 && i < what->volumes.n; i++)
		r = set_add(&c->volumes, what->volumes.v[i], err);
	for (size_t i = 0; r == 0 && i < what->expose.n; i++) {
		AUTO_FREE char *port = NULL;
		r = expose_parse(what->expose.v[i], &port, err);
		if (r == 0 && port)
			r = set_add(&c->exposed, port, err);
	}
	return r;
}

static int apply(const struct image_import *what, struct image_config *c, struct err *err)
{
	int r = replace(&c->workdir, what->workdir, err);

	if (r == 0)
		r = replace(&c->user, what->user, err);
	if (r == 0)
		r = replace(&c->stop_signal, what->stop_signal, err);
	if (r == 0 && what->entrypoint) {
		r = command_parse("--entrypoint", what->entrypoint, &c->entrypoint, err);
		strv_done(&c->cmd); /* made for the other one, as in a Dockerfile */
	}
	if (r == 0 && what->cmd)
		r = command_parse("--cmd", what->cmd, &c->cmd, err);
	return r == 0 ? apply_lists(what, c, err) : r;
}

/* The members of "config" that a user may change; the others are copied from the base. */
static const char *const own_members[] = {"Entrypoint", "Cmd",        "Env",          "WorkingDir",
					  "User",       "StopSignal", "ExposedPorts", "Volumes",
					  "Labels",     NULL};

static int copy_member(void *ctx, const char *key, struct json_object *value, struct err *err)
{
	(void)err;
	if (!str_in(key, own_members))
		json_put_value(ctx, key, value);
	return 0;
}

static int copy_top(void *ctx, const char *key, struct json_object *value, struct err *err)
{
	(void)err;
	if (strcmp(key, "config") != 0)
		json_put_value(ctx, key, value);
	return 0;
}

static void put_set(struct json_out *out, const char *key, const struct strv *set)
{
	if (set->n == 0)
		return;
	json_begin(out, key);
	for (size_t i = 0; i < set->n; i++) {
		json_begin(out, set->v[i]);
		json_end(out);
	}
	json_end(out);
}

static void put_own(struct json_out *out, const struct image_config *c)
{
	if (c->user)
		json_put_str(out, "User", c->user);
	put_set(out, "ExposedPorts", &c->exposed);
	if (c->env.n)
		json_put_strv(out, "Env", &c->env);
	if (c->entrypoint.n)
		json_put_strv(out, "Entrypoint", &c->entrypoint);
	if (c->cmd.n)
		json_put_strv(out, "Cmd", &c->cmd);
	put_set(out, "Volumes", &c->volumes);
	if (c->workdir)
		json_put_str(out, "WorkingDir", c->workdir);
	if (c->labels.n)
		json_put_map(out, "Labels", &c->labels);
	if (c->stop_signal)
		json_put_str(out, "StopSignal", c->stop_signal);
}

/* A config that says only what there is: one layer, for that platform. */
static int make_base(const struct image_import *what, const char *diff_id, uint64_t created_ns,
		     struct buf *text, struct err *err)
{
	static const char path[] =
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	AUTO(platform_done) struct platform p = {0};
	struct json_out out = JSON_OUT(text, false);
	char digest[DIGEST_HEX + 8];

	int r = platform_parse(what->platform, &p, err);
	if (r < 0)
		return r;
	(void)snprintf(digest, sizeof(digest), "sha256:%s", diff_id);
	json_begin(&out, NULL);
	json_put_time(&out, "created", created_ns);
	json_put_str(&out, "architecture", p.architecture);
	if (p.variant)
		json_put_str(&out, "variant", p.variant);
	json_put_str(&out, "os", p.os);
	json_begin(&out, "config");
	json_begin_array(&out, "Env");
	json_put_str(&out, NULL, path);
	json_end_array(&out);
	json_end(&out);
	json_begin(&out, "rootfs");
	json_put_str(&out, "type", "layers");
	json_begin_array(&out, "diff_ids");
	json_put_str(&out, NULL, digest);
	json_end_array(&out);
	json_end(&out);
	json_begin_array(&out, "history");
	json_begin(&out, NULL);
	json_put_time(&out, "created", created_ns);
	json_put_str(&out, "created_by", "hull image import");
	json_end(&out);
	json_end_array(&out);
	json_end(&out);
	return buf_check(text, err);
}

int import_config(const char *base, const struct image_import *what, const char *diff_id,
		  uint64_t created_ns, char **ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_IMAGE struct image image = {0};
	AUTO_BUF struct buf made = BUF_INIT;
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_object *config = NULL;
	struct json_out out = JSON_OUT(&text, false);

	int r = base ? 0 : make_base(what, diff_id, created_ns, &made, err);
	if (r == 0)
		r = json_parse(base ? base : made.data, base ? strlen(base) : made.len,
			       IMAGE_JSON_MAX, "image config", &doc, err);
	if (r == 0)
		r = image_parse_config(doc, &image, err);
	if (r == 0)
		r = apply(what, &image.config, err);
	if (r == 0)
		r = json_get_obj(doc, "config", &config, err);
	if (r < 0)
		return r;
	json_begin(&out, NULL);
	r = json_each(doc, copy_top, &out, err);
	json_begin(&out, "config");
	if (r == 0 && config)
		r = json_each(config, copy_member, &out, err);
	put_own(&out, &image.config);
	json_end(&out);
	json_end(&out);
	if (r == 0)
		r = buf_check(&text, err);
	if (r < 0)
		return r;
	*ret = buf_take(&text);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}
