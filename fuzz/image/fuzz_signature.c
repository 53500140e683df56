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
