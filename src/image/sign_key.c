/* SPDX-License-Identifier: Apache-2.0 */
#include "image/sign_key.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "image/seal.h"

enum { DER_MAX = 4096 };

DEFINE_AUTO(BIO, BIO_free_all)
DEFINE_AUTO(EVP_MD_CTX, EVP_MD_CTX_free)

static EVP_PKEY *evp(const struct sign_key *key)
{
	/* libcrypto takes no key as const, and changes none here */
	const union {
		const struct sign_key *key;
		EVP_PKEY *evp;
	} same = {.key = key};

	return same.evp;
}

void sign_key_free(struct sign_key *key)
{
	EVP_PKEY_free(evp(key));
}

/* Takes pkey (NULL: it could not be read), if it is of the one kind that is used here. */
static int take(EVP_PKEY *pkey, const char *what, struct sign_key **ret, struct err *err)
{
	char group[64] = "";
	size_t n = 0;

	AUTO(auto_sign_key_free) struct sign_key *key = (struct sign_key *)(void *)pkey;
	if (!key)
		return err_set(err, EINVAL, "no %s key in PEM", what);
	if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), &n) != 1 ||
	    (strcmp(group, "prime256v1") != 0 && strcmp(group, "P-256") != 0))
		return err_set(err, EINVAL, "the %s key is not ECDSA on P-256", what);
	*ret = TAKE_PTR(key);
	return 0;
}

static BIO *reader(const char *pem, size_t n)
{
	return n <= INT32_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;
}

int sign_key_public(const char *pem, size_t n, struct sign_key **ret, struct err *err)
{
	AUTO(auto_BIO_free_all) BIO *in = reader(pem, n);

	return take(in ? PEM_read_bio_PUBKEY(in, NULL, NULL, NULL) : NULL, "public", ret, err);
}

/* OpenSSL asks for a passphrase: gives it, and never a terminal. */
static int give_pass(char *to, int size, int writing, void *ctx)
{
	const char *pass = *(const char *const *)ctx;
	size_t n = pass ? strlen(pass) : 0;

	(void)writing;
	if (!pass || n > (size_t)size)
		return -1;
	memcpy(to, pass, n);
	return (int)n;
}

static const struct {
	const char *begin, *end;
} sealed_forms[] = {
	{"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----",
	 "-----END ENCRYPTED SIGSTORE PRIVATE KEY-----"},
	{"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----",
	 "-----END ENCRYPTED COSIGN PRIVATE KEY-----"},
};

/* The base64 within cosign's form, n bytes of *ret; false when it is not that. */
static bool find_sealed(const char *pem, size_t n, const char **ret, size_t *ret_n)
{
	for (size_t i = 0; i < sizeof(sealed_forms) / sizeof(sealed_forms[0]); i++) {
		size_t skip = strlen(sealed_forms[i].begin);
		const char *begin = memmem(pem, n, sealed_forms[i].begin, skip);
		if (!begin)
			continue;
		begin += skip;
		size_t left = n - (size_t)(begin - pem);
		const char *end = memmem(begin, left, sealed_forms[i].end,
					 strlen(sealed_forms[i].end));
		*ret = begin;
		*ret_n = end ? (size_t)(end - begin) : 0;
		return true;
	}
	return false;
}

int sign_key_is_sealed(const char *pem, size_t n)
{
	static const char pkcs8[] = "BEGIN ENCRYPTED PRIVATE KEY";
	const char *text = NULL;
	size_t len = 0;

	return find_sealed(pem, n, &text, &len) || memmem(pem, n, pkcs8, sizeof(pkcs8) - 1);
}

static int open_sealed(const char *text, size_t n, const char *pass, struct sign_key **ret,
		       struct err *err)
{
	AUTO(buf_erase) struct buf json = BUF_INIT;
	AUTO(buf_erase) struct buf der = BUF_INIT;

	if (!pass)
		return err_set(err, EACCES, "the key is sealed by a passphrase");
	int r = base64_decode(text, n, &json, err);
	if (r == 0)
		r = seal_open(json.data, json.len, pass, &der, err);
	if (r < 0)
		return r;
	const unsigned char *at = (const unsigned char *)der.data;
	return take(d2i_AutoPrivateKey(NULL, &at, (long)der.len), "private", ret, err);
}

int sign_key_private(const char *pem, size_t n, const char *pass, struct sign_key **ret,
		     struct err *err)
{
	AUTO(auto_BIO_free_all) BIO *in = reader(pem, n);
	const char *text = NULL;
	size_t len = 0;

	if (find_sealed(pem, n, &text, &len))
		return open_sealed(text, len, pass, ret, err);
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, give_pass, &pass) : NULL;
	if (!key && sign_key_is_sealed(pem, n))
		return err_set(err, EACCES, "the key does not open by this passphrase");
	return take(key, "private", ret, err);
}

int sign_key_new(struct sign_key **ret, struct err *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	return key ? take(key, "new", ret, err) : err_set(err, EIO, "libcrypto makes no key");
}

/* What was written to a BIO. */
static int take_text(BIO *out, struct buf *to, struct err *err)
{
	char *text = NULL;
	long n = BIO_get_mem_data(out, &text);

	if (n <= 0)
		return err_set(err, EIO, "libcrypto writes no key");
	buf_add(to, text, (size_t)n);
	return buf_check(to, err);
}

int sign_key_write_public(const struct sign_key *key, struct buf *to, struct err *err)
{
	AUTO(auto_BIO_free_all) BIO *out = BIO_new(BIO_s_mem());

	if (!out || PEM_write_bio_PUBKEY(out, evp(key)) != 1)
		return err_set(err, EIO, "libcrypto writes no public key");
	return take_text(out, to, err);
}

/* cosign's form: the DER sealed, its JSON in base64, 64 letters a line. */
static int write_sealed(const struct sign_key *key, const char *pass, struct buf *to,
			struct err *err)
{
	AUTO(auto_BIO_free_all) BIO *out = BIO_new(BIO_s_mem());
	AUTO_BUF struct buf json = BUF_INIT;
	AUTO_BUF struct buf text = BUF_INIT;
	char *der = NULL;

	if (!out || i2d_PKCS8PrivateKey_bio(out, evp(key), NULL, NULL, 0, NULL, NULL) != 1)
		return err_set(err, EIO, "libcrypto writes no private key");
	long n = BIO_get_mem_data(out, &der);
	int r = seal_close(der, (size_t)n, pass, &json, err);
	if (r < 0)
		return r;
	base64_encode(json.data, json.len, &text);
	buf_printf(to, "%s\n", sealed_forms[0].begin);
	for (size_t at = 0; at < text.len; at += 64)
		buf_printf(to, "%.64s\n", text.data + at);
	buf_printf(to, "%s\n", sealed_forms[0].end);
	r = buf_check(&text, err);
	return r < 0 ? r : buf_check(to, err);
}

int sign_key_write_private(const struct sign_key *key, const char *pass, struct buf *to,
			   struct err *err)
{
	AUTO(auto_BIO_free_all) BIO *out = BIO_new(BIO_s_mem());

	if (pass)
		return write_sealed(key, pass, to, err);
	if (!out || PEM_write_bio_PKCS8PrivateKey(out, evp(key), NULL, NULL, 0, NULL, NULL) != 1)
		return err_set(err, EIO, "libcrypto writes no private key");
	return take_text(out, to, err);
}

int sign_bytes(const struct sign_key *key, const void *bytes, size_t n, char **ret, struct err *err)
{
	AUTO(auto_EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	AUTO_BUF struct buf text = BUF_INIT;
	unsigned char der[DER_MAX];
	size_t len = sizeof(der);

	if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, evp(key)) != 1 ||
	    EVP_DigestSign(ctx, der, &len, bytes, n) != 1)
		return err_set(err, EIO, "libcrypto makes no signature");
	base64_encode(der, len, &text);
	int r = buf_check(&text, err);
	if (r < 0)
		return r;
	*ret = buf_take(&text);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

int sign_check(const struct sign_key *key, const void *bytes, size_t n, const char *base64,
	       struct err *err)
{
	AUTO(auto_EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	AUTO_BUF struct buf der = BUF_INIT;
	struct err malformed = ERR_INIT; /* an answer like another */

	if (!ctx || EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, evp(key)) != 1)
		return err_set(err, EIO, "libcrypto verifies no signature");
	if (base64_decode(base64, strlen(base64), &der, &malformed) < 0 || der.len == 0)
		return malformed.code == ENOMEM ? err_set(err, ENOMEM, "out of memory") : 0;
	return EVP_DigestVerify(ctx, (const unsigned char *)der.data, der.len, bytes, n) == 1;
}

static int value_of(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static bool is_blank(char c)
{
	return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

int base64_decode(const char *text, size_t n, struct buf *to, struct err *err)
{
	uint32_t bits = 0;
	unsigned have = 0, pads = 0;

	for (size_t i = 0; i < n; i++) {
		int v = value_of(text[i]);
		if (is_blank(text[i]))
			continue;
		if (text[i] == '=' && have >= 2 && pads < 4 - have) {
			pads++;
			continue;
		}
		if (v < 0 || pads > 0)
			return err_set(err, EINVAL, "not base64");
		bits = bits << 6 | (uint32_t)v;
		if (++have < 4)
			continue;
		const char three[] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
		buf_add(to, three, sizeof(three));
		have = 0;
		bits = 0;
	}
	if (have == 1 || (pads > 0 && have + pads != 4))
		return err_set(err, EINVAL, "not base64");
	const char rest[] = {(char)(bits >> (have == 2 ? 4 : 10)), (char)(bits >> 2)};
	if (have >= 2)
		buf_add(to, rest, have - 1);
	return buf_check(to, err);
}

void base64_encode(const void *bytes, size_t n, struct buf *to)
{
	const unsigned char *p = bytes;
	char four[8];

	for (size_t at = 0; at < n; at += 3) {
		int len = EVP_EncodeBlock((unsigned char *)four, p + at,
					  (int)(n - at < 3 ? n - at : 3));
		buf_add(to, four, (size_t)len);
	}
}
