/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame from the tap is read into a buffer of the monitor's, for its size decides how many of the
 * guest's buffers it takes (mergeable buffers, section 5.1.6.4); a frame to the tap goes straight
 * from the guest's memory. The header of virtio in front of each is the tap's own as well.
 */
#include "vmm/net.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"

enum { QUEUES = 2, HEADER = sizeof(struct virtio_net_hdr_mrg_rxbuf) };

/* --- to the guest --- */

static void read_frame(struct net *n)
{
	ssize_t r = read(n->tap, n->frame, NET_FRAME_MAX);

	n->waiting = r > HEADER ? (size_t)r : 0;
	n->counted = false;
}

/* Chains that a frame has been copied to, not handed back yet. */
struct merge {
	uint16_t heads[QUEUE_MAX];
	uint32_t written[QUEUE_MAX];
	uint16_t n;
};

enum spread { SPREAD_DONE, SPREAD_WAIT, SPREAD_LOST };

/*
 * Copies the frame over chains of the queue, the number of which ends up in the first one's header.
 * When it does not fit, all are given back: WAIT for more of them, or LOST when more would not
 * help.
 */
static enum spread spread(struct net *n, struct queue *q, struct merge *m, uint16_t most)
{
	struct chain first, c;
	size_t done = 0;
	enum spread how = SPREAD_DONE;

	m->n = 0;
	while (done < n->waiting) {
		struct chain *to = m->n == 0 ? &first : &c;
		if (m->n == most) {
			how = SPREAD_LOST;
			break;
		}
		if (queue_pop(q, to) != QUEUE_CHAIN) {
			/* before giving back: what is asked for is one more than there are now */
			if (queue_rearm(q))
				continue;
			how = SPREAD_WAIT;
			break;
		}
		size_t k = chain_write(to, 0, n->frame + done, n->waiting - done);
		m->heads[m->n] = to->head;
		m->written[m->n++] = (uint32_t)k;
		done += k;
	}
	if (how == SPREAD_DONE)
		(void)chain_write(&first, offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers),
				  &m->n, sizeof(m->n));
	for (; how != SPREAD_DONE && m->n > 0; m->n--)
		queue_unpop(q);
	return how;
}

/* Whether the tap is to be watched: the guest has room for more, and may have it now. */
static bool receive(struct net *n)
{
	struct queue *q = &n->v.queues[NET_TO_GUEST];
	bool merge = n->v.features & 1ULL << VIRTIO_NET_F_MRG_RXBUF;
	struct merge m;

	size_t untold = 0; /* bytes, as in virtio_each() */
	bool room = true;

	for (int left = QUEUE_MAX; left > 0; left--) {
		if (n->waiting == 0)
			read_frame(n);
		if (n->waiting == 0)
			break;
		n->counted = n->counted || throttle_pass(&n->throttle, NET_TO_GUEST, n->waiting);
		room = n->counted && spread(n, q, &m, merge ? QUEUE_MAX : 1) != SPREAD_WAIT;
		if (!room)
			break;
		for (uint16_t i = 0; i < m.n; i++)
			queue_push(q, m.heads[i], m.written[i]);
		untold += n->waiting;
		n->waiting = 0;
		if (untold >= VIRTIO_TELL_BYTES) {
			virtio_tell(&n->v, q);
			untold = 0;
		}
	}
	virtio_tell(&n->v, q);
	return room;
}

/* --- from the guest --- */

static int64_t send_chain(struct virtio *v, const struct chain *c)
{
	struct net *n = (struct net *)v;

	if (c->out_bytes >= HEADER + ETH_HLEN && c->out_bytes <= NET_FRAME_MAX) {
		if (!throttle_pass(&n->throttle, NET_FROM_GUEST, c->out_bytes))
			return VIRTIO_LATER;
		/* a frame that the tap does not take is lost, as on any wire */
		ssize_t r = writev(n->tap, c->iov, c->n_out);
		(void)r;
	}
	return 0;
}

static void serve(struct virtio *v)
{
	struct net *n = (struct net *)v;
	struct err ignored = ERR_INIT;

	virtio_each(v, NET_FROM_GUEST, send_chain);
	bool more = receive(n);
	(void)!watch_events(n->watch, more ? EPOLLIN : 0,
			    &ignored); /* fails when the tap is gone */
}

/* The tap must hand over only what the driver agreed to take. */
static void start(struct virtio *v)
{
	static const struct {
		unsigned feature, offload;
	} offloads[] = {
		{VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM},
		{VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4},
		{VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6},
		{VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN},
	};
	const struct net *n = (const struct net *)v;
	unsigned long wanted = 0;

	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++) {
		if (v->features & 1ULL << offloads[i].feature)
			wanted |= offloads[i].offload;
	}
	if (ioctl(n->tap, TUNSETOFFLOAD, wanted) < 0)
		(void)ioctl(n->tap, TUNSETOFFLOAD, 0UL);
}

static void reset(struct virtio *v)
{
	((struct net *)v)->waiting = 0;
}

static int tap_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct net *n = ctx;

	(void)fd;
	(void)err;
	(void)pthread_mutex_lock(&n->v.lock);
	if (events & (EPOLLHUP | EPOLLERR)) /* the interface was removed: told without end */
		(void)!watch_move(n->watch, -1, 0, &ignored);
	if (virtio_alive(&n->v))
		serve(&n->v);
	else
		(void)!watch_events(n->watch, 0, &ignored);
	(void)pthread_mutex_unlock(&n->v.lock);
	return 0;
}

static const struct virtio_ops net_ops = {
	.id = VIRTIO_ID_NET,
	.features = 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_MRG_RXBUF |
		    1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_HOST_TSO4 |
		    1ULL << VIRTIO_NET_F_HOST_TSO6 | 1ULL << VIRTIO_NET_F_HOST_ECN |
		    1ULL << VIRTIO_NET_F_GUEST_CSUM | 1ULL << VIRTIO_NET_F_GUEST_TSO4 |
		    1ULL << VIRTIO_NET_F_GUEST_TSO6 | 1ULL << VIRTIO_NET_F_GUEST_ECN,
	.n_queues = QUEUES,
	.serve = serve,
	.start = start,
	.reset = reset,
	/* a frame that waits for buffers is lost, as on any wire */
	.save = virtio_save_nothing,
	.load = virtio_load_nothing,
};

static int take(struct net *n, int tap, const uint8_t mac[6], struct err *err)
{
	int header = HEADER;

	if (ioctl(tap, TUNSETVNETHDRSZ, &header) < 0)
		return err_sys(err, "network: descriptor %d is no tap", tap);
	int r = watch_move(n->watch, tap, 0, err);
	if (r < 0)
		return r;
	n->tap = tap;
	memcpy(n->v.config, mac, 6);
	return 0;
}

int net_init(struct net *n, int tap, const uint8_t mac[6], struct loop *loop,
	     const struct gmem *mem, struct err *err)
{
	*n = (struct net){.tap = -1, .frame = malloc(NET_FRAME_MAX)};
	if (!n->frame)
		return err_set(err, ENOMEM, "out of memory");
	int r = virtio_init(&n->v, &net_ops, 0, mem, err);
	if (r == 0)
		r = throttle_init(&n->throttle, &n->v, loop, err);
	if (r == 0)
		r = loop_watch(loop, -1, 0, tap_ready, n, &n->watch, err);
	if (r == 0 && tap >= 0)
		r = take(n, tap, mac, err);
	if (r < 0) {
		net_done(n);
		return r;
	}
	n->v.absent = tap < 0;
	n->v.config_len = 6;
	return 0;
}

static int plug(struct net *n, int tap, const uint8_t mac[6], struct err *err)
{
	if (!n->v.absent)
		return err_set(err, EBUSY, "an interface is there");
	int r = virtio_set_present(&n->v, true, 0, err);
	if (r < 0)
		return r;
	r = take(n, tap, mac, err);
	n->v.absent = r < 0;
	n->own = r == 0;
	return r;
}

int net_plug(struct net *n, int tap, const uint8_t mac[6], struct err *err)
{
	(void)pthread_mutex_lock(&n->v.lock);
	int r = plug(n, tap, mac, err);
	(void)pthread_mutex_unlock(&n->v.lock);
	return r;
}

static int unplug(struct net *n, struct err *err)
{
	struct err ignored = ERR_INIT;

	if (!n->own)
		return err_set(err, EINVAL, "the interface was not plugged in");
	int r = virtio_set_present(&n->v, false, 0, err);
	if (r < 0)
		return r;
	(void)!watch_move(n->watch, -1, 0, &ignored);
	auto_close(&n->tap);
	n->own = false;
	n->waiting = 0;
	for (unsigned way = 0; way < THROTTLE_WAYS; way++)
		throttle_set(&n->throttle, way, &(struct limit){0});
	return 0;
}

int net_unplug(struct net *n, struct err *err)
{
	(void)pthread_mutex_lock(&n->v.lock);
	int r = unplug(n, err);
	(void)pthread_mutex_unlock(&n->v.lock);
	return r;
}

void net_limit(struct net *n, unsigned way, const struct limit *limit)
{
	(void)pthread_mutex_lock(&n->v.lock);
	throttle_set(&n->throttle, way, limit);
	(void)pthread_mutex_unlock(&n->v.lock);
	virtio_kick(&n->v);
}

void net_done(struct net *n)
{
	watch_remove(&n->watch);
	throttle_done(&n->throttle);
	virtio_done(&n->v);
	free(n->frame);
	n->frame = NULL;
	if (n->own)
		auto_close(&n->tap);
}
