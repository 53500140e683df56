/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys in the form that cosign and openssl write: ECDSA on P-256, as PEM. A private key is PKCS #8,
 * or cosign's own: sealed by scrypt of a passphrase and NaCl's secretbox.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct buf;
struct err;
struct sign_key; /* OpenSSL's EVP_PKEY */

/* The public key in n bytes of PEM; the caller frees. */
int sign_key_public(const char *pem, size_t n, struct sign_key **ret, struct err *err)
	HULL_MUST_CHECK;

/* The private key in n bytes of PEM; `pass` opens a sealed one (may be NULL). The caller frees. */
int sign_key_private(const char *pem, size_t n, const char *pass, struct sign_key **ret,
		     struct err *err) HULL_MUST_CHECK;

/* Whether the PEM holds a key that needs a passphrase. */
int sign_key_is_sealed(const char *pem, size_t n);

/* A new private key; the caller frees. */
int sign_key_new(struct sign_key **ret, struct err *err) HULL_MUST_CHECK;

/* Appends the key as PEM: its public half; or all of it, sealed by `pass` unless that is NULL. */
int sign_key_write_public(const struct sign_key *key, struct buf *to, struct err *err)
	HULL_MUST_CHECK;
int sign_key_write_private(const struct sign_key *key, const char *pass, struct buf *to,
			   struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void sign_key_free(struct sign_key *key);

/* Signs n bytes; *ret is base64 of the DER signature, caller frees. */
int sign_bytes(const struct sign_key *key, const void *bytes, size_t n, char **ret, struct err *err)
	HULL_MUST_CHECK;

/* 1 when `base64` is the key's signature over the n bytes, 0 when it is not, be it malformed. */
int sign_check(const struct sign_key *key, const void *bytes, size_t n, const char *base64,
	       struct err *err) HULL_MUST_CHECK;

/* The bytes that base64 text means, appended; EINVAL for what is none. */
int base64_decode(const char *text, size_t n, struct buf *to, struct err *err) HULL_MUST_CHECK;

/* The text that n bytes are in base64, appended. */
void base64_encode(const void *bytes, size_t n, struct buf *to);

DEFINE_AUTO(struct sign_key, sign_key_free)
