/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console device (virtio 1.2 section 5.3) with one named port, which is a byte stream to a socket
 * of the host: the agent's channel. Neither side is read faster than the other takes. When the
 * host hangs up, the guest finds the port closed; when the guest closes it, the host waits.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "vmm/virtio.h"

struct err;
struct loop;
struct watch;

enum { PORT_NAME_MAX = 32 };

struct port {
	struct virtio v; /* first */
	struct watch *watch; /* NULL once the host hung up */
	int fd; /* owned */
	char name[PORT_NAME_MAX];
	size_t sent; /* of the chain that the host has not wholly taken */
	bool sending; /* there is one */
	bool starving; /* the guest has no buffer for what the host says */
	bool open; /* the guest listens */
	bool closed; /* the host hung up and all it said was read */
	uint32_t due; /* what the guest is still to be told: a bit for each enum word */
};

/* Makes the device over fd, which it takes and makes non-blocking; its socket is watched from
 * `loop`, the one that serves the device. The caller releases with port_done(). */
int port_init(struct port *p, int fd, const char *name, struct loop *loop, const struct gmem *mem,
	      struct err *err) HULL_MUST_CHECK;

/* Zeroed is fine. */
void port_done(struct port *p);
