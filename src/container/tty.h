/* SPDX-License-Identifier: Apache-2.0 */
/* Terminals from the workload's own devpts. */
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct err;

struct tty {
	int master, slave;
};

/* Opens a pair of the devpts that is mounted on /dev/pts of the calling process's root, with its
 * first size. The caller closes both. */
int tty_open(uint32_t rows, uint32_t cols, struct tty *ret, struct err *err) HULL_MUST_CHECK;

/* Shows the slave as /dev/console: a bind of the very node, checked to be it. */
int tty_console(const struct tty *tty, struct err *err) HULL_MUST_CHECK;

/* Makes the slave the controlling terminal of the calling process's new session. */
int tty_control(int slave, struct err *err) HULL_MUST_CHECK;
