/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents around an image. The first byte says which: config, manifest, index, manifest.json.
 * What is taken must survive being used: changed and written again, looked through for a platform.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "image/image_priv.h"
#include "image/import_spec.h"
#include "image/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A config that is taken, changed and written has to be taken again. */
static void try_config(struct json_object *doc, const char *text)
{
	AUTO_IMAGE struct image image = {0};
	AUTO_IMAGE struct image again = {0};
	AUTO(auto_json_free) struct json_object *changed = NULL;
	AUTO_FREE char *made = NULL;
	struct image_import what = {.name = "a", .cmd = "x y", .user = "u"};
	struct err err = ERR_INIT;

	if (image_parse_config(doc, &image, &err) < 0)
		return;
	if (import_config(text, &what, "", 1, &made, &err) < 0 ||
	    json_parse(made, strlen(made), IMAGE_JSON_MAX, "changed", &changed, &err) < 0 ||
	    image_parse_config(changed, &again, &err) < 0 || again.diff_ids.n != image.diff_ids.n)
		abort();
}

static void try_index(struct json_object *doc)
{
	AUTO(oci_index_done) struct oci_index index = {0};
	AUTO(platform_done) struct platform platform = {0};
	const struct oci_descriptor *found = NULL;
	struct err err = ERR_INIT;

	if (oci_parse_index(doc, &index, &err) < 0)
		return;
	if (platform_parse("linux/amd64", &platform, &err) < 0)
		abort();
	for (int wanted = 0; wanted < 2; wanted++) {
		struct err none = ERR_INIT;
		if (oci_select(&index, &platform, wanted != 0, NULL, &found, &none) == 0 &&
		    (found < index.items || found >= index.items + index.n))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO(oci_manifest_done) struct oci_manifest manifest = {0};
	AUTO(docker_archive_done) struct docker_archive archive = {0};
	const struct docker_image *found = NULL;
	struct err err = ERR_INIT;

	if (n < 2)
		return 0;
	AUTO_FREE char *text = strndup((const char *)data + 1, n - 1);
	if (!text || json_parse(text, strlen(text), IMAGE_JSON_MAX, "doc", &doc, &err) < 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		try_config(doc, text);
		break;
	case 1:
		if (oci_parse_manifest(doc, &manifest, &err) == 0 && manifest.n > IMAGE_LAYERS_MAX)
			abort();
		break;
	case 2:
		try_index(doc);
		break;
	default:
		if (docker_parse_archive(doc, &archive, &err) == 0 &&
		    docker_select(&archive, NULL, "a:latest", &found, &err) == 0 && !found)
			abort();
		break;
	}
	return 0;
}
