/* SPDX-License-Identifier: Apache-2.0 */
/* The policy of /etc/hull/policy.json, asked of an image wherever its signatures are. Of one in the
 * store, image_policy_check() asks. */
#pragma once

#include "base/attr.h"

struct err;
struct strv;

/* Whether one of the keys has signed it for `repository` (NULL: for any), as image_verify() says
 * it: 1, or 0 with the reason in why. */
typedef int policy_verify_fn(void *ctx, const char *repository, const struct strv *keys,
			     struct err *why, struct err *err);

/* All borrowed. */
struct policy_question {
	const char *name; /* NULL: it has none */
	const char *shown; /* what a refusal calls it */
	policy_verify_fn *verify; /* called only if a signature is demanded */
	void *ctx;
};

/* EACCES says why it is refused; without a policy nothing is. */
int policy_ask(const struct policy_question *question, struct err *err) HULL_MUST_CHECK;
