/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>

#include "base/err.h"
#include "base/json.h"
#include "image/oci.h"

#define HEX1          "1111111111111111111111111111111111111111111111111111111111111111"
#define HEX2          "2222222222222222222222222222222222222222222222222222222222222222"
#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define INDEX_TYPE    "application/vnd.oci.image.index.v1+json"
#define CONFIG                                                                                             \
	"\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:" HEX1 \
	"\",\"size\":7}"
#define LAYER(extra)                                                                               \
	"{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:" HEX2 \
	"\",\"size\":9" extra "}"
#define ITEM(rest)                                                                                 \
	"{\"mediaType\":\"" MANIFEST_TYPE "\",\"digest\":\"sha256:" HEX1 "\",\"size\":5" rest "}"
#define FOR(os, arch) ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"
#define NAMED(name)   ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" name "\"}"

static int manifest_of(const char *text, struct oci_manifest *ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;

	int r = json_parse(text, strlen(text), IMAGE_JSON_MAX, "doc", &doc, err);
	return r < 0 ? r : oci_parse_manifest(doc, ret, err);
}

static int index_of(const char *text, struct oci_index *ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;

	int r = json_parse(text, strlen(text), IMAGE_JSON_MAX, "doc", &doc, err);
	return r < 0 ? r : oci_parse_index(doc, ret, err);
}

TEST(a_manifest_gives_config_and_layers_in_order)
{
	AUTO(oci_manifest_done) struct oci_manifest m = {0};
	struct err err = ERR_INIT;

	if (manifest_of(
		    "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER(
			    "") ","
				"{\"mediaType\":\"application/vnd.docker.image.rootfs.diff.tar\",\"digest\":"
				"\"sha256:" HEX1 "\",\"size\":0}]}",
		    &m, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT_STR(m.config.digest, HEX1);
	EXPECT_EQ(m.config.size, 7);
	EXPECT_EQ(m.n, 2);
	EXPECT_EQ(m.layers[0].kind, OCI_LAYER_GZIP);
	EXPECT_EQ(m.layers[1].kind, OCI_LAYER);
	EXPECT_STR(m.layers[0].digest, HEX2);
}

TEST(a_manifest_that_lies_is_refused_and_says_where)
{
	static const struct {
		const char *text, *msg;
	} cases[] = {
		{"[]", "not a JSON object"},
		{"{}", "schemaVersion: missing"},
		{"{\"schemaVersion\":1}", "schemaVersion: not between 2 and 2"},
		{"{\"schemaVersion\":2,\"mediaType\":\"" INDEX_TYPE "\"}",
		 "mediaType: '" INDEX_TYPE "' where a manifest belongs"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"manifests\":[]}",
		 "'manifests' in a manifest: could be read as two kinds of document"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"manifests\":null}",
		 "'manifests' in a manifest: could be read as two kinds of document"},
		{"{\"schemaVersion\":2,\"layers\":[]}", "config: missing"},
		{"{\"schemaVersion\":2," CONFIG "}", "layers: missing"},
		{"{\"schemaVersion\":2," CONFIG
		 ",\"layers\":[" LAYER(",\"urls\":[\"http://x/\"]") "]}",
		 "layers: element 0: urls: content from elsewhere is not taken"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[7]}",
		 "layers: element 0: not an object"},
		{"{\"schemaVersion\":2," CONFIG
		 ",\"layers\":[{\"mediaType\":\"text/plain\",\"digest\":"
		 "\"sha256:" HEX1 "\",\"size\":1}]}",
		 "layers: element 0 is of an unknown media type"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":"
		 "\"sha256:../../../etc/passwd\",\"size\":1}]}",
		 "layers: element 0: digest: 'sha256:../../../etc/passwd' is not 'sha256:' and 64 hex digits"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":"
		 "\"sha256:" HEX1 "\",\"size\":-1}]}",
		 "layers: element 0: size: not between 0 and 1125899906842624"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":"
		 "\"sha256:" HEX1 "\",\"size\":18446744073709551617}]}",
		 "layers: element 0: size: not between 0 and 1125899906842624"},
		{"{\"schemaVersion\":2,\"config\":" LAYER("") ",\"layers\":[]}",
		 "config: not the config of a container image"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO(oci_manifest_done) struct oci_manifest m = {0};
		struct err err = ERR_INIT;
		if (manifest_of(cases[i].text, &m, &err) >= 0)
			FAIL("%s is taken", cases[i].text);
		EXPECT_STR(err.msg, cases[i].msg);
	}
}

TEST(an_index_that_is_also_a_manifest_is_refused)
{
	AUTO(oci_index_done) struct oci_index index = {0};
	struct err two = ERR_INIT, wrong = ERR_INIT;

	EXPECT_EQ(index_of("{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", &index, &two),
		  -EINVAL);
	EXPECT_STR(two.msg, "'layers' in an index: could be read as two kinds of document");
	EXPECT_EQ(index_of("{\"schemaVersion\":2,\"mediaType\":\"" MANIFEST_TYPE
			   "\",\"manifests\":[]}",
			   &index, &wrong),
		  -EINVAL);
}

TEST(too_many_of_anything_is_refused)
{
	static char text[512 * 1024];
	AUTO(oci_manifest_done) struct oci_manifest m = {0};
	struct err err = ERR_INIT;
	size_t at = (size_t)snprintf(text, sizeof(text),
				     "{\"schemaVersion\":2," CONFIG ",\"layers\":[");

	for (int i = 0; i <= IMAGE_LAYERS_MAX; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s" LAYER(""), i ? "," : "");
	(void)snprintf(text + at, sizeof(text) - at, "]}");
	EXPECT_EQ(manifest_of(text, &m, &err), -E2BIG);
}

/* Selects from an index for linux/amd64, whose items are one document (same) or several: the number
 * of the one that was chosen. */
static int choose_of(bool same, const char *items, const char *platform, const char *ref,
		     struct err *err)
{
	static char text[4096];
	AUTO(oci_index_done) struct oci_index index = {0};
	AUTO(platform_done) struct platform p = {0};
	const struct oci_descriptor *found = NULL;

	(void)snprintf(text, sizeof(text), "{\"schemaVersion\":2,\"manifests\":[%s]}", items);
	int r = index_of(text, &index, err);
	if (r == 0)
		r = platform_parse(platform ? platform : "linux/amd64", &p, err);
	for (size_t i = 0; r == 0 && !same && i < index.n; i++)
		index.items[i].digest[0] = (char)('a' + (char)i);
	if (r == 0)
		r = oci_select(&index, &p, platform != NULL, ref, &found, err);
	return r < 0 ? r : (int)(found - index.items);
}

static int choose(const char *items, const char *platform, const char *ref, struct err *err)
{
	return choose_of(false, items, platform, ref, err);
}

TEST(the_platform_picks_one_of_several)
{
	const char *two = ITEM(FOR("linux", "arm64")) "," ITEM(FOR("linux", "amd64"));
	struct err err = ERR_INIT;

	EXPECT_EQ(choose(two, NULL, NULL, &err), 1);
	EXPECT_EQ(choose(two, "linux/arm64", NULL, &err), 0);
	EXPECT_EQ(choose(two, "linux/s390x", NULL, &err), -ENOENT);
	EXPECT_STR(
		err.msg,
		"no image for linux/s390x in it; there is: linux/arm64, linux/amd64 (see --platform)");
}

TEST(a_single_image_is_taken_whatever_it_is_for_unless_asked_otherwise)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(choose(ITEM(FOR("linux", "arm64")), NULL, NULL, &err), 0);
	EXPECT_EQ(choose(ITEM(""), NULL, NULL, &err), 0);
	EXPECT_EQ(choose(ITEM(""), "linux/arm64", NULL, &err), 0);
	EXPECT_EQ(choose(ITEM(FOR("linux", "arm64")), "linux/amd64", NULL, &err), -ENOENT);
}

TEST(attestations_and_unknown_types_are_no_images)
{
	struct err err = ERR_INIT;
	const char *items = ITEM(FOR(
		"unknown",
		"unknown") ",\"annotations\":{\"vnd.docker.reference.type\":"
			   "\"attestation-manifest\"}") ","
							"{\"mediaType\":\"application/x\",\"digest\":\"sha256:" HEX1
							"\",\"size\":1}," ITEM(
								FOR("linux", "arm64"));

	EXPECT_EQ(choose(items, NULL, NULL, &err), 2);
	EXPECT_EQ(choose("", NULL, NULL, &err), -ENOENT);
	EXPECT_STR(err.msg, "no image in it; there is: nothing");
}

TEST(several_images_for_one_platform_need_a_name)
{
	const char *two = ITEM(NAMED("v1")) "," ITEM(NAMED("v2"));
	struct err err = ERR_INIT, none = ERR_INIT;

	EXPECT_EQ(choose(two, NULL, NULL, &err), -EINVAL);
	EXPECT_STR(err.msg,
		   "2 images for linux/amd64 in it; choose one with --ref of: ?/? (v1), ?/? (v2)");
	EXPECT_EQ(choose(two, NULL, "v2", &err), 1);
	EXPECT_EQ(choose(two, NULL, "v3", &none), -ENOENT);
}

TEST(one_image_under_several_names_needs_none)
{
	const char *two = ITEM(NAMED("v1")) "," ITEM(NAMED("v2"));
	struct err err = ERR_INIT;

	EXPECT_EQ(choose_of(true, two, NULL, NULL, &err), 0);
	EXPECT_EQ(choose_of(true, two, NULL, "v2", &err), 1);
	EXPECT_EQ(choose_of(true, two, NULL, "@sha256:" HEX1, &err), 0);
	EXPECT_EQ(choose_of(true, two, NULL, "@sha256:" HEX2, &err), -ENOENT);
}

TEST(of_several_variants_the_first_is_taken_or_the_one_asked_for)
{
	const char *two =
		ITEM(",\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\"}") "," ITEM(
			",\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v6\"}");
	struct err err = ERR_INIT;

	EXPECT_EQ(choose(two, "linux/arm", NULL, &err), 0);
	EXPECT_EQ(choose(two, "linux/arm/v6", NULL, &err), 1);
}

TEST(a_platform_is_two_or_three_words)
{
	static const char *const bad[] = {"",
					  "linux",
					  "linux/",
					  "/amd64",
					  "linux/amd64/v8/x",
					  "Linux/amd64",
					  "linux/am d64",
					  "linux/amd64/"};
	AUTO(platform_done) struct platform p = {0};
	struct err err = ERR_INIT;

	EXPECT_EQ(platform_parse("linux/arm64/v8", &p, &err), 0);
	EXPECT_STR(p.variant, "v8");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct platform none = {0};
		struct err no = ERR_INIT;
		if (platform_parse(bad[i], &none, &no) != -EINVAL)
			FAIL("'%s' is taken", bad[i]);
	}
}

static int pick(const char *text, const char *ref, const char *name, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO(docker_archive_done) struct docker_archive archive = {0};
	const struct docker_image *found = NULL;

	int r = json_parse(text, strlen(text), IMAGE_JSON_MAX, "doc", &doc, err);
	if (r == 0)
		r = docker_parse_archive(doc, &archive, err);
	if (r == 0)
		r = docker_select(&archive, ref, name, &found, err);
	return r < 0 ? r : (int)(found - archive.images);
}

TEST(a_docker_archive_gives_the_image_that_is_meant)
{
	const char *one = "[{\"Config\":\"c.json\",\"RepoTags\":null,\"Layers\":[\"l.tar\"]}]";
	const char *two =
		"[{\"Config\":\"a\",\"RepoTags\":[\"x:1\"],\"Layers\":[]},"
		"{\"Config\":\"b\",\"RepoTags\":[\"docker.io/x:2\",\"y:1\"],\"Layers\":[]}]";
	struct err err = ERR_INIT, no = ERR_INIT;

	EXPECT_EQ(pick(one, NULL, "any:latest", &err), 0);
	EXPECT_EQ(pick(two, "x:2", "any:latest", &err), 1);
	EXPECT_EQ(pick(two, NULL, "y:1", &err), 1);
	EXPECT_EQ(pick(two, NULL, "any:latest", &err), -EINVAL);
	EXPECT_STR(err.msg, "2 images in it; choose one with --ref");
	EXPECT_EQ(pick(one, "x:1", "any:latest", &no), -ENOENT);
}

TEST(a_docker_archive_with_wrong_types_is_refused)
{
	static const char *const bad[] = {
		"{}",
		"[7]",
		"[]",
		"[{}]",
		"[{\"Config\":1,\"Layers\":[]}]",
		"[{\"Config\":\"c\"}]",
		"[{\"Config\":\"c\",\"Layers\":\"l\"}]",
		"[{\"Config\":\"c\",\"Layers\":[1]}]",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		if (pick(bad[i], NULL, "a:b", &err) >= 0)
			FAIL("%s is taken", bad[i]);
	}
}
