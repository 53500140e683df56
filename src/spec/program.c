/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile as a BPF program. Numbers with the same fate that stand beside each other form a run; a
 * search tree over the runs decides with about seven comparisons among 450 calls. Code is written
 * from the leaves up, since a jump has to know how long what it jumps over has become: conditional
 * jumps reach 255 instructions, longer ways go by an unconditional one.
 */
#include <errno.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/record.h"
#include "spec/rules_impl.h"

static void emit(struct buf *code, uint16_t op, uint32_t k, uint8_t jt, uint8_t jf)
{
	struct sock_filter insn = {.code = op, .jt = jt, .jf = jf, .k = k};

	buf_add(code, &insn, sizeof(insn));
}

static size_t length(const struct buf *code)
{
	return code->len / sizeof(struct sock_filter);
}

/* Low and high half of an argument (little-endian machines only: all that hull runs on). */
static void load_half(struct buf *code, uint32_t argument, bool high)
{
	size_t at = offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t);

	emit(code, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(at + (high ? sizeof(uint32_t) : 0)), 0, 0);
}

enum { PASS = 254, FAIL = 255 }; /* marks in jt and jf, until the rule's length is known */

/* high > v: decided one way; high < v: the other; else the low half decides by `op`. */
static void emit_order(struct buf *code, const struct condition *c, uint16_t op, bool inverted)
{
	uint32_t high = (uint32_t)(c->value >> 32);
	uint8_t yes = inverted ? FAIL : PASS;
	uint8_t no = inverted ? PASS : FAIL;

	load_half(code, c->argument, true);
	emit(code, BPF_JMP | BPF_JGT | BPF_K, high, yes, 0);
	emit(code, BPF_JMP | BPF_JEQ | BPF_K, high, 0, no);
	load_half(code, c->argument, false);
	emit(code, (uint16_t)(BPF_JMP | op | BPF_K), (uint32_t)c->value, yes, no);
}

static void emit_masked(struct buf *code, const struct condition *c)
{
	for (int high = 1; high >= 0; high--) {
		load_half(code, c->argument, high);
		emit(code, BPF_ALU | BPF_AND | BPF_K, (uint32_t)(c->value >> 32 * high), 0, 0);
		emit(code, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(c->value_two >> 32 * high),
		     high ? 0 : PASS, FAIL);
	}
}

/* Code that leaves by PASS or FAIL. */
static void emit_condition(struct buf *code, const struct condition *c)
{
	uint32_t high = (uint32_t)(c->value >> 32);
	uint32_t low = (uint32_t)c->value;

	switch (c->compare) {
	case CMP_EQ:
	case CMP_NE:
		load_half(code, c->argument, true);
		emit(code, BPF_JMP | BPF_JEQ | BPF_K, high, 0, c->compare == CMP_EQ ? FAIL : PASS);
		load_half(code, c->argument, false);
		emit(code, BPF_JMP | BPF_JEQ | BPF_K, low, c->compare == CMP_EQ ? PASS : FAIL,
		     c->compare == CMP_EQ ? FAIL : PASS);
		break;
	case CMP_NE_32:
		load_half(code, c->argument, false);
		emit(code, BPF_JMP | BPF_JEQ | BPF_K, low, FAIL, PASS);
		break;
	case CMP_GT:
		emit_order(code, c, BPF_JGT, false);
		break;
	case CMP_GE:
		emit_order(code, c, BPF_JGE, false);
		break;
	case CMP_LE:
		emit_order(code, c, BPF_JGT, true);
		break;
	case CMP_LT:
		emit_order(code, c, BPF_JGE, true);
		break;
	case CMP_MASKED_EQ:
		emit_masked(code, c);
		break;
	}
}

/* Turns the marks of the instructions from `from` on into jumps: PASS behind the condition (to
 * `pass`), FAIL to `fail`. */
static void settle(struct buf *code, size_t from, size_t pass, size_t fail)
{
	struct sock_filter *insns = (struct sock_filter *)(void *)code->data;

	for (size_t i = from; i < pass; i++) {
		if (BPF_CLASS(insns[i].code) != BPF_JMP)
			continue;
		uint8_t *ways[2] = {&insns[i].jt, &insns[i].jf};
		for (int w = 0; w < 2; w++) {
			if (*ways[w] == PASS)
				*ways[w] = (uint8_t)(pass - i - 1);
			else if (*ways[w] == FAIL)
				*ways[w] = (uint8_t)(fail - i - 1);
		}
	}
}

/* One rule: its conditions, one after the other, then its action; FAIL leaves behind it. At most
 * CONDITIONS_MAX * 6 + 1 instructions, so that every jump is short. */
static void emit_rule(struct buf *code, const struct rule *rule)
{
	size_t ends[CONDITIONS_MAX + 1] = {length(code)};

	for (uint32_t i = 0; i < rule->n; i++) {
		emit_condition(code, &rule->conditions[i]);
		ends[i + 1] = length(code);
	}
	emit(code, BPF_RET | BPF_K, rule->action, 0, 0);
	for (uint32_t i = 0; i < rule->n && !code->bad; i++)
		settle(code, ends[i], ends[i + 1], length(code));
}

/* What happens to a call when no condition holds. */
static uint32_t plain_action(const struct rules *rules, const struct call_rules *c)
{
	return c->has_plain ? c->plain : rules->default_action;
}

/* Whether arguments make a difference at all. */
static bool has_conditions(const struct rules *rules, const struct call_rules *c)
{
	uint32_t plain = plain_action(rules, c);

	for (size_t i = 0; i < c->n; i++) {
		if (c->rules[i].action != plain)
			return true;
	}
	return false;
}

static void emit_call(struct buf *code, const struct rules *rules, const struct call_rules *c)
{
	for (size_t i = 0; i < c->n; i++)
		emit_rule(code, &c->rules[i]);
	emit(code, BPF_RET | BPF_K, plain_action(rules, c), 0, 0);
}

/* Numbers from `first` up to the next run's; decided by `call` alone when it has conditions. */
struct run {
	uint32_t first;
	uint32_t action;
	const struct call_rules *call;
};

/* The code of runs [from, to), appended to *code. */
static void emit_tree(struct buf *code, const struct rules *rules, const struct run *run, size_t n)
{
	if (n == 1) {
		if (run->call)
			emit_call(code, rules, run->call);
		else
			emit(code, BPF_RET | BPF_K, run->action, 0, 0);
		return;
	}
	AUTO_BUF struct buf lower = BUF_INIT;
	size_t half = n / 2;
	emit_tree(&lower, rules, run, half);
	size_t skip = length(&lower);
	if (skip <= UINT8_MAX) {
		emit(code, BPF_JMP | BPF_JGE | BPF_K, run[half].first, (uint8_t)skip, 0);
	} else {
		emit(code, BPF_JMP | BPF_JGE | BPF_K, run[half].first, 0, 1);
		emit(code, BPF_JMP | BPF_JA, (uint32_t)skip, 0, 0);
	}
	code->bad |= lower.bad;
	buf_add(code, lower.data, lower.len);
	emit_tree(code, rules, run + half, n - half);
}

/* x32: the same calls under other numbers, past every rule. */
enum { X32_FIRST = 0x40000000 };

/* How many numbers from 0 on the profile decides. */
static size_t known_calls(const struct rules *rules, size_t abi)
{
	size_t n = rules->n_calls[abi];

	if (!rules->closed)
		return n;
	while (n > 0 && rules->calls[abi][n - 1].n == 0 && !rules->calls[abi][n - 1].has_plain)
		n--;
	return n > 0 ? n : rules->n_calls[abi];
}

/* What calls get that are newer than the profile. A tracer may know them. */
static uint32_t newer_action(const struct rules *rules)
{
	switch (rules->default_action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_TRACE:
		return rules->default_action;
	default:
		return SECCOMP_RET_ERRNO | ENOSYS;
	}
}

/* The program of one ABI, with the number already loaded. */
static int emit_abi(struct buf *code, const struct rules *rules, size_t abi, struct err *err)
{
	size_t n_calls = known_calls(rules, abi);
	AUTO_FREE struct run *runs = calloc(n_calls + 2, sizeof(*runs));
	if (!runs)
		return err_set(err, ENOMEM, "out of memory");

	size_t n = 0;
	for (size_t i = 0; i < n_calls; i++) {
		const struct call_rules *c = &rules->calls[abi][i];
		struct run run = {.first = (uint32_t)i, .action = plain_action(rules, c)};
		if (has_conditions(rules, c))
			run.call = c;
		if (n == 0 || run.call || runs[n - 1].call || runs[n - 1].action != run.action)
			runs[n++] = run;
	}
	runs[n++] = (struct run){.first = (uint32_t)n_calls, .action = newer_action(rules)};
	if (rules_abis[abi].audit_arch == AUDIT_ARCH_X86_64)
		runs[n++] = (struct run){.first = X32_FIRST, .action = SECCOMP_RET_ERRNO | ENOSYS};
	emit_tree(code, rules, runs, n);
	return buf_check(code, err);
}

int rules_program(const struct rules *rules, struct bytes *ret, struct err *err)
{
	AUTO_BUF struct buf code = BUF_INIT;

	for (size_t a = 0; a < rules_n_abis; a++) {
		AUTO_BUF struct buf body = BUF_INIT;
		if (!(rules->abis & 1U << a))
			continue;
		emit(&body, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
		int r = emit_abi(&body, rules, a, err);
		if (r < 0)
			return r;
		emit(&code, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
		emit(&code, BPF_JMP | BPF_JEQ | BPF_K, rules_abis[a].audit_arch, 1, 0);
		emit(&code, BPF_JMP | BPF_JA, (uint32_t)length(&body), 0, 0);
		buf_add(&code, body.data, body.len);
	}
	emit(&code, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
	int r = buf_check(&code, err);
	if (r == 0 && length(&code) > BPF_MAXINSNS)
		r = err_set(err, E2BIG, "the seccomp profile makes a program of %zu instructions",
			    length(&code));
	return r < 0 ? r : bytes_set(ret, code.data, code.len, err);
}
