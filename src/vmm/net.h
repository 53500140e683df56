/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network device (virtio 1.2 section 5.1) over a wire (wire.h): a tap, with the offloads that
 * both sides can, or a stream. Its queues come in pairs, each over a descriptor of the tap of its
 * own; over a stream there is one. A pair is served by the monitor's loop, or by the kernel
 * (vhost.h) where that was given and nothing is limited.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "vmm/stream.h"
#include "vmm/tap.h"
#include "vmm/throttle.h"
#include "vmm/vhost.h"
#include "vmm/virtio.h"

struct err;
struct loop;
struct watch;

/* The ways of its throttle, and the queues of a pair. */
enum { NET_TO_GUEST, NET_FROM_GUEST, NET_WAYS };

enum { NET_PAIRS_MAX = 4 };

struct net_pair {
	struct net *net;
	unsigned index;
	struct watch *watch; /* of nothing while the wire is gone or gives this pair nothing */
	struct wire *wire; /* one of the next two */
	struct tap tap;
	struct stream stream;
	bool attached; /* the wire gives it frames */
	bool full; /* the wire takes no more for now */
	const uint8_t *frame; /* the wire's; one that waits for the guest's buffers */
	size_t waiting; /* its bytes; 0: none */
	bool counted; /* it has passed the throttle */
	struct vhost vhost;
	struct watch *notified[NET_WAYS]; /* where its queues' notifications are told apart */
};

struct net {
	struct virtio v; /* first */
	struct net_pair pairs[NET_PAIRS_MAX];
	unsigned n_pairs;
	unsigned used; /* of these, by the guest */
	struct net_pair *sending; /* whose frames send_chain() is handed */
	int kicks[VIRTIO_QUEUES_MAX]; /* eventfds of each queue, where they are told apart; owned */
	struct watch *fault_watch;
	int fault; /* eventfd: the guest broke the rules while the kernel served; owned */
	bool faulty; /* it did: we judge ourselves, until the device is reset */
	bool own; /* the tap is closed when it goes */
	uint8_t mac[6];
	bool carrier; /* as the guest is shown, if it asks */
	struct throttle throttle;
};

/* What it stands on; borrowed. */
struct net_config {
	const int *taps; /* of one interface; vnet headers, non-blocking; of many queues if many */
	const int *stream; /* instead of taps, for one pair without vhosts (stream.h); NULL: none */
	const int *vhosts; /* /dev/vhost-net, opened once for each pair; NULL: there is none */
	unsigned n_pairs; /* 0: it is a place, where net_plug() puts a tap later */
	uint8_t mac[6];
};

/* Makes the device, which `loop` serves and watches the wire from. The caller releases with
 * net_done(). */
int net_init(struct net *n, const struct net_config *config, struct loop *loop,
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
