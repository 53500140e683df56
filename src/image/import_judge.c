/* SPDX-License-Identifier: Apache-2.0 */
/* The policy at a pull. Signatures are over the manifest, whose digest is known before its layers
 * come: what is refused costs two documents and nothing on disk. */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "image/import_pull.h"
#include "image/policy.h"
#include "image/sign.h"
#include "image/signature_registry.h"

/* What is judged; its signatures are fetched when first asked for. */
struct judged {
	struct import_pull *pull;
	const char *digest;
	bool fetched;
};

/* A policy_verify_fn. */
static int verify(void *ctx, const char *repository, const struct strv *keys, struct err *why,
		  struct err *err)
{
	AUTO(trusted_done) struct trusted trusted = {0};
	struct judged *j = ctx;
	struct signatures *list = &j->pull->signatures;

	int r = trusted_open((const char *const *)keys->v, keys->n, &trusted, err);
	if (r == 0 && !j->fetched)
		r = signatures_fetch(j->pull->registry, j->digest, list, err);
	j->fetched = r == 0;
	return r < 0 ? r : signatures_judge(list, &trusted, j->digest, repository, why, err);
}

int import_pull_judge(struct import_pull *pull, const char *name, const struct import_spec *spec,
		      struct err *err)
{
	struct judged judged = {.pull = pull, .digest = spec->manifest_digest};

	return policy_ask(&(struct policy_question){.name = name,
						    .shown = name,
						    .verify = verify,
						    .ctx = &judged},
			  err);
}

int import_pull_keep(const struct import_pull *pull, const char *id, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < pull->signatures.n; i++)
		r = signatures_keep(pull->store, id, pull->signatures.v[i].payload,
				    pull->signatures.v[i].base64, err);
	return r;
}
