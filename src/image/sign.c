/* SPDX-License-Identifier: Apache-2.0 */
#include "image/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "image/kept.h"
#include "image/sign_key.h"

void trusted_done(struct trusted *trusted)
{
	for (size_t i = 0; i < trusted->n; i++)
		sign_key_free(trusted->keys[i]);
	free(trusted->keys);
	*trusted = (struct trusted){0};
}

static int open_key(const char *from, struct sign_key **ret, struct err *err)
{
	AUTO_BUF struct buf pem = BUF_INIT;
	const char *data = NULL;

	int r = str_prefix(from, "data:", &data)
			? base64_decode(data, strlen(data), &pem, err)
			: file_read(AT_FDCWD, from, SIGNATURE_BYTES_MAX, &pem, err);
	if (r == 0)
		r = sign_key_public(pem.data ? pem.data : "", pem.len, ret, err);
	return r < 0 ? err_wrap(err, "key '%.200s'", data ? "of the policy" : from) : 0;
}

int trusted_open(const char *const *keys, size_t n, struct trusted *ret, struct err *err)
{
	struct trusted trusted = {0};
	int r = 0;

	trusted.keys = calloc(n + 1, sizeof(struct sign_key *));
	if (!trusted.keys)
		return err_set(err, ENOMEM, "out of memory");
	for (; r == 0 && trusted.n < n; trusted.n += r == 0)
		r = open_key(keys[trusted.n], &trusted.keys[trusted.n], err);
	if (r < 0)
		trusted_done(&trusted);
	else
		*ret = trusted;
	return r;
}

/* cosign has Docker's registry by its old name. */
static const char *without_index(const char *name)
{
	const char *rest = NULL;

	return str_prefix(name, "index.", &rest) && str_prefix(rest, "docker.io/", NULL) ? rest
											 : name;
}

/* How many bytes of a name are its repository: without tag and digest. */
static size_t repository_len(const char *name)
{
	size_t n = strcspn(name, "@");
	const char *slash = memrchr(name, '/', n);
	const char *colon = memchr(slash ? slash : name, ':',
				   n - (size_t)((slash ? slash : name) - name));

	return colon ? (size_t)(colon - name) : n;
}

static bool same_repository(const char *a, const char *b)
{
	a = without_index(a);
	b = without_index(b);
	size_t n = repository_len(a);

	return n > 0 && n == repository_len(b) && strncmp(a, b, n) == 0;
}

static bool is_among(const struct signable *what, const char *digest)
{
	for (size_t i = 0; i < what->n; i++) {
		if (strcmp(what->digest[i], digest) == 0)
			return true;
	}
	return false;
}

/* First who signed: nothing of a payload is looked at before. */
int signature_judge(const struct signature *signature, const struct trusted *trusted,
		    const struct signable *what, const char *repository, struct err *why,
		    struct err *err)
{
	AUTO(payload_done) struct payload payload = {0};
	size_t n = strlen(signature->payload);
	int r = 0;

	for (size_t i = 0; r == 0 && i < trusted->n; i++)
		r = sign_check(trusted->keys[i], signature->payload, n, signature->base64, err);
	if (r < 0)
		return r;
	*why = ERR_INIT;
	if (r == 0) {
		(void)err_set(why, EACCES, "none of the keys has made it");
		return 0;
	}
	if (payload_parse(signature->payload, n, &payload, why) < 0)
		return 0;
	if (!is_among(what, payload.digest)) {
		(void)err_set(why, ESTALE, "it is of another image, sha256:%.12s", payload.digest);
		return 0;
	}
	if (repository && !same_repository(payload.repository, repository)) {
		(void)err_set(why, EPERM, "it was made for '%.200s'", payload.repository);
		return 0;
	}
	return 1;
}

int sign_digest(const struct sign_key *key, const char *name, const char *digest,
		struct signatures *to, struct err *err)
{
	AUTO_BUF struct buf payload = BUF_INIT;
	AUTO_BUF struct buf whose = BUF_INIT;
	AUTO_FREE char *base64 = NULL;

	buf_add(&whose, name, repository_len(name));
	int r = buf_check(&whose, err);
	if (r == 0) {
		payload_write(whose.data, digest, &payload);
		r = buf_check(&payload, err);
	}
	if (r == 0)
		r = sign_bytes(key, payload.data, payload.len, &base64, err);
	return r < 0 ? r : signatures_add(to, payload.data, base64, err);
}

int sign_image(const struct store *store, const char *what, const char *repository,
	       const struct sign_key *key, struct err *err)
{
	AUTO_KEPT struct kept kept = {0};
	AUTO_SIGNATURES struct signatures made = {0};

	int r = kept_open(store, what, &kept, err);
	if (r < 0)
		return r;
	const char *name = repository ? repository : kept.image.name;
	if (!name)
		return err_set(err, EINVAL,
			       "image '%.200s' has no name: say whose it is by --identity", what);
	if (kept.changed)
		return err_set(err, ESTALE,
			       "image '%.200s': its blobs are not kept, it would leave the store "
			       "as another image",
			       what);
	r = sign_digest(key, name, kept.manifest_digest, &made, err);
	return r < 0 ? r : signatures_keep(store, kept.image.id, &made, err);
}

int signatures_judge(const struct signatures *list, const struct trusted *trusted,
		     const struct signable *what, const char *repository, struct err *why,
		     struct err *err)
{
	int good = 0, r = 0;

	if (list->n == 0)
		(void)err_set(why, ENOENT, "it has none");
	for (size_t i = 0; r >= 0 && i < list->n; i++) {
		struct err each = ERR_INIT;
		r = signature_judge(&list->v[i], trusted, what, repository, &each, err);
		good += r > 0;
		if (r == 0 && (why->code == 0 || why->code == EACCES)) /* a stranger's says least */
			*why = each;
	}
	return r < 0 ? r : good;
}

int verify_image(const struct store *store, const char *what, const char *repository,
		 const struct trusted *trusted, struct err *why, struct err *err)
{
	AUTO_SIGNATURES struct signatures list = {0};
	AUTO_KEPT struct kept kept = {0};
	struct signable signable;

	int r = kept_open(store, what, &kept, err);
	if (r == 0)
		r = signatures_read(store, kept.image.id, &list, err);
	if (r < 0)
		return r;
	/* What was made of an image whose blobs were pruned is the manifest that it came with. */
	const char *digest = kept.changed && kept.image.manifest_digest ? kept.image.manifest_digest
									: kept.manifest_digest;
	r = signable_find(&list.indexes, digest, &kept.image, &signable, err);
	return r < 0 ? r : signatures_judge(&list, trusted, &signable, repository, why, err);
}
