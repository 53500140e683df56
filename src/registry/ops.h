/* SPDX-License-Identifier: Apache-2.0 */
/* What hull-registry can be asked for (registry.h lists it), each carried out by a thread of its
 * own. */
#pragma once

#include "base/attr.h"
#include "registry/registry.h"
#include "registry/session.h"

struct err;

enum { OP_WORDS = 4 };

struct op {
	struct session *s; /* borrowed */
	const char *words[OP_WORDS]; /* as asked, NULL behind the last */
	int data; /* the pipe or file, borrowed */
	char answer[REGISTRY_LINE]; /* what follows "ok " */
};

int op_manifest(struct op *op, struct err *err) HULL_MUST_CHECK; /* NAME MAX */
int op_referrers(struct op *op, struct err *err) HULL_MUST_CHECK; /* DIGEST MAX */
int op_blob(struct op *op, struct err *err) HULL_MUST_CHECK; /* DIGEST OFFSET SIZE */
int op_upload(struct op *op, struct err *err) HULL_MUST_CHECK; /* DIGEST SIZE FROM|- */
int op_put(struct op *op, struct err *err) HULL_MUST_CHECK; /* NAME MEDIA-TYPE */

/* A number among the words. */
int op_number(const struct op *op, int at, uint64_t *ret, struct err *err) HULL_MUST_CHECK;

/* `hull-registry serve`: answers what comes over the socket fd until that is closed. */
int serve(int fd, struct session *s, struct err *err) HULL_MUST_CHECK;

/* The same where there can be no session: each question is answered with why. */
int serve_refusal(int fd, struct err *why, struct err *err) HULL_MUST_CHECK;

/* hull login, logout and search; the exit status. Arguments are as theirs. */
int login_main(int argc, char **argv, struct err *err) HULL_MUST_CHECK;
int logout_main(int argc, char **argv, struct err *err) HULL_MUST_CHECK;
int search_main(int argc, char **argv, struct err *err) HULL_MUST_CHECK;
