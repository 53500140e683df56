/* SPDX-License-Identifier: Apache-2.0 */
/* The policy of /etc/hull/policy.json, asked of an image wherever its signatures are. Of one in the
 * store, image_policy_check() asks. It is read first and judged by later: by then, whoever judges
 * may be unable to read it. */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"

struct err;

enum requirement_kind { POLICY_ACCEPT, POLICY_REJECT, POLICY_SIGNED };

/* One thing that is asked of an image. All owned. */
struct requirement {
	enum requirement_kind kind;
	struct strv keys; /* paths, or "data:" and base64; any of them will do */
	char *repository; /* whom it must be signed for; NULL: the name it has */
};

/* What is asked of images of one name; all of it must be met. */
struct policy {
	struct requirement *v;
	size_t n;
};

/* Reads what is asked under `name` (NULL: of an image without one): nothing when there is no
 * policy. The caller releases *ret with policy_done(). */
int policy_open(const char *name, struct policy *ret, struct err *err) HULL_MUST_CHECK;

/* Frees what it owns; a zeroed one is fine. */
void policy_done(struct policy *policy);

/* Whether a key of requirement i has signed it for `repository` (NULL: for any), as image_verify()
 * says it: 1, or 0 with the reason in why. */
typedef int policy_verify_fn(void *ctx, size_t i, const char *repository, struct err *why,
			     struct err *err);

/* All borrowed. */
struct policy_question {
	const char *name; /* NULL: it has none */
	const char *shown; /* what a refusal calls it */
	policy_verify_fn *verify; /* called only if a signature is demanded */
	void *ctx;
};

/* EACCES says why it is refused. */
int policy_judge(const struct policy *policy, const struct policy_question *question,
		 struct err *err) HULL_MUST_CHECK;
