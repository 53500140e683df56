/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every image of an archive or layout, with all its names. Where both of docker's list and an OCI
 * index are there, the documents are taken by the index, whose digests cover them all, and the
 * names from docker's list, which has them as their user wrote them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/db.h"
#include "base/err.h"
#include "base/json.h"
#include "base/store.h"
#include "image/bundle.h"
#include "image/import_spec.h"
#include "image/import_work.h"
#include "image/sha256.h"

/* One image that is to be taken. */
struct item {
	char ref[DIGEST_HEX + 16]; /* "@sha256:HEX" */
	struct strv names; /* by the index */
};

struct load {
	const struct store *store; /* borrowed, as all pointers here but items and docker's */
	const struct bundle *bundle;
	const struct import_loading *what;
	struct item *items;
	size_t n;
	struct docker_archive docker; /* docker's list; empty: none */
};

static void load_done(struct load *load)
{
	for (size_t i = 0; i < load->n; i++)
		strv_done(&load->items[i].names);
	free(load->items);
	docker_archive_done(&load->docker);
}

static int add_item(struct load *load, const char *hex, const char *name, struct err *err)
{
	char ref[sizeof(load->items->ref)];
	size_t at = 0;

	(void)snprintf(ref, sizeof(ref), "@sha256:%s", hex);
	while (at < load->n && strcmp(load->items[at].ref, ref) != 0)
		at++;
	if (at == load->n) {
		struct item *items = reallocarray(load->items, load->n + 1, sizeof(*items));
		if (!items)
			return err_set(err, ENOMEM, "out of memory");
		load->items = items;
		items[load->n] = (struct item){0};
		memcpy(items[load->n++].ref, ref, sizeof(ref));
	}
	return name ? strv_add(&load->items[at].names, name, err) : 0;
}

static int parse_file(const struct bundle *b, const char *name, struct json_object **ret,
		      struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	int r = bundle_read(b, name, IMAGE_JSON_MAX, &text, err);
	return r < 0 ? r : json_parse(text.data, text.len, IMAGE_JSON_MAX, name, ret, err);
}

static int list_index(struct load *load, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO(oci_index_done) struct oci_index index = {0};
	AUTO(platform_done) struct platform platform = {0};

	int r = parse_file(load->bundle, "index.json", &doc, err);
	if (r == 0)
		r = oci_parse_index(doc, &index, err);
	if (r == 0)
		r = platform_parse(load->what->platform, &platform, err);
	for (size_t i = 0; r == 0 && i < index.n; i++) {
		const struct oci_descriptor *d = &index.items[i];
		if (oci_is_image(d) && (index.n == 1 || oci_platform_matches(d, &platform)))
			r = add_item(load, d->digest, d->ref, err);
	}
	return r;
}

/* The digest in the name of a config's file: "HEX.json", "blobs/sha256/HEX". */
static const char *config_hex(const char *file, char ret[DIGEST_HEX + 1])
{
	const char *slash = strrchr(file, '/');
	const char *base = slash ? slash + 1 : file;

	if (strnlen(base, DIGEST_HEX) < DIGEST_HEX || !digest_is_hex(base, DIGEST_HEX))
		return NULL;
	memcpy(ret, base, DIGEST_HEX);
	ret[DIGEST_HEX] = '\0';
	return ret;
}

static int read_docker(struct load *load, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;

	int r = parse_file(load->bundle, "manifest.json", &doc, err);
	return r < 0 ? r : docker_parse_archive(doc, &load->docker, err);
}

static int list_docker(struct load *load, struct err *err)
{
	char hex[DIGEST_HEX + 1];

	int r = read_docker(load, err);
	for (size_t i = 0; r == 0 && i < load->docker.n; i++) {
		const char *config = load->docker.images[i].config;
		r = config_hex(config, hex)
			    ? add_item(load, hex, NULL, err)
			    : err_set(err, EINVAL,
				      "manifest.json: image %zu: '%.100s' is no file named by a "
				      "digest",
				      i, config);
	}
	return r;
}

/* What docker's list calls image `id`; NULL when it does not speak of it. */
static const struct strv *docker_names(const struct load *load, const char *id)
{
	for (size_t i = 0; i < load->docker.n; i++) {
		if (strstr(load->docker.images[i].config, id))
			return &load->docker.images[i].tags;
	}
	return NULL;
}

/* The importer's own files of one image, so that the next may use their names. */
static void forget_files(const struct import_work *work)
{
	for (size_t i = 0; i < work->spec->n; i++) {
		const struct import_made *made = &work->made[i];
		if (made->file[0])
			(void)unlinkat(work->dir, made->file, 0);
		if (str_prefix(made->blob_file, "blob.", NULL))
			(void)unlinkat(work->dir, made->blob_file, 0);
	}
}

/* The image's names, as the store writes them. */
static int settle_names(const struct load *load, const struct item *item, const char *id,
			struct strv *ret, struct err *err)
{
	const struct strv *docker = docker_names(load, id);
	const struct strv *from = docker && docker->n > 0 ? docker : &item->names;
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->n; i++) {
		AUTO_REFERENCE struct reference ref = {0};
		r = reference_parse(from->v[i], &ref, err);
		if (r == 0 && ref.digest)
			r = err_set(err, EINVAL, "image name '%.200s' has a digest", from->v[i]);
		if (r == 0)
			r = strv_add(ret, ref.name, err);
	}
	return r;
}

static int load_one(const struct load *load, const struct item *item, struct err *err)
{
	const struct import_loading *what = load->what;
	const struct image_import import = {.source = what->source,
					    .name = "load",
					    .ref = item->ref,
					    .platform = what->platform};
	AUTO(import_spec_done) struct import_spec spec = {0};
	AUTO_STRV struct strv names = {0};
	char id[DIGEST_HEX + 1];

	int r = import_read(load->bundle, &import, &spec, err);
	if (r == 0)
		r = sha256_hex(spec.config, strlen(spec.config), id, err);
	if (r == 0)
		r = settle_names(load, item, id, &names, err);
	if (r < 0)
		return r;
	AUTO(import_work_done)
	struct import_work work = {.store = load->store,
				   .bundle = load->bundle,
				   .mounter = what->mounter,
				   .spec = &spec,
				   .dir = what->dir,
				   .path = what->path};
	r = import_make(&work, err);
	if (r == 0)
		r = import_commit(&work, id, spec.config, names.n ? names.v[0] : NULL, err);
	if (r == 0)
		forget_files(&work);
	for (size_t i = 1; r == 0 && i < names.n; i++)
		r = image_tag(load->store, id, names.v[i], err);
	for (size_t i = 0; r == 0 && i < names.n; i++)
		r = what->loaded(what->ctx, id, names.v[i], err);
	return r == 0 && names.n == 0 ? what->loaded(what->ctx, id, NULL, err) : r;
}

int import_load(const struct store *store, const struct bundle *bundle,
		const struct import_loading *what, struct err *err)
{
	AUTO(load_done) struct load load = {.store = store, .bundle = bundle, .what = what};
	struct err none = ERR_INIT; /* an OCI layout need not have docker's list */
	int r = -EINVAL;

	switch (bundle_kind(bundle)) {
	case BUNDLE_OCI:
		r = list_index(&load, err);
		if (r == 0 && read_docker(&load, &none) < 0 && none.code != ENOENT)
			r = err_set(err, none.code, "%s", none.msg);
		break;
	case BUNDLE_DOCKER:
		r = list_docker(&load, err);
		break;
	case BUNDLE_TAR:
	case BUNDLE_FOLDER:
		r = err_set(err, EINVAL,
			    "it is no OCI layout and no docker-archive (a root comes in by hull "
			    "image import)");
		break;
	}
	if (r == 0 && load.n == 0)
		r = err_set(err, ENOENT, "no image for %s in it",
			    what->platform ? what->platform : "this host");
	for (size_t i = 0; r == 0 && i < load.n; i++)
		r = load_one(&load, &load.items[i], err);
	return r;
}
