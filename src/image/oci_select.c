/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several images is meant. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "image/image.h"
#include "image/oci.h"

void docker_archive_done(struct docker_archive *archive)
{
	for (size_t i = 0; i < archive->n; i++) {
		free(archive->images[i].config);
		strv_done(&archive->images[i].layers);
		strv_done(&archive->images[i].tags);
	}
	free(archive->images);
	*archive = (struct docker_archive){0};
}

static int parse_docker_image(struct json_object *obj, struct docker_image *ret, struct err *err)
{
	const char *config = NULL;

	if (!json_is_obj(obj))
		return err_set(err, EINVAL, "not an object");
	int r = json_need(json_get_str(obj, "Config", &config, err), "Config", err);
	if (r >= 0)
		r = json_need(json_get_strv(obj, "Layers", &ret->layers, err), "Layers", err);
	if (r >= 0)
		r = json_get_strv(obj, "RepoTags", &ret->tags, err);
	if (r < 0)
		return r;
	if (ret->layers.n > IMAGE_LAYERS_MAX)
		return err_set(err, E2BIG, "Layers: %zu of them, at most %d", ret->layers.n,
			       IMAGE_LAYERS_MAX);
	ret->config = strdup(config);
	return ret->config ? 0 : err_set(err, ENOMEM, "out of memory");
}

int docker_parse_archive(struct json_object *doc, struct docker_archive *ret, struct err *err)
{
	enum { IMAGES_MAX = 1000 };
	struct docker_archive archive = {0};

	if (!json_is_array(doc))
		return err_set(err, EINVAL, "not a JSON array");
	size_t n = json_len(doc);
	if (n > IMAGES_MAX)
		return err_set(err, E2BIG, "%zu images, at most %d", n, IMAGES_MAX);
	archive.images = calloc(n + 1, sizeof(*archive.images));
	if (!archive.images)
		return err_set(err, ENOMEM, "out of memory");
	archive.n = n;
	for (size_t i = 0; i < n; i++) {
		int r = parse_docker_image(json_at(doc, i), &archive.images[i], err);
		if (r < 0) {
			docker_archive_done(&archive);
			return err_wrap(err, "image %zu", i);
		}
	}
	*ret = archive;
	return 0;
}

bool oci_is_image(const struct oci_descriptor *d)
{
	return (d->kind == OCI_MANIFEST || d->kind == OCI_INDEX) && !d->is_attestation &&
	       !(d->os && strcmp(d->os, "unknown") == 0);
}

/* A name in an archive is a whole name, or only a tag, or only a repository with its tag;
 * "@sha256:HEX" names the document itself. */
static bool ref_matches(const struct oci_descriptor *d, const char *ref)
{
	const char *hex = NULL;

	if (ref && str_prefix(ref, "@sha256:", &hex))
		return strcmp(d->digest, hex) == 0;
	return !ref || (d->ref && strcmp(d->ref, ref) == 0);
}

bool oci_platform_matches(const struct oci_descriptor *d, const struct platform *p)
{
	if (!d->os)
		return true;
	return platform_is(p, d->os, d->architecture) &&
	       (!p->variant || (d->variant && strcmp(d->variant, p->variant) == 0));
}

/* "linux/arm64 (name), …" of all that could have been meant; buf_take() by the caller. */
static char *list_choices(const struct oci_index *index)
{
	AUTO_BUF struct buf text = BUF_INIT;

	for (size_t i = 0; i < index->n && text.len < 200; i++) {
		const struct oci_descriptor *d = &index->items[i];
		if (!oci_is_image(d))
			continue;
		buf_printf(&text, "%s%.32s/%.32s", text.len ? ", " : "", d->os ? d->os : "?",
			   d->architecture ? d->architecture : "?");
		if (d->ref)
			buf_printf(&text, " (%.60s)", d->ref);
	}
	return buf_take(&text);
}

struct choice {
	const struct oci_descriptor *match, *only;
	size_t matches, images;
	bool variants; /* the matches are one image for several variants of the architecture */
};

/* Whether the image was listed before, under another name that may be meant as well. */
static bool is_again(const struct oci_index *index, size_t i, const char *ref)
{
	for (size_t k = 0; k < i; k++) {
		if (oci_is_image(&index->items[k]) && ref_matches(&index->items[k], ref) &&
		    strcmp(index->items[k].digest, index->items[i].digest) == 0)
			return true;
	}
	return false;
}

/* Goes through the images that may be meant. */
static struct choice look(const struct oci_index *index, const struct platform *platform,
			  const char *ref)
{
	struct choice c = {0};

	for (size_t i = 0; i < index->n; i++) {
		const struct oci_descriptor *d = &index->items[i];
		if (!oci_is_image(d) || !ref_matches(d, ref) || is_again(index, i, ref))
			continue;
		c.images++;
		c.only = d;
		if (oci_platform_matches(d, platform)) {
			c.matches++;
			/* Several variants: the first is the publisher's choice. */
			c.match = c.match ? c.match : d;
		}
	}
	c.variants = c.match && (platform->variant || c.match->variant) && !c.match->ref;
	return c;
}

static int explain(const struct oci_index *index, const struct choice *c,
		   const struct platform *platform, const char *ref, struct err *err)
{
	AUTO_FREE char *choices = list_choices(index);

	if (!choices)
		return err_set(err, ENOMEM, "out of memory");
	if (c->images == 0)
		return err_set(err, ENOENT, "no image %s%s%sin it; there is: %s",
			       ref ? "named '" : "", ref ? ref : "", ref ? "' " : "",
			       *choices ? choices : "nothing");
	if (c->match)
		return err_set(err, EINVAL,
			       "%zu images for %s/%s in it; choose one with --ref of: %s",
			       c->matches, platform->os, platform->architecture, choices);
	return err_set(err, ENOENT, "no image for %s/%s in it; there is: %s (see --platform)",
		       platform->os, platform->architecture, choices);
}

int oci_select(const struct oci_index *index, const struct platform *platform, bool wanted,
	       const char *ref, const struct oci_descriptor **ret, struct err *err)
{
	struct choice c = look(index, platform, ref);

	if (c.images == 1 && (c.match || !wanted || !c.only->os)) {
		*ret = c.only;
		return 0;
	}
	if (c.match && (c.matches == 1 || c.variants)) {
		*ret = c.match;
		return 0;
	}
	return explain(index, &c, platform, ref, err);
}
/* Programs that write such archives put a registry in front of names that had none. */
static bool tag_matches(const char *tag, const char *wanted)
{
	size_t n = strlen(tag), m = strlen(wanted);

	return strcmp(tag, wanted) == 0 ||
	       (n > m && tag[n - m - 1] == '/' && strcmp(tag + n - m, wanted) == 0);
}

static const struct docker_image *find_tag(const struct docker_archive *archive, const char *tag)
{
	for (size_t i = 0; tag && i < archive->n; i++) {
		for (size_t k = 0; k < archive->images[i].tags.n; k++) {
			if (tag_matches(archive->images[i].tags.v[k], tag))
				return &archive->images[i];
		}
	}
	return NULL;
}

/* The image whose config's file has `hex` in its name, as all programs write it. */
static const struct docker_image *find_config(const struct docker_archive *archive, const char *hex)
{
	for (size_t i = 0; i < archive->n; i++) {
		if (strstr(archive->images[i].config, hex))
			return &archive->images[i];
	}
	return NULL;
}

int docker_select(const struct docker_archive *archive, const char *ref, const char *name,
		  const struct docker_image **ret, struct err *err)
{
	const char *hex = NULL;
	const struct docker_image *found = ref && str_prefix(ref, "@sha256:", &hex)
						   ? find_config(archive, hex)
						   : find_tag(archive, ref ? ref : name);

	if (!found && !ref && archive->n == 1)
		found = &archive->images[0];
	if (found) {
		*ret = found;
		return 0;
	}
	if (archive->n == 0)
		return err_set(err, ENOENT, "no image in it");
	if (ref)
		return err_set(err, ENOENT, "no image tagged '%.200s' in it", ref);
	return err_set(err, EINVAL, "%zu images in it; choose one with --ref", archive->n);
}
