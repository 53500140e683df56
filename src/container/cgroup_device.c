/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices a workload may open and make: files of v1's devices controller, or on v2 a BPF
 * program of our own making. In both the later rule wins.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "container/cgroup_impl.h"
#include "proto/plan.h"

enum { ANY = -1, RULES_MAX = 512 };

struct rule {
	uint32_t type; /* 'a', 'b', 'c' */
	int64_t major, minor; /* ANY */
	const char *access;
	bool deny;
};

/* What every workload's /dev needs. */
static const struct rule usual[] = {
	{'c', 1, 3, "rwm", false}, /* null */
	{'c', 1, 5, "rwm", false}, /* zero */
	{'c', 1, 7, "rwm", false}, /* full */
	{'c', 1, 8, "rwm", false}, /* random */
	{'c', 1, 9, "rwm", false}, /* urandom */
	{'c', 5, 0, "rwm", false}, /* tty */
	{'c', 5, 2, "rwm", false}, /* ptmx */
	{'c', 136, ANY, "rwm", false}, /* pts */
};

static struct rule rule_of(const struct plan_device *d)
{
	return (struct rule){
		.type = d->type == 'b' || d->type == 'c' ? d->type : 'a',
		.major = d->major == UINT32_MAX ? ANY : (int64_t)d->major,
		.minor = d->minor == UINT32_MAX ? ANY : (int64_t)d->minor,
		.access = d->access ? d->access : "rwm",
		.deny = d->deny,
	};
}

static int put_rule(int allow, int deny, const struct rule *rule, struct err *err)
{
	char major[24] = "*";
	char minor[24] = "*";
	char text[80] = "a";

	if (rule->major != ANY)
		(void)snprintf(major, sizeof(major), "%lld", (long long)rule->major);
	if (rule->minor != ANY)
		(void)snprintf(minor, sizeof(minor), "%lld", (long long)rule->minor);
	if (rule->type != 'a')
		(void)snprintf(text, sizeof(text), "%c %s:%s %s", (int)rule->type, major, minor,
			       rule->access);
	return write_all(rule->deny ? deny : allow, text, strlen(text), "device rule", err);
}

static int devices_v1(const struct hierarchy *h, const struct rule *rules, size_t n,
		      struct err *err)
{
	AUTO_CLOSE int allow = openat(h->fd, "devices.allow", O_WRONLY | O_CLOEXEC);
	AUTO_CLOSE int deny = openat(h->fd, "devices.deny", O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (allow < 0 || deny < 0)
		return err_sys(err, "open the cgroup's device rules");
	for (size_t i = 0; i < n && r == 0; i++)
		r = put_rule(allow, deny, &rules[i], err);
	return r;
}

static uint32_t access_bits(const char *access)
{
	return (strchr(access, 'm') ? BPF_DEVCG_ACC_MKNOD : 0U) |
	       (strchr(access, 'r') ? BPF_DEVCG_ACC_READ : 0U) |
	       (strchr(access, 'w') ? BPF_DEVCG_ACC_WRITE : 0U);
}

struct program {
	struct bpf_insn insns[RULES_MAX * 8 + 8];
	size_t n;
};

static struct bpf_insn *insn(struct program *p, uint8_t code, unsigned dst, unsigned src,
			     int32_t imm)
{
	struct bpf_insn *i = &p->insns[p->n++];

	*i = (struct bpf_insn){.code = code,
			       .dst_reg = dst & 15U,
			       .src_reg = src & 15U,
			       .imm = imm};
	return i;
}

/* One rule: a chain of comparisons, each of which leaves for the next rule. Registers: 2 type, 3
 * access, 4 major, 5 minor. */
static void program_rule(struct program *p, const struct rule *rule)
{
	struct bpf_insn *leave[4];
	size_t n = 0;
	uint32_t bits = access_bits(rule->access);

	if (rule->type != 'a') {
		int32_t type = rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
		leave[n++] = insn(p, BPF_JMP | BPF_JNE | BPF_K, 2, 0, type);
	}
	/* allowed when all that is asked for is in the rule; denied when anything is */
	insn(p, BPF_ALU64 | BPF_MOV | BPF_X, 1, 3, 0);
	insn(p, BPF_ALU64 | BPF_AND | BPF_K, 1, 0, (int32_t)(rule->deny ? bits : ~bits & 7));
	leave[n++] = insn(p, BPF_JMP | (rule->deny ? BPF_JEQ : BPF_JNE) | BPF_K, 1, 0, 0);
	if (rule->type != 'a' && rule->major != ANY)
		leave[n++] = insn(p, BPF_JMP | BPF_JNE | BPF_K, 4, 0, (int32_t)rule->major);
	if (rule->type != 'a' && rule->minor != ANY)
		leave[n++] = insn(p, BPF_JMP | BPF_JNE | BPF_K, 5, 0, (int32_t)rule->minor);
	insn(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, rule->deny ? 0 : 1);
	insn(p, BPF_JMP | BPF_EXIT, 0, 0, 0);
	for (size_t i = 0; i < n; i++)
		leave[i]->off = (int16_t)(&p->insns[p->n] - leave[i] - 1);
}

static void program_load(struct program *p, unsigned reg, int16_t offset)
{
	insn(p, BPF_LDX | BPF_MEM | BPF_W, reg, 1, 0)->off = offset;
}

static int bpf_call(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* The last rule that fits decides, so it is asked first. */
static int devices_v2(const struct hierarchy *h, const struct rule *rules, size_t n,
		      struct err *err)
{
	AUTO_FREE struct program *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, ENOMEM, "out of memory");
	program_load(p, 2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	program_load(p, 4, offsetof(struct bpf_cgroup_dev_ctx, major));
	program_load(p, 5, offsetof(struct bpf_cgroup_dev_ctx, minor));
	insn(p, BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0);
	insn(p, BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 16);
	insn(p, BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0xffff);
	for (size_t i = n; i-- > 0;)
		program_rule(p, &rules[i]);
	insn(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0);
	insn(p, BPF_JMP | BPF_EXIT, 0, 0, 0);

	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uint64_t)(uintptr_t)p->insns,
		.insn_cnt = (uint32_t)p->n,
		.license = (uint64_t)(uintptr_t) "Apache-2.0",
	};
	AUTO_CLOSE int program = bpf_call(BPF_PROG_LOAD, &load);
	if (program < 0)
		return err_sys(err, "load the device rules");
	union bpf_attr attach = {
		.target_fd = (uint32_t)h->fd,
		.attach_bpf_fd = (uint32_t)program,
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI,
	};
	if (bpf_call(BPF_PROG_ATTACH, &attach) < 0)
		return err_sys(err, "attach the device rules");
	return 0;
}

/* Fills rules (with room for all) in the order in which the later one wins; returns how many. */
static size_t gather(struct rule *rules, const struct cgroup_config *config)
{
	const struct list *devices = &config->limits->devices;
	const struct plan_device *device = devices->items;
	size_t n_usual = sizeof(usual) / sizeof(usual[0]);
	bool all = config->all_devices && !config->as_specified;
	size_t n = 0;

	rules[n++] = (struct rule){'a', ANY, ANY, "rwm", !all};
	for (size_t i = 0; i < n_usual && !all && !config->as_specified; i++)
		rules[n++] = usual[i];
	for (size_t i = 0; i < devices->n; i++) {
		bool is_node_only = device[i].access && !*device[i].access;
		if (!is_node_only && device[i].type != 'p') /* a FIFO is no device */
			rules[n++] = rule_of(&device[i]);
	}
	return n;
}

int cgroup_devices(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
{
	const struct hierarchy *h = cgroup_with(cg, CTL_DEVICES);
	size_t most = config->limits->devices.n + sizeof(usual) / sizeof(usual[0]) + 1;
	struct err failure = ERR_INIT;

	if (!h && config->as_specified && cgroup_may_lack())
		return 0;
	if (!h)
		return err_set(err, ENOTSUP,
			       "this host has no device cgroup: no v1 controller, and no v2 tree");
	if (most > RULES_MAX)
		return err_set(err, E2BIG, "more than %d device rules", RULES_MAX);
	AUTO_FREE struct rule *rules = calloc(most, sizeof(*rules));
	if (!rules)
		return err_set(err, ENOMEM, "out of memory");
	size_t n = gather(rules, config);
	if (n == 1 && !rules[0].deny)
		return 0;
	int r = h->v2 ? devices_v2(h, rules, n, &failure) : devices_v1(h, rules, n, &failure);
	if (r == 0)
		return 0;
	/* without rights on the host nobody can make a node, and those bound are the ones allowed
	 */
	if ((failure.code == EPERM || failure.code == EACCES) && config->as_specified &&
	    cgroup_may_lack())
		return 0;
	return err_set(err, failure.code, "device rules: %s", failure.msg);
}
