/* SPDX-License-Identifier: Apache-2.0 */
/* The tables are made from the kernel's headers (calls.sh). */
#include <linux/audit.h>

#include "spec/rules.h"

static const struct call native[] = {
#include "calls_native.inc"
};

#if defined(__x86_64__)
static const struct call compat[] = {
#	include "calls_compat.inc"
};
const struct abi rules_abis[] = {
	{AUDIT_ARCH_X86_64, native, sizeof(native) / sizeof(native[0])},
	{AUDIT_ARCH_I386, compat, sizeof(compat) / sizeof(compat[0])},
};
#elif defined(__aarch64__)
const struct abi rules_abis[] = {
	{AUDIT_ARCH_AARCH64, native, sizeof(native) / sizeof(native[0])},
};
#else
#	error "name this machine's AUDIT_ARCH here"
#endif
const size_t rules_n_abis = sizeof(rules_abis) / sizeof(rules_abis[0]);
