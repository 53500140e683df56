/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this host's KVM can run a stock kernel. /dev/kvm alone is no proof: hosts without
 * hardware virtualization may offer one whose emulator stops at the first unusual instruction.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct err;

enum { PROBE_WHY_MAX = 160 };

/*
 * Answers with ACCEL_KVM or ACCEL_TCG (proto/plan.h) and, for the latter, the reason in a few words
 * ("no /dev/kvm"). The verdict is found out once per boot of the host and kept in the file `accel`
 * of the run folder `run_fd`.
 */
uint32_t machine_accel(int run_fd, char why[PROBE_WHY_MAX]);

/* Finds out without the file: in a child process that gets two seconds. */
uint32_t machine_accel_probe(char why[PROBE_WHY_MAX]);
