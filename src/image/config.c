/* SPDX-License-Identifier: Apache-2.0 */
/* An image's config document (image-spec config.md), read into plain structs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/json.h"
#include "image/image.h"
#include "image/image_priv.h"

static int get_str(struct json_object *obj, const char *key, char **ret, struct err *err)
{
	const char *s = NULL;

	int r = json_get_str(obj, key, &s, err);
	if (r <= 0 || !*s) /* Go's omitted string */
		return r < 0 ? r : 0;
	*ret = strdup(s);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int get_ns(struct json_object *obj, const char *key, uint64_t *ret, struct err *err)
{
	int64_t ns = 0;

	int r = json_get_int(obj, key, 0, INT64_MAX, &ns, err);
	if (r > 0)
		*ret = (uint64_t)ns;
	return r;
}

/* A set written as an object with empty values: {"80/tcp": {}}. */
static int add_key(void *ctx, const char *key, struct json_object *value, struct err *err)
{
	(void)value;
	return strv_add(ctx, key, err);
}

static int add_label(void *ctx, const char *key, struct json_object *value, struct err *err)
{
	AUTO_FREE char *label = NULL;
	const char *text = json_text(value);

	if (value && !text)
		return err_set(err, EINVAL, "Labels: '%s' is not a string", key);
	if (asprintf(&label, "%s=%s", key, text ? text : "") < 0) {
		label = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return strv_add(ctx, label, err);
}

static int get_members(struct json_object *obj, const char *key, json_member_fn *fn,
		       struct strv *ret, struct err *err)
{
	struct json_object *members = NULL;

	int r = json_get_obj(obj, key, &members, err);
	return r > 0 ? json_each(members, fn, ret, err) : r;
}

static int parse_health(struct json_object *config, struct image_health *ret, struct err *err)
{
	struct json_object *health = NULL;
	int64_t retries = 0;

	int r = json_get_obj(config, "Healthcheck", &health, err);
	if (r <= 0)
		return r;
	r = json_get_strv(health, "Test", &ret->test, err);
	if (r >= 0)
		r = get_ns(health, "Interval", &ret->interval_ns, err);
	if (r >= 0)
		r = get_ns(health, "Timeout", &ret->timeout_ns, err);
	if (r >= 0)
		r = get_ns(health, "StartPeriod", &ret->start_period_ns, err);
	if (r >= 0)
		r = json_get_int(health, "Retries", 0, INT32_MAX, &retries, err);
	ret->retries = (uint32_t)retries;
	return r < 0 ? err_wrap(err, "Healthcheck") : 0;
}

static int parse_run(struct json_object *config, struct image_config *ret, struct err *err)
{
	int r = json_get_strv(config, "Entrypoint", &ret->entrypoint, err);

	if (r >= 0)
		r = json_get_strv(config, "Cmd", &ret->cmd, err);
	if (r >= 0)
		r = json_get_strv(config, "Env", &ret->env, err);
	if (r >= 0)
		r = get_str(config, "WorkingDir", &ret->workdir, err);
	if (r >= 0)
		r = get_str(config, "User", &ret->user, err);
	if (r >= 0)
		r = get_str(config, "StopSignal", &ret->stop_signal, err);
	if (r >= 0)
		r = get_members(config, "ExposedPorts", add_key, &ret->exposed, err);
	if (r >= 0)
		r = get_members(config, "Volumes", add_key, &ret->volumes, err);
	if (r >= 0)
		r = get_members(config, "Labels", add_label, &ret->labels, err);
	if (r >= 0)
		r = parse_health(config, &ret->health, err);
	return r;
}

static int parse_rootfs(struct json_object *doc, struct strv *ret, struct err *err)
{
	struct json_object *rootfs = NULL;
	const char *type = NULL;
	AUTO_STRV struct strv digests = {0};

	int r = json_need(json_get_obj(doc, "rootfs", &rootfs, err), "rootfs", err);
	if (r >= 0)
		r = json_need(json_get_str(rootfs, "type", &type, err), "type", err);
	if (r >= 0 && strcmp(type, "layers") != 0)
		return err_set(err, EINVAL, "rootfs: type '%.40s' is unknown", type);
	if (r >= 0)
		r = json_get_strv(rootfs, "diff_ids", &digests, err);
	if (r >= 0 && digests.n > IMAGE_LAYERS_MAX)
		return err_set(err, E2BIG, "rootfs: %zu layers, at most %d", digests.n,
			       IMAGE_LAYERS_MAX);
	for (size_t i = 0; r >= 0 && i < digests.n; i++) {
		const char *hex = NULL;
		if (!str_prefix(digests.v[i], "sha256:", &hex) || !digest_is_hex(hex, strlen(hex)))
			return err_set(err, EINVAL,
				       "diff_ids: element %zu is not 'sha256:' and 64 hex digits",
				       i);
		r = strv_add(ret, hex, err);
	}
	return r;
}

uint64_t image_parse_time(const char *text)
{
	struct tm tm = {0};
	uint64_t ns = 0;
	long zone = 0;

	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!p)
		return 0;
	if (*p == '.') {
		uint64_t unit = 100000000;
		for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
			ns += (uint64_t)(*p - '0') * unit;
	}
	if (*p == '+' || *p == '-') {
		int h = 0, m = 0;
		if (sscanf(p + 1, "%2d:%2d", &h, &m) != 2) /* NOLINT(cert-err34-c): two digits */
			return 0;
		zone = (h * 60L + m) * (*p == '-' ? -60 : 60);
	} else if (*p != 'Z') {
		return 0;
	}
	time_t seconds = timegm(&tm) - zone;
	if (seconds < 0 || (uint64_t)seconds > UINT64_MAX / 1000000000U / 2)
		return 0;
	return (uint64_t)seconds * 1000000000U + ns;
}

/* Printed, compared and put into paths of messages: keep it a plain word. */
static int check_word(const char *word, const char *key, struct err *err)
{
	size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_.-");

	if (word[n] != '\0' || n > 32)
		return err_set(err, EINVAL, "%s: not a word of a-z, 0-9", key);
	return 0;
}

static int parse_platform(struct json_object *doc, struct image *ret, struct err *err)
{
	const char *os = NULL, *architecture = NULL;

	int r = json_need(json_get_str(doc, "os", &os, err), "os", err);
	if (r >= 0)
		r = json_need(json_get_str(doc, "architecture", &architecture, err), "architecture",
			      err);
	if (r >= 0)
		r = check_word(os, "os", err);
	if (r >= 0)
		r = check_word(architecture, "architecture", err);
	if (r >= 0)
		r = get_str(doc, "variant", &ret->variant, err);
	if (r >= 0 && ret->variant)
		r = check_word(ret->variant, "variant", err);
	if (r < 0)
		return r;
	ret->os = strdup(os);
	ret->architecture = strdup(architecture);
	return ret->os && ret->architecture ? 0 : err_set(err, ENOMEM, "out of memory");
}

int image_parse_config(struct json_object *doc, struct image *ret, struct err *err)
{
	struct json_object *config = NULL;
	const char *created = NULL;

	if (!json_is_obj(doc))
		return err_set(err, EINVAL, "the image's config is not a JSON object");
	int r = parse_platform(doc, ret, err);
	if (r >= 0)
		r = json_get_str(doc, "created", &created, err);
	if (r > 0)
		ret->created_ns = image_parse_time(created);
	if (r >= 0)
		r = json_get_obj(doc, "config", &config, err);
	if (r > 0)
		r = parse_run(config, &ret->config, err);
	if (r >= 0)
		r = parse_rootfs(doc, &ret->diff_ids, err);
	return r < 0 ? err_wrap(err, "image config") : 0;
}
