/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O ports of an x86 machine: one 16550A serial line that only sends, and the registers for
 * power off and reset. From any vCPU thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct buf;
struct err;
struct state_reader;

enum { SERIAL_LINE_MAX = 256, PORTS_SERIAL_LINE = 4 /* its interrupt */ };

/* What writing a port brings about. */
enum ports_word { PORTS_NOTHING, PORTS_OFF, PORTS_RESET };

struct ports {
	pthread_mutex_t lock;
	int out; /* where the serial line's bytes go; borrowed; -1: nowhere */
	int irq; /* eventfd, owned */
	uint8_t enable, line_control, modem_control, scratch, divisor[2];
	bool empty_pending; /* "you may send" has not been read yet */
	char line[SERIAL_LINE_MAX]; /* sent as a whole, for fewer writes */
	size_t len;
};

/* Release with ports_done(). */
int ports_init(struct ports *p, int out, struct err *err) HULL_MUST_CHECK;

/* Zeroed is fine. */
void ports_done(struct ports *p);

/* A guest's read of n bytes (1, 2, 4); ports where nothing is read as all ones. */
void ports_read(struct ports *p, uint16_t port, void *bytes, size_t n);

/* A guest's write. */
enum ports_word ports_write(struct ports *p, uint16_t port, const void *bytes, size_t n);

/* Writes what of a last line is left; at the machine's end. */
void ports_flush(struct ports *p);

/* Appends the serial line to a written state; no vCPU runs. */
void ports_save(const struct ports *p, struct buf *to);

/* Makes new ports what the state says, which is judged. */
int ports_load(struct ports *p, struct state_reader *from, struct err *err) HULL_MUST_CHECK;

/* Tells the guest again that it may send, if it has not heard. */
void ports_release(struct ports *p);
