/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp: the profile by rules_parse(), and what stands around it. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/rules.h"
#include "spec/spec.h"

/* Newer than this system's headers. */
enum { FLAG_WAIT_KILLABLE = 1 << 5 };

/* All that the runtime-spec names; those of other machines are 0 here. */
static const struct doc_word arches[] = {
	{"SCMP_ARCH_X86", AUDIT_ARCH_I386},
	{"SCMP_ARCH_X86_64", AUDIT_ARCH_X86_64},
	{"SCMP_ARCH_AARCH64", AUDIT_ARCH_AARCH64},
	{"SCMP_ARCH_ARM", AUDIT_ARCH_ARM},
	{"SCMP_ARCH_X32", 0},
	{"SCMP_ARCH_MIPS", 0},
	{"SCMP_ARCH_MIPS64", 0},
	{"SCMP_ARCH_MIPS64N32", 0},
	{"SCMP_ARCH_MIPSEL", 0},
	{"SCMP_ARCH_MIPSEL64", 0},
	{"SCMP_ARCH_MIPSEL64N32", 0},
	{"SCMP_ARCH_PPC", 0},
	{"SCMP_ARCH_PPC64", 0},
	{"SCMP_ARCH_PPC64LE", 0},
	{"SCMP_ARCH_S390", 0},
	{"SCMP_ARCH_S390X", 0},
	{"SCMP_ARCH_PARISC", 0},
	{"SCMP_ARCH_PARISC64", 0},
	{"SCMP_ARCH_RISCV64", 0},
	{"SCMP_ARCH_LOONGARCH64", 0},
	{"SCMP_ARCH_M68K", 0},
	{"SCMP_ARCH_SH", 0},
	{"SCMP_ARCH_SHEB", 0},
};

static uint32_t abi_bit(uint32_t audit_arch)
{
	for (size_t a = 0; a < rules_n_abis; a++) {
		if (rules_abis[a].audit_arch == audit_arch)
			return 1U << a;
	}
	return 0;
}

static int read_arches(struct json_object *obj, uint32_t *abis, struct err *err)
{
	AUTO_STRV struct strv names = {0};

	int r = json_get_strv(obj, "architectures", &names, err);
	for (size_t i = 0; r >= 0 && i < names.n; i++) {
		size_t at = 0;
		while (at < sizeof(arches) / sizeof(arches[0]) &&
		       strcmp(arches[at].name, names.v[i]) != 0)
			at++;
		if (at == sizeof(arches) / sizeof(arches[0]))
			return err_set(err, EINVAL, "architectures: '%.60s' is not known",
				       names.v[i]);
		*abis |= abi_bit((uint32_t)arches[at].value);
	}
	return r;
}

/* The flags that make sense: one thread needs no TSYNC beside a listener, which the kernel would
 * refuse; without a listener nobody waits. */
static int read_flags(struct json_object *obj, bool notify, uint32_t *ret, struct err *err)
{
	static const struct doc_word flags[] = {
		{"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
		{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
		{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
		{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", FLAG_WAIT_KILLABLE},
	};
	uint64_t bits = 0;

	int r = doc_bits(obj, "flags", DOC_TABLE(flags), &bits, err);
	if (notify)
		bits = (bits & ~SECCOMP_FILTER_FLAG_TSYNC) | SECCOMP_FILTER_FLAG_NEW_LISTENER;
	else
		bits &= ~(uint64_t)FLAG_WAIT_KILLABLE;
	*ret = (uint32_t)bits;
	return r;
}

static int read_listener(struct json_object *obj, const char *receiver, bool notify,
			 struct plan_process *what, struct err *err)
{
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *metadata = NULL;

	int r = doc_path(obj, "listenerPath", &path, err);
	if (r >= 0)
		r = doc_text(obj, "listenerMetadata", &metadata, err);
	if (r == 0 && !path && receiver && !(path = strdup(receiver)))
		r = err_set(err, ENOMEM, "out of memory");
	if (r < 0)
		return r;
	if (path && path[0] != '/')
		return err_set(err, EINVAL, "run.oci.seccomp.receiver: must be absolute");
	if (metadata && !path)
		return err_set(err, EINVAL, "listenerMetadata: without a listenerPath");
	if (notify && !path)
		return err_set(err, EINVAL, "listenerPath: missing, SCMP_ACT_NOTIFY needs one");
	if (notify) {
		what->seccomp_listener = TAKE_PTR(path);
		what->seccomp_metadata = TAKE_PTR(metadata);
	}
	return 0;
}

static int judge_names(void *ctx, struct json_object *obj, struct err *err)
{
	AUTO_STRV struct strv names = {0};
	int r = json_get_strv(obj, "names", &names, err);

	for (size_t i = 0; r >= 0 && i < names.n; i++) {
		if (!rules_known(names.v[i]))
			return err_set(err, EINVAL, "names: '%.60s' is no system call", names.v[i]);
	}
	return r < 0 ? r : 0;
}

static int read_seccomp(struct json_object *obj, const char *receiver, bool strict,
			struct plan_process *what, struct err *err)
{
	AUTO(auto_rules_free) struct rules *rules = NULL;
	uint32_t abis = 0;

	int r = rules_parse(obj, NULL, &rules, err);
	if (r >= 0 && strict)
		r = doc_list(obj, "syscalls", judge_names, NULL, err);
	if (r >= 0)
		r = read_arches(obj, &abis, err);
	if (r < 0)
		return r;
	rules_limit_abis(rules, abis);
	bool notify = rules_notify(rules);
	r = read_flags(obj, notify, &what->seccomp_flags, err);
	if (r >= 0)
		r = read_listener(obj, receiver, notify, what, err);
	return r < 0 ? r : rules_program(rules, &what->seccomp, err);
}

int spec_seccomp(struct json_object *obj, const char *receiver, bool strict,
		 struct plan_process *what, struct err *err)
{
	struct plan_process only = {0};

	if (read_seccomp(obj, receiver, strict, &only, err) < 0) {
		record_done(&plan_process_record, &only);
		(void)doc_in(err, "linux.seccomp");
		return doc_fail(err);
	}
	what->seccomp = only.seccomp;
	what->seccomp_flags = only.seccomp_flags;
	what->seccomp_listener = only.seccomp_listener;
	what->seccomp_metadata = only.seccomp_metadata;
	return 0;
}
