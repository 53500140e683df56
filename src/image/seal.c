/* SPDX-License-Identifier: Apache-2.0 */
#include "image/seal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sodium/crypto_secretbox.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "image/sign_key.h"

enum {
	SALT = 32,
	KEY = crypto_secretbox_KEYBYTES,
	NONCE = crypto_secretbox_NONCEBYTES,
	TAG = crypto_secretbox_MACBYTES,
	JSON_BYTES_MAX = 64 << 10,
	COST = 1 << 16, /* scrypt's N of new boxes: 64 MiB, as cosign has it */
	COST_MAX = 1 << 20,
	WORK_MAX = 1 << 24, /* N times r times p: some seconds */
};

/* What a box says of itself. */
struct box {
	uint64_t n, r, p;
	struct buf salt, nonce, text;
};

static void box_done(struct box *b)
{
	buf_done(&b->salt);
	buf_done(&b->nonce);
	buf_done(&b->text);
}

void buf_erase(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->size);
	buf_done(b);
}

static int make_key(const struct box *b, const char *pass, uint8_t key[KEY], struct err *err)
{
	/* The product bounds time and memory: a hostile key file asks for no more than its own. */
	if (b->n < 2 || b->n > COST_MAX || (b->n & (b->n - 1)) != 0 || b->r == 0 || b->r > 32 ||
	    b->p == 0 || b->p > 16 || b->n * b->r * b->p > WORK_MAX)
		return err_set(err, EINVAL, "the sealed key asks for an absurd cost");
	if (EVP_PBE_scrypt(pass, strlen(pass), (const unsigned char *)b->salt.data, b->salt.len,
			   b->n, b->r, b->p, UINT64_C(2) << 30, key, KEY) != 1)
		return err_set(err, EIO, "libcrypto computes no scrypt");
	return 0;
}

static int take_base64(struct json_object *obj, const char *key, struct buf *to, struct err *err)
{
	const char *text = NULL;

	int r = json_need(json_get_str(obj, key, &text, err), key, err);
	if (r < 0)
		return r;
	r = base64_decode(text, strlen(text), to, err);
	return r < 0 ? err_wrap(err, "%s", key) : 0;
}

/* A member object of that name, which must be called `name` inside. */
static int take_named(struct json_object *doc, const char *key, const char *name,
		      struct json_object **ret, struct err *err)
{
	const char *found = NULL;

	int r = json_need(json_get_obj(doc, key, ret, err), key, err);
	if (r >= 0)
		r = json_need(json_get_str(*ret, "name", &found, err), "name", err);
	if (r >= 0 && strcmp(found, name) != 0)
		r = err_set(err, EINVAL, "%s '%.40s' is not %s", key, found, name);
	return r < 0 ? r : 0;
}

static int parse(struct json_object *doc, struct box *b, struct err *err)
{
	struct json_object *kdf = NULL, *params = NULL, *cipher = NULL;

	if (!json_is_obj(doc))
		return err_set(err, EINVAL, "not an object");
	int r = take_named(doc, "kdf", "scrypt", &kdf, err);
	if (r == 0)
		r = json_need(json_get_obj(kdf, "params", &params, err), "params", err);
	if (r >= 0)
		r = json_need(json_get_uint(params, "N", UINT32_MAX, &b->n, err), "N", err);
	if (r >= 0)
		r = json_need(json_get_uint(params, "r", UINT32_MAX, &b->r, err), "r", err);
	if (r >= 0)
		r = json_need(json_get_uint(params, "p", UINT32_MAX, &b->p, err), "p", err);
	if (r >= 0)
		r = take_base64(kdf, "salt", &b->salt, err);
	if (r >= 0)
		r = take_named(doc, "cipher", "nacl/secretbox", &cipher, err);
	if (r >= 0)
		r = take_base64(cipher, "nonce", &b->nonce, err);
	if (r >= 0)
		r = take_base64(doc, "ciphertext", &b->text, err);
	if (r >= 0 && (b->nonce.len != NONCE || b->text.len < TAG || b->salt.len == 0))
		r = err_set(err, EINVAL, "salt, nonce or text have a wrong length");
	return r < 0 ? r : 0;
}

int seal_open(const char *json, size_t n, const char *pass, struct buf *ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO(box_done) struct box b = {0};
	uint8_t key[KEY];

	int r = json_parse(json ? json : "", n, JSON_BYTES_MAX, "sealed key", &doc, err);
	if (r < 0)
		return r;
	r = parse(doc, &b, err);
	if (r == 0)
		r = make_key(&b, pass, key, err);
	if (r < 0)
		return err_wrap(err, "sealed key");
	char *to = buf_reserve(ret, b.text.len);
	bool opened = to &&
		      crypto_secretbox_open_easy((unsigned char *)to,
						 (const unsigned char *)b.text.data, b.text.len,
						 (const unsigned char *)b.nonce.data, key) == 0;
	explicit_bzero(key, sizeof(key));
	if (to && !opened)
		return err_set(err, EACCES, "the key does not open by this passphrase");
	if (to)
		ret->len += b.text.len - TAG;
	return buf_check(ret, err);
}

static void put_base64(struct json_out *out, const char *key, const void *bytes, size_t n)
{
	AUTO_BUF struct buf text = BUF_INIT;

	base64_encode(bytes, n, &text);
	json_put_str(out, key, text.data ? text.data : "");
	out->to->bad |= text.bad;
}

static void format(const struct box *b, struct buf *to)
{
	struct json_out out = JSON_OUT(to, false);

	json_begin(&out, NULL);
	json_begin(&out, "kdf");
	json_put_str(&out, "name", "scrypt");
	json_begin(&out, "params");
	json_put_uint(&out, "N", b->n);
	json_put_uint(&out, "r", b->r);
	json_put_uint(&out, "p", b->p);
	json_end(&out);
	put_base64(&out, "salt", b->salt.data, b->salt.len);
	json_end(&out);
	json_begin(&out, "cipher");
	json_put_str(&out, "name", "nacl/secretbox");
	put_base64(&out, "nonce", b->nonce.data, b->nonce.len);
	json_end(&out);
	put_base64(&out, "ciphertext", b->text.data, b->text.len);
	json_end(&out);
}

int seal_close(const void *secret, size_t n, const char *pass, struct buf *ret, struct err *err)
{
	AUTO(box_done) struct box b = {.n = COST, .r = 8, .p = 1};
	uint8_t key[KEY], random[SALT + NONCE];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return err_sys(err, "random number");
	buf_add(&b.salt, random, SALT);
	buf_add(&b.nonce, random + SALT, NONCE);
	char *to = buf_reserve(&b.text, n + TAG);
	if (!to || b.salt.bad || b.nonce.bad)
		return err_set(err, ENOMEM, "out of memory");
	int r = make_key(&b, pass, key, err);
	if (r < 0)
		return r;
	r = crypto_secretbox_easy((unsigned char *)to, secret, n,
				  (const unsigned char *)b.nonce.data, key);
	explicit_bzero(key, sizeof(key));
	if (r != 0)
		return err_set(err, EIO, "libsodium closes no box");
	b.text.len = n + TAG;
	format(&b, ret);
	return buf_check(ret, err);
}
