/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What signatures consist of, from outside. The first byte says which: payload, artifact, base64, a
 * key in PEM. A payload that is taken and written again has to be taken again, and say the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "image/image.h"
#include "image/sign.h"
#include "image/sign_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void try_payload(const char *text, size_t n)
{
	AUTO(payload_done) struct payload payload = {0};
	AUTO(payload_done) struct payload again = {0};
	AUTO_BUF struct buf made = BUF_INIT;
	struct err err = ERR_INIT;

	if (payload_parse(text, n, &payload, &err) < 0)
		return;
	payload_write(payload.repository, payload.digest, &made);
	if (payload_parse(made.data, made.len, &again, &err) < 0 ||
	    strcmp(again.repository, payload.repository) != 0 ||
	    strcmp(again.digest, payload.digest) != 0)
		abort();
}

static void try_artifact(const char *text, size_t n)
{
	struct artifact_layer *layers = NULL;
	struct err err = ERR_INIT;
	size_t count = 0;

	if (artifact_parse(text, n, &layers, &count, &err) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		if (strlen(layers[i].digest) != DIGEST_HEX || layers[i].size > SIGNATURE_BYTES_MAX)
			abort();
		free(layers[i].base64);
	}
	free(layers);
}

/* As an index, it leads to no image that it does not name. */
static void try_index(const char *text, size_t n)
{
	static const char digest[] =
		"1111111111111111111111111111111111111111111111111111111111111111";
	static char os[] = "linux", architecture[] = "amd64";
	const struct image image = {.os = os, .architecture = architecture};
	AUTO_SIGNATURES struct signatures list = {0};
	struct signable found = {.n = 0};
	struct err err = ERR_INIT;
	AUTO_FREE char *copy = strndup(text, n);

	if (!copy || signatures_add_index(&list, copy, strlen(copy), &err) < 0 ||
	    signable_find(&list.indexes, digest, &image, &found, &err) < 0)
		return;
	if (found.n < 1 || found.n > 2)
		abort();
}

static void try_base64(const char *text, size_t n)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	AUTO_BUF struct buf back = BUF_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	struct err err = ERR_INIT;

	if (base64_decode(text, n, &bytes, &err) < 0)
		return;
	base64_encode(bytes.data, bytes.len, &back);
	if (base64_decode(back.data ? back.data : "", back.len, &again, &err) < 0 ||
	    again.len != bytes.len ||
	    (bytes.len > 0 && memcmp(again.data, bytes.data, bytes.len) != 0))
		abort();
}

static void try_key(const char *text, size_t n)
{
	AUTO(auto_sign_key_free) struct sign_key *public = NULL;
	AUTO(auto_sign_key_free) struct sign_key *private = NULL;
	struct err first = ERR_INIT, second = ERR_INIT, third = ERR_INIT;

	if (sign_key_public(text, n, &public, &first) == 0 &&
	    sign_check(public, "x", 1, "MEQCIA==", &third) != 0)
		abort();
	(void)!sign_key_private(text, n, NULL, &private, &second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 2)
		return 0;
	const char *text = (const char *)data + 1;
	switch (data[0] % 4) {
	case 0:
		try_payload(text, n - 1);
		break;
	case 1:
		try_artifact(text, n - 1);
		try_index(text, n - 1);
		break;
	case 2:
		try_base64(text, n - 1);
		break;
	default:
		try_key(text, n - 1);
		break;
	}
	return 0;
}
