/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seccomp profiles. A program that comes of one is checked as the kernel does: jumps lead forward
 * and inside, loads are within a call's data, and each way ends.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "proto/plan.h"
#include "spec/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(int holds)
{
	if (!holds)
		abort();
}

static void judge(const struct sock_filter *insn, size_t n)
{
	must(n > 0 && n <= BPF_MAXINSNS && BPF_CLASS(insn[n - 1].code) == BPF_RET);
	for (size_t i = 0; i < n; i++) {
		size_t left = n - i - 1;
		switch (BPF_CLASS(insn[i].code)) {
		case BPF_LD:
			must(insn[i].k <= sizeof(struct seccomp_data) - 4 && insn[i].k % 4 == 0);
			break;
		case BPF_JMP:
			if (BPF_OP(insn[i].code) == BPF_JA)
				must(insn[i].k < left);
			else
				must(insn[i].jt < left && insn[i].jf < left);
			break;
		default:
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct plan_process what = {0};
	struct err err = ERR_INIT;

	if (json_parse((const char *)data, n, 1 << 20, "profile", &doc, &err) < 0)
		return 0;
	if (spec_seccomp(doc, NULL, false, &what, &err) < 0)
		return 0;
	judge((const struct sock_filter *)(const void *)what.seccomp.data,
	      what.seccomp.len / sizeof(struct sock_filter));
	record_done(&plan_process_record, &what);
	return 0;
}
