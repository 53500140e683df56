/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, signatures and the documents around them. */
#include "../test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "image/image.h"
#include "image/seal.h"
#include "image/sha256.h"
#include "image/sign.h"
#include "image/sign_key.h"

#define HEX   "1111111111111111111111111111111111111111111111111111111111111111"
#define OTHER "2222222222222222222222222222222222222222222222222222222222222222"

TEST(base64_of_every_length_reads_back)
{
	const char bytes[] = "\0\xff\x80 any bytes at all";

	for (size_t n = 0; n < sizeof(bytes); n++) {
		AUTO_BUF struct buf text = BUF_INIT;
		AUTO_BUF struct buf back = BUF_INIT;
		struct err err = ERR_INIT;
		base64_encode(bytes, n, &text);
		EXPECT_EQ(base64_decode(text.data ? text.data : "", text.len, &back, &err), 0);
		EXPECT_EQ(back.len, n);
		EXPECT(n == 0 || memcmp(back.data, bytes, n) == 0);
	}
}

TEST(what_is_no_base64_is_refused)
{
	static const char *const bad[] = {"A", "AB=", "A===", "AB=A", "AAAA=", "AB C*", "AA==A"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_BUF struct buf back = BUF_INIT;
		struct err err = ERR_INIT;
		if (base64_decode(bad[i], strlen(bad[i]), &back, &err) != -EINVAL)
			FAIL("'%s' was taken", bad[i]);
	}
}

TEST(a_payload_says_what_was_written)
{
	AUTO(payload_done) struct payload payload = {0};
	AUTO_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	payload_write("example.org/a \"b\"", HEX, &text);
	EXPECT_EQ(payload_parse(text.data, text.len, &payload, &err), 0);
	EXPECT_STR(payload.repository, "example.org/a \"b\"");
	EXPECT_STR(payload.digest, HEX);
}

TEST(payloads_of_another_kind_are_refused)
{
	static const char *const bad[] = {
		"",
		"null",
		"[]",
		"{}",
		"{\"critical\":{}}",
		"{\"critical\":null}",
		"{\"critical\":{\"type\":\"atomic container signature\",\"image\":"
		"{\"docker-manifest-digest\":\"sha256:" HEX "\"}}}",
		"{\"critical\":{\"type\":\"cosign container image signature\",\"image\":"
		"{\"docker-manifest-digest\":\"sha512:" HEX "\"}}}",
		"{\"critical\":{\"type\":\"cosign container image signature\",\"image\":"
		"{\"docker-manifest-digest\":\"sha256:11\"}}}",
		"{\"critical\":{\"type\":\"cosign container image signature\",\"image\":"
		"{\"docker-manifest-digest\":\"sha256:" HEX "\"},\"image\":{}}}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO(payload_done) struct payload payload = {0};
		struct err err = ERR_INIT;
		if (payload_parse(bad[i], strlen(bad[i]), &payload, &err) >= 0)
			FAIL("'%s' was taken", bad[i]);
	}
}

/* A key, and the same with its public half alone. */
static int new_pair(struct sign_key **private, struct sign_key **public, struct err *err)
{
	AUTO_BUF struct buf pem = BUF_INIT;

	int r = sign_key_new(private, err);
	if (r == 0)
		r = sign_key_write_public(*private, &pem, err);
	return r < 0 ? r : sign_key_public(pem.data, pem.len, public, err);
}

TEST(a_signature_holds_for_its_key_and_its_bytes_alone)
{
	AUTO(auto_sign_key_free) struct sign_key *mine = NULL;
	AUTO(auto_sign_key_free) struct sign_key *public = NULL;
	AUTO(auto_sign_key_free) struct sign_key *other = NULL;
	AUTO(auto_sign_key_free) struct sign_key *other_public = NULL;
	AUTO_FREE char *base64 = NULL;
	struct err err = ERR_INIT;

	EXPECT_EQ(new_pair(&mine, &public, &err), 0);
	EXPECT_EQ(new_pair(&other, &other_public, &err), 0);
	EXPECT_EQ(sign_bytes(mine, "text", 4, &base64, &err), 0);
	EXPECT_EQ(sign_check(public, "text", 4, base64, &err), 1);
	EXPECT_EQ(sign_check(public, "texT", 4, base64, &err), 0);
	EXPECT_EQ(sign_check(other_public, "text", 4, base64, &err), 0);
	EXPECT_EQ(sign_check(public, "text", 4, "", &err), 0);
	EXPECT_EQ(sign_check(public, "text", 4, "!", &err), 0);
	base64[10] = base64[10] == 'A' ? 'B' : 'A';
	EXPECT_EQ(sign_check(public, "text", 4, base64, &err), 0);
}

TEST(a_signature_is_judged_by_who_what_and_for_whom)
{
	AUTO(auto_sign_key_free) struct sign_key *mine = NULL;
	AUTO(auto_sign_key_free) struct sign_key *public = NULL;
	AUTO_BUF struct buf payload = BUF_INIT;
	struct err err = ERR_INIT, why = ERR_INIT;
	struct signature s = {0};
	const struct signable this = {.digest = {HEX}, .n = 1}, other = {.digest = {OTHER}, .n = 1};
	const struct signable both = {.digest = {OTHER, HEX}, .n = 2};

	EXPECT_EQ(new_pair(&mine, &public, &err), 0);
	struct trusted trusted = {&public, 1};
	payload_write("example.org:5000/a", HEX, &payload);
	EXPECT_EQ(sign_bytes(mine, payload.data, payload.len, &s.base64, &err), 0);
	s.payload = payload.data;
	EXPECT_EQ(signature_judge(&s, &trusted, &this, "example.org:5000/a:tag", &why, &err), 1);
	EXPECT_EQ(signature_judge(&s, &trusted, &this, NULL, &why, &err), 1);
	EXPECT_EQ(signature_judge(&s, &trusted, &both, NULL, &why, &err), 1);
	EXPECT_EQ(signature_judge(&s, &trusted, &this, "example.org:5000/ab", &why, &err), 0);
	EXPECT_STR(why.msg, "it was made for 'example.org:5000/a'");
	EXPECT_EQ(signature_judge(&s, &trusted, &this, "example.org", &why, &err), 0);
	EXPECT_EQ(signature_judge(&s, &trusted, &other, NULL, &why, &err), 0);
	EXPECT_EQ(signature_judge(&s, &(struct trusted){0}, &this, NULL, &why, &err), 0);
	EXPECT_STR(why.msg, "none of the keys has made it");
	free(s.base64);
}

TEST(the_old_name_of_dockers_registry_is_its_name)
{
	AUTO(auto_sign_key_free) struct sign_key *mine = NULL;
	AUTO(auto_sign_key_free) struct sign_key *public = NULL;
	AUTO_SIGNATURES struct signatures list = {0};
	struct err err = ERR_INIT, why = ERR_INIT;
	const struct signable this = {.digest = {HEX}, .n = 1};

	EXPECT_EQ(new_pair(&mine, &public, &err), 0);
	struct trusted trusted = {&public, 1};
	EXPECT_EQ(sign_digest(mine, "index.docker.io/library/a:1", HEX, &list, &err), 0);
	EXPECT_EQ(signatures_judge(&list, &trusted, &this, "docker.io/library/a", &why, &err), 1);
	EXPECT_EQ(signatures_judge(&list, &trusted, &this, "docker.io/library/b", &why, &err), 0);
	EXPECT_EQ(signatures_judge(&list, &trusted, &this, "example.org/library/a", &why, &err), 0);
}

#define INDEX_TYPE    "application/vnd.oci.image.index.v1+json"
#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define LINE(type, digest, more)                                                                   \
	"{\"mediaType\":\"" type "\",\"size\":10,\"digest\":\"sha256:" digest "\"" more "}"
#define FOR(os, architecture)                                                                      \
	",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" architecture "\"}"
#define INDEX(lines)                                                                               \
	"{\"schemaVersion\":2,\"mediaType\":\"" INDEX_TYPE "\",\"manifests\":[" lines "]}"

static int find(const char *index, struct signable *ret, struct err *err)
{
	static char os[] = "linux", architecture[] = "amd64";
	const struct image image = {.os = os, .architecture = architecture};
	AUTO_SIGNATURES struct signatures list = {0};

	int r = signatures_add_index(&list, index, strlen(index), err);
	return r < 0 ? r : signable_find(&list.indexes, HEX, &image, ret, err);
}

TEST(an_index_that_names_the_manifest_for_its_platform_may_be_signed_for_it)
{
	static const char *const good[] = {
		INDEX(LINE(MANIFEST_TYPE, HEX, FOR("linux", "amd64"))),
		INDEX(LINE(MANIFEST_TYPE, HEX, "")),
		INDEX(LINE(MANIFEST_TYPE, OTHER,
			   FOR("linux", "arm64")) "," LINE(MANIFEST_TYPE, HEX,
							   FOR("linux", "amd64"))),
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct signable found = {.n = 0};
		struct err err = ERR_INIT;
		char hex[DIGEST_HEX + 1];
		EXPECT_EQ(find(good[i], &found, &err), 0);
		EXPECT_EQ(sha256_hex(good[i], strlen(good[i]), hex, &err), 0);
		if (found.n != 2)
			FAIL("'%s' was not taken", good[i]);
		EXPECT_STR(found.digest[0], HEX);
		EXPECT_STR(found.digest[1], hex);
	}
}

TEST(an_index_that_does_not_lead_to_the_image_counts_for_nothing)
{
	static const char *const bad[] = {
		INDEX(""),
		INDEX(LINE(MANIFEST_TYPE, OTHER, "")),
		INDEX(LINE(MANIFEST_TYPE, HEX, FOR("linux", "arm64"))),
		INDEX(LINE(MANIFEST_TYPE, HEX, FOR("windows", "amd64"))),
		INDEX(LINE(MANIFEST_TYPE, HEX, FOR("unknown", "unknown"))),
		INDEX(LINE(MANIFEST_TYPE, HEX,
			   ",\"annotations\":{\"vnd.docker.reference.type\":"
			   "\"attestation-manifest\"}")),
		INDEX(LINE(INDEX_TYPE, HEX, "")),
		INDEX(LINE("application/vnd.oci.image.config.v1+json", HEX, "")),
		INDEX(LINE(MANIFEST_TYPE, HEX, FOR("linux", "amd64"))) "x",
		"",
		"[]",
		"{\"schemaVersion\":2,\"layers\":[" LINE(MANIFEST_TYPE, HEX, "") "]}",
		"{\"manifests\":\"sha256:" HEX "\"}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct signable found = {.n = 0};
		struct err err = ERR_INIT;
		EXPECT_EQ(find(bad[i], &found, &err), 0);
		if (found.n != 1)
			FAIL("'%s' was taken", bad[i]);
	}
}

TEST(an_index_of_an_index_leads_on_in_whatever_order_they_are_kept)
{
	static const char inner[] = INDEX(LINE(MANIFEST_TYPE, HEX, FOR("linux", "amd64")));
	static char os[] = "linux", architecture[] = "amd64";
	const struct image image = {.os = os, .architecture = architecture};
	AUTO_BUF struct buf outer = BUF_INIT;
	char hex[DIGEST_HEX + 1], top[DIGEST_HEX + 1];
	struct err err = ERR_INIT;

	EXPECT_EQ(sha256_hex(inner, strlen(inner), hex, &err), 0);
	buf_printf(&outer,
		   INDEX("{\"mediaType\":\"" INDEX_TYPE "\",\"size\":10,\"digest\":\"sha256:%s\"}"),
		   hex);
	EXPECT_EQ(sha256_hex(outer.data, outer.len, top, &err), 0);
	for (int order = 0; order < 2; order++) {
		AUTO_SIGNATURES struct signatures list = {0};
		struct signable found = {.n = 0};
		const char *first = order ? inner : outer.data;
		const char *second = order ? outer.data : inner;
		EXPECT_EQ(signatures_add_index(&list, first, strlen(first), &err), 0);
		EXPECT_EQ(signatures_add_index(&list, second, strlen(second), &err), 0);
		EXPECT_EQ(signable_find(&list.indexes, HEX, &image, &found, &err), 0);
		EXPECT_EQ(found.n, 3);
		EXPECT_STR(found.digest[1], hex);
		EXPECT_STR(found.digest[2], top);
	}
	/* and the outer one alone leads nowhere */
	struct signable found = {.n = 0};
	EXPECT_EQ(find(outer.data, &found, &err), 0);
	EXPECT_EQ(found.n, 1);
}

TEST(indexes_are_kept_once_and_to_a_bound)
{
	AUTO_SIGNATURES struct signatures list = {0};
	struct err err = ERR_INIT;
	char text[32];

	for (int i = 0; i < 3 * INDEXES_MAX; i++) {
		(void)snprintf(text, sizeof(text), "index %d", i);
		EXPECT_EQ(signatures_add_index(&list, text, strlen(text), &err), 0);
		EXPECT_EQ(signatures_add_index(&list, text, strlen(text), &err), 0);
	}
	EXPECT_EQ(list.indexes.n, INDEXES_MAX);
	EXPECT_STR(list.indexes.v[INDEXES_MAX - 1], text);
	EXPECT_EQ(signatures_add_index(&list, "a\0b", 3, &err), -EINVAL);
}

TEST(a_sealed_secret_opens_by_its_passphrase_alone)
{
	AUTO_BUF struct buf box = BUF_INIT;
	AUTO_BUF struct buf secret = BUF_INIT;
	struct err err = ERR_INIT, wrong = ERR_INIT;

	EXPECT_EQ(seal_close("secret", 6, "pass", &box, &err), 0);
	EXPECT_EQ(seal_open(box.data, box.len, "pasS", &secret, &wrong), -EACCES);
	EXPECT_EQ(secret.len, 0);
	EXPECT_EQ(seal_open(box.data, box.len, "pass", &secret, &err), 0);
	EXPECT_EQ(secret.len, 6);
	EXPECT(memcmp(secret.data, "secret", 6) == 0);
}

TEST(a_box_that_asks_for_too_much_or_lies_is_refused_at_once)
{
	static const char *const params[] = {
		"\"N\":1073741824,\"r\":8,\"p\":1", "\"N\":1048576,\"r\":32,\"p\":16",
		"\"N\":1000,\"r\":8,\"p\":1",       "\"N\":1024,\"r\":0,\"p\":1",
		"\"N\":-2,\"r\":8,\"p\":1",         "\"N\":0,\"r\":8,\"p\":1",
	};

	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		AUTO_BUF struct buf secret = BUF_INIT;
		char text[512];
		struct err err = ERR_INIT;
		(void)snprintf(text, sizeof(text),
			       "{\"kdf\":{\"name\":\"scrypt\",\"params\":{%s},\"salt\":\"AAAA\"},"
			       "\"cipher\":{\"name\":\"nacl/secretbox\",\"nonce\":"
			       "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"},\"ciphertext\":"
			       "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
			       params[i]);
		if (seal_open(text, strlen(text), "x", &secret, &err) >= 0)
			FAIL("%s: %s", params[i], err.msg);
	}
}

TEST(an_artifact_holds_each_signature)
{
	AUTO_SIGNATURES struct signatures list = {0};
	AUTO_BUF struct buf config = BUF_INIT;
	AUTO_BUF struct buf manifest = BUF_INIT;
	struct artifact_layer *layers = NULL;
	struct err err = ERR_INIT;
	size_t n = 0;

	EXPECT_EQ(signatures_add(&list, "one", "b25l", &err), 0);
	EXPECT_EQ(signatures_add(&list, "two", "dHdv", &err), 0);
	EXPECT_EQ(signatures_add(&list, "one", "b25l", &err), 0);
	EXPECT_EQ(list.n, 2);
	EXPECT_EQ(artifact_write(&list, NULL, "{\"digest\":\"x\"}", &config, &manifest, &err), 0);
	EXPECT(strstr(manifest.data, "\"subject\":{\"digest\":\"x\"}") != NULL);
	EXPECT_EQ(artifact_parse(manifest.data, manifest.len, &layers, &n, &err), 0);
	EXPECT_EQ(n, 2);
	EXPECT_STR(layers[0].base64, "b25l");
	EXPECT_EQ(layers[1].size, 3);
	for (size_t i = 0; i < n; i++)
		free(layers[i].base64);
	free(layers);
}

/* Whoever signs after others knows nothing of what their tools have noted beside signatures. */
TEST(an_artifact_keeps_what_others_have_put_there)
{
	static const char base[] =
		"{\"layers\":[{\"mediaType\":\"x/y\",\"digest\":\"sha256:ab\",\"size\":1,"
		"\"annotations\":{\"dev.sigstore.cosign/bundle\":\"{}\"}}]}";
	AUTO_SIGNATURES struct signatures list = {0};
	AUTO_BUF struct buf config = BUF_INIT;
	AUTO_BUF struct buf manifest = BUF_INIT;
	struct err err = ERR_INIT;

	EXPECT_EQ(signatures_add(&list, "one", "b25l", &err), 0);
	EXPECT_EQ(artifact_write(&list, base, NULL, &config, &manifest, &err), 0);
	EXPECT(strstr(manifest.data, "\"dev.sigstore.cosign/bundle\":\"{}\"") != NULL);
	EXPECT(strstr(manifest.data, "b25l") > strstr(manifest.data, "x/y"));
	EXPECT(strstr(config.data, "[\"sha256:ab\",\"sha256:") != NULL);
	EXPECT_EQ(artifact_write(&list, "{\"layers\":[1]}", NULL, &config, &manifest, &err),
		  -EINVAL);
}
