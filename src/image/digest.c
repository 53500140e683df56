/* SPDX-License-Identifier: Apache-2.0 */
#include "image/digest.h"

#include <errno.h>
#include <openssl/evp.h>

#include "base/err.h"

static EVP_MD_CTX *evp(struct digest *d)
{
	return (EVP_MD_CTX *)(void *)d;
}

static int failed(struct err *err)
{
	return err_set(err, EIO, "SHA-256 cannot be computed");
}

int digest_new(struct digest **ret, struct err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(ctx);
		return failed(err);
	}
	*ret = (struct digest *)(void *)ctx;
	return 0;
}

void digest_free(struct digest *d)
{
	EVP_MD_CTX_free(evp(d));
}

int digest_add(struct digest *d, const void *bytes, size_t n, struct err *err)
{
	return EVP_DigestUpdate(evp(d), bytes, n) == 1 ? 0 : failed(err);
}

int digest_end(struct digest *d, uint8_t ret[LAYER_DIGEST], struct err *err)
{
	return EVP_DigestFinal_ex(evp(d), ret, NULL) == 1 ? 0 : failed(err);
}
