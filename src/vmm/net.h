/* SPDX-License-Identifier: Apache-2.0 */
/* A network device (virtio 1.2 section 5.1) over a tap, with the offloads that both sides can. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "vmm/throttle.h"
#include "vmm/virtio.h"

struct err;
struct loop;
struct watch;

/* The largest frame: 64 KiB of an offloaded segment, its headers, and the header of virtio. */
enum { NET_FRAME_MAX = 65536 + 64 };

/* The ways of its throttle, and its queues. */
enum { NET_TO_GUEST, NET_FROM_GUEST };

struct net {
	struct virtio v; /* first */
	struct watch *watch; /* of nothing once the tap is gone */
	int tap; /* -1: a place for one */
	bool own; /* the tap is closed when it goes */
	uint8_t *frame; /* owned; one that waits for the guest's buffers */
	size_t waiting; /* its bytes; 0: none */
	bool counted; /* it has passed the throttle */
	struct throttle throttle;
};

/* Makes the device over the tap, which is opened with IFF_VNET_HDR and non-blocking, and watched
 * from `loop`, the one that serves the device. With tap -1 it is a place where net_plug() puts one
 * later. The caller releases with net_done(). */
int net_init(struct net *n, int tap, const uint8_t mac[6], struct loop *loop,
	     const struct gmem *mem, struct err *err) HULL_MUST_CHECK;

/* Puts an interface into the place; takes the tap on success. EBUSY when there is one. Neither this
 * nor what follows allocates; from the thread of its loop. */
int net_plug(struct net *n, int tap, const uint8_t mac[6], struct err *err) HULL_MUST_CHECK;

/* Takes the interface away, once the guest's driver has let go of it (EBUSY). */
int net_unplug(struct net *n, struct err *err) HULL_MUST_CHECK;

/* Limits what the guest is sent (NET_TO_GUEST) or sends in a second, frames being requests. From
 * any thread. */
void net_limit(struct net *n, unsigned way, const struct limit *limit);

/* Zeroed is fine. */
void net_done(struct net *n);
