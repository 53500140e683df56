/* SPDX-License-Identifier: Apache-2.0 */
/* The policy at a pull. Signatures are over the manifest, or an index on the way to it, whose
 * digests are known before its layers come: what is refused costs a few documents and nothing on
 * disk. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "image/image.h"
#include "image/import_pull.h"
#include "image/policy.h"
#include "image/sign.h"
#include "image/signature_registry.h"

/* What is judged; its signatures are fetched when first asked for. */
struct judged {
	struct import_pull *pull;
	const struct import_spec *spec;
	struct signable signable;
	bool fetched;
};

/* Where the image says what it is for, its indexes have to say the same. */
static int find_signable(struct judged *j, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_IMAGE struct image image = {0};
	const char *config = j->spec->config;

	int r = json_parse(config, strlen(config), IMAGE_JSON_MAX, "image config", &doc, err);
	if (r == 0)
		r = image_parse_config(doc, &image, err);
	return r < 0 ? r
		     : signable_find(&j->pull->signatures.indexes, j->spec->manifest_digest, &image,
				     &j->signable, err);
}

static int fetch(struct judged *j, struct err *err)
{
	int r = find_signable(j, err);

	for (size_t i = 0; r == 0 && i < j->signable.n; i++)
		r = signatures_fetch(j->pull->registry, j->signable.digest[i], &j->pull->signatures,
				     err);
	return r;
}

/* A policy_verify_fn. */
static int verify(void *ctx, size_t i, const char *repository, struct err *why, struct err *err)
{
	struct judged *j = ctx;

	int r = j->fetched ? 0 : fetch(j, err);
	j->fetched = r == 0;
	return r < 0 ? r
		     : signatures_judge(&j->pull->signatures, &j->pull->trusted[i], &j->signable,
					repository, why, err);
}

int import_pull_rules(struct import_pull *pull, const char *name, struct err *err)
{
	int r = policy_open(name, &pull->policy, err);

	if (r < 0)
		return r;
	pull->trusted = calloc(pull->policy.n + 1, sizeof(*pull->trusted));
	if (!pull->trusted)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < pull->policy.n; i++) {
		const struct strv *keys = &pull->policy.v[i].keys;
		r = trusted_open((const char *const *)keys->v, keys->n, &pull->trusted[i], err);
	}
	return r;
}

void import_pull_rules_done(struct import_pull *pull)
{
	for (size_t i = 0; pull->trusted && i < pull->policy.n; i++)
		trusted_done(&pull->trusted[i]);
	free(pull->trusted);
	pull->trusted = NULL;
	policy_done(&pull->policy);
}

int import_pull_judge(struct import_pull *pull, const char *name, const struct import_spec *spec,
		      struct err *err)
{
	struct judged judged = {.pull = pull, .spec = spec};

	return policy_judge(&pull->policy,
			    &(struct policy_question){
				    .name = name, .shown = name, .verify = verify, .ctx = &judged},
			    err);
}

int import_pull_keep(const struct import_pull *pull, const char *id, struct err *err)
{
	return pull->signatures.n > 0 ? signatures_keep(pull->store, id, &pull->signatures, err)
				      : 0;
}
