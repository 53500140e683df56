/* SPDX-License-Identifier: Apache-2.0 */
/* Programs for seccomp are judged by running them, in an interpreter of what they are made of. */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proto/record.h"

#define BPF_STRANGE UINT32_C(0x12345678)

/* Runs the program on one call; the action, or BPF_STRANGE for what no program of ours does. */
static inline uint32_t bpf_run(const struct bytes *program, const struct seccomp_data *data)
{
	const struct sock_filter *insn = (const void *)program->data;
	size_t n = program->len / sizeof(*insn);
	uint32_t a = 0;

	for (size_t pc = 0; pc < n;) {
		const struct sock_filter *i = &insn[pc++];
		bool yes = false;
		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)data + i->k, sizeof(a));
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_RET | BPF_K:
			return i->k;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == i->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= i->k;
			break;
		default:
			return BPF_STRANGE;
		}
		pc += yes ? i->jt : i->jf;
	}
	return BPF_STRANGE;
}
