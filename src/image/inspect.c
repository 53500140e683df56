/* SPDX-License-Identifier: Apache-2.0 */
/* An image as JSON, in the shape of `docker image inspect`. */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "image/image.h"
#include "image/image_priv.h"

/* Digests are shown with their algorithm. */
static void put_digest(struct json_out *out, const char *key, const char *prefix, const char *hex)
{
	AUTO_BUF struct buf text = BUF_INIT;

	buf_printf(&text, "%ssha256:%s", prefix, hex);
	json_put_str(out, key, text.data ? text.data : "");
	out->to->bad |= text.bad;
}

static void put_set(struct json_out *out, const char *key, const struct strv *set)
{
	if (set->n == 0) {
		json_put_null(out, key);
		return;
	}
	json_begin(out, key);
	for (size_t i = 0; i < set->n; i++) {
		json_begin(out, set->v[i]);
		json_end(out);
	}
	json_end(out);
}

static void put_list(struct json_out *out, const char *key, const struct strv *list)
{
	if (list->n == 0)
		json_put_null(out, key);
	else
		json_put_strv(out, key, list);
}

static void put_health(struct json_out *out, const struct image_health *health)
{
	if (health->test.n == 0)
		return;
	json_begin(out, "Healthcheck");
	json_put_strv(out, "Test", &health->test);
	json_put_uint(out, "Interval", health->interval_ns);
	json_put_uint(out, "Timeout", health->timeout_ns);
	json_put_uint(out, "StartPeriod", health->start_period_ns);
	json_put_uint(out, "Retries", health->retries);
	json_end(out);
}

static void put_config(struct json_out *out, const struct image_config *c)
{
	json_begin(out, "Config");
	json_put_str(out, "User", c->user ? c->user : "");
	put_set(out, "ExposedPorts", &c->exposed);
	json_put_strv(out, "Env", &c->env);
	put_list(out, "Entrypoint", &c->entrypoint);
	put_list(out, "Cmd", &c->cmd);
	put_set(out, "Volumes", &c->volumes);
	json_put_str(out, "WorkingDir", c->workdir ? c->workdir : "");
	json_put_map(out, "Labels", &c->labels);
	if (c->stop_signal)
		json_put_str(out, "StopSignal", c->stop_signal);
	put_health(out, &c->health);
	json_end(out);
}

static void put_repo_digests(struct json_out *out, const struct image *image)
{
	json_begin_array(out, "RepoDigests");
	for (size_t i = 0; image->manifest_digest && i < image->names.n; i++) {
		AUTO_BUF struct buf prefix = BUF_INIT;
		const char *name = image->names.v[i];
		const char *colon = strrchr(name, ':'); /* a stored name always has a tag */
		buf_add(&prefix, name, colon ? (size_t)(colon - name) : strlen(name));
		buf_str(&prefix, "@");
		put_digest(out, NULL, prefix.data ? prefix.data : "", image->manifest_digest);
	}
	json_end_array(out);
}

int image_inspect(const struct image *image, struct buf *to, bool pretty, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_out out = JSON_OUT(to, pretty);
	struct json_object *history = NULL;
	const char *author = NULL;

	int r = json_parse(image->json, strlen(image->json), IMAGE_JSON_MAX, "image config", &doc,
			   err);
	if (r == 0)
		r = json_get_array(doc, "history", &history, err);
	if (r >= 0)
		r = json_get_str(doc, "author", &author, err);
	if (r < 0)
		return r;
	json_begin(&out, NULL);
	put_digest(&out, "Id", "", image->id);
	json_put_strv(&out, "RepoTags", &image->names);
	put_repo_digests(&out, image);
	json_put_time(&out, "Created", image->created_ns);
	json_put_str(&out, "Author", author ? author : "");
	put_config(&out, &image->config);
	json_put_str(&out, "Architecture", image->architecture);
	if (image->variant)
		json_put_str(&out, "Variant", image->variant);
	json_put_str(&out, "Os", image->os);
	json_put_uint(&out, "Size", image->size);
	json_begin(&out, "RootFS");
	json_put_str(&out, "Type", "layers");
	json_begin_array(&out, "Layers");
	for (size_t i = 0; i < image->diff_ids.n; i++)
		put_digest(&out, NULL, "", image->diff_ids.v[i]);
	json_end_array(&out);
	json_end(&out);
	json_put_strv(&out, "LayerFiles", &image->layers);
	json_begin(&out, "Metadata");
	json_put_time(&out, "ImportTime", image->imported_ns);
	json_end(&out);
	if (history)
		json_put_value(&out, "History", history);
	json_end(&out);
	return buf_check(to, err);
}
