/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seccomp profile after parsing: for each way of calling the kernel (ABI) and each number, what
 * happens. Filled by name, turned into a program by rules_program().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct bytes;
struct err;
struct json_object;

enum compare {
	CMP_EQ,
	CMP_NE,
	CMP_LT,
	CMP_LE,
	CMP_GE,
	CMP_GT,
	CMP_MASKED_EQ, /* (argument & value) == value_two */
	CMP_NE_32, /* of the lower half alone, which is all the kernel looks at in an int */
};

enum { CONDITIONS_MAX = 6 };

/* All conditions hold at once; none: always. */
struct rule {
	uint32_t action; /* SECCOMP_RET_* with its data */
	uint32_t n;
	struct condition {
		uint32_t argument; /* 0 to 5 */
		enum compare compare;
		uint64_t value, value_two;
	} conditions[CONDITIONS_MAX];
};

struct rules;

/* Makes an empty profile whose calls all get default_action; the caller frees. */
int rules_new(uint32_t default_action, struct rules **ret, struct err *err) HULL_MUST_CHECK;

/* Frees; NULL is fine. */
void rules_free(struct rules *rules);

/* Adds a rule for the call `name` in every ABI that has it; names that none has are passed over. Of
 * several that hold the first added wins, those with conditions before those without. */
int rules_add(struct rules *rules, const char *name, const struct rule *rule, struct err *err)
	HULL_MUST_CHECK;

/* Whether any ABI has a call of this name. */
bool rules_known(const char *name);

/* Writes the program: struct sock_filter[]. Calls beyond the newest known get ENOSYS unless the
 * default is to allow. */
int rules_program(const struct rules *rules, struct bytes *ret, struct err *err) HULL_MUST_CHECK;

/* Adds hull's own profile for a workload with these capabilities. */
int rules_default(struct rules *rules, uint64_t caps, struct err *err) HULL_MUST_CHECK;

/* Calls newer than the newest that the profile names get ENOSYS, unless the default lets them
 * pass: who wrote it could not know them, and libraries go back to older ones. */
void rules_close(struct rules *rules);

/* Leaves only the native ABI and those whose bit is set (1 << index in rules_abis): calls in
 * another way kill. */
void rules_limit_abis(struct rules *rules, uint32_t abis);

/* Whether any call is answered by SECCOMP_RET_USER_NOTIF. */
bool rules_notify(const struct rules *rules);

/* Makes *ret from a parsed profile; the caller frees. `caps` decides on docker's includes and
 * excludes; NULL: the runtime-spec's form, which has none. Failures name the field. */
int rules_parse(struct json_object *doc, const uint64_t *caps, struct rules **ret, struct err *err)
	HULL_MUST_CHECK;

/* Makes *ret from a docker profile in file `path`; the caller frees. */
int rules_read(const char *path, uint64_t caps, struct rules **ret, struct err *err)
	HULL_MUST_CHECK;

/* A call's number in one ABI. */
struct call {
	const char *name;
	uint32_t number;
};

/* An ABI of this machine, native first. calls is sorted by name. */
struct abi {
	uint32_t audit_arch; /* AUDIT_ARCH_* */
	const struct call *calls;
	size_t n;
};
extern const struct abi rules_abis[];
extern const size_t rules_n_abis;

DEFINE_AUTO(struct rules, rules_free)
