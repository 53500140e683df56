/* SPDX-License-Identifier: Apache-2.0 */
#include "base/filter.h"

#include <assert.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

#if defined(__x86_64__)
#	define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#	define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

enum { INSTRUCTIONS = 5 + 5 * FILTER_RULES_MAX };

struct program {
	struct sock_filter code[INSTRUCTIONS];
	unsigned short n;
};

static void add(struct program *p, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	p->code[p->n++] = (struct sock_filter)BPF_JUMP(code, k, yes, no);
}

static void load(struct program *p, size_t offset)
{
	add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct program *p, uint32_t action)
{
	add(p, BPF_RET | BPF_K, action, 0, 0);
}

static void allow(struct program *p, const struct filter_rule *rule)
{
	bool judged = rule->value != 0;
	size_t argument = rule->argument == FILTER_THIRD ? 2 : 1;

	/* the number does not match: on to the next rule */
	add(p, BPF_JMP | BPF_JEQ | BPF_K, rule->nr, 0, judged ? 4 : 1);
	if (judged) {
		load(p, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
		add(p, BPF_JMP | BPF_JEQ | BPF_K, rule->value, 0, 1);
	}
	answer(p, SECCOMP_RET_ALLOW);
	if (judged)
		load(p, offsetof(struct seccomp_data, nr));
}

int filter_set(const struct filter_rule *rules, size_t n, int code, struct err *err)
{
	uint32_t others = code ? SECCOMP_RET_ERRNO | (uint32_t)code : SECCOMP_RET_KILL_PROCESS;
	struct program p = {.n = 0};

	assert(n <= FILTER_RULES_MAX);
	load(&p, offsetof(struct seccomp_data, arch));
	add(&p, BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0);
	answer(&p, SECCOMP_RET_KILL_PROCESS);
	load(&p, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < n; i++)
		allow(&p, &rules[i]);
	answer(&p, others);
	struct sock_fprog fprog = {.len = p.n, .filter = p.code};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0)
		return err_sys(err, "set the system-call filter");
	return 0;
}
