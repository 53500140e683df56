/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame from the tap is read into a buffer of the monitor's, for its size decides how many of the
 * guest's buffers it takes (mergeable buffers, section 5.1.6.4); a frame to the tap goes straight
 * from the guest's memory. The header of virtio in front of each is the tap's own as well.
 *
 * Who serves a pair is decided whenever the device is served (settle()): the kernel is set up not
 * before a driver is ready, by the loop's thread, so that neither a start nor a processor waits for
 * it. It ends at once when queues are reset, held or limited.
 */
#include "vmm/net.h"

#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/state.h"

enum { HEADER = sizeof(struct virtio_net_hdr_mrg_rxbuf), MAC_LEN = 6 };

static struct queue *queue_of(const struct net_pair *p, unsigned way)
{
	return &p->net->v.queues[NET_WAYS * p->index + way];
}

/* --- to the guest --- */

static void read_frame(struct net_pair *p)
{
	ssize_t r = read(p->tap, p->frame, NET_FRAME_MAX);

	p->waiting = r > HEADER ? (size_t)r : 0;
	p->counted = false;
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
static enum spread spread(const struct net_pair *p, struct queue *q, struct merge *m, uint16_t most)
{
	struct chain first, c;
	size_t done = 0;
	enum spread how = SPREAD_DONE;

	m->n = 0;
	while (done < p->waiting) {
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
		size_t k = chain_write(to, 0, p->frame + done, p->waiting - done);
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
static bool receive(struct net_pair *p)
{
	struct net *n = p->net;
	struct queue *q = queue_of(p, NET_TO_GUEST);
	bool merge = n->v.features & 1ULL << VIRTIO_NET_F_MRG_RXBUF;
	struct merge m;

	size_t untold = 0; /* bytes, as in virtio_each() */
	bool room = true;

	for (int left = QUEUE_MAX; left > 0; left--) {
		if (p->waiting == 0)
			read_frame(p);
		if (p->waiting == 0)
			break;
		p->counted = p->counted || throttle_pass(&n->throttle, NET_TO_GUEST, p->waiting);
		room = p->counted && spread(p, q, &m, merge ? QUEUE_MAX : 1) != SPREAD_WAIT;
		if (!room)
			break;
		for (uint16_t i = 0; i < m.n; i++)
			queue_push(q, m.heads[i], m.written[i]);
		untold += p->waiting;
		p->waiting = 0;
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
		ssize_t r = writev(n->sending->tap, c->iov, c->n_out);
		(void)r;
	}
	return 0;
}

/* Section 5.1.6.5.6: how many pairs the guest uses from now on. */
static int64_t control_chain(struct virtio *v, const struct chain *c)
{
	struct net *n = (struct net *)v;
	uint8_t request[sizeof(struct virtio_net_ctrl_hdr) + sizeof(struct virtio_net_ctrl_mq)];
	uint8_t ack = VIRTIO_NET_ERR;

	if ((v->features & 1ULL << VIRTIO_NET_F_MQ) &&
	    chain_read(c, 0, request, sizeof(request)) == sizeof(request) &&
	    request[0] == VIRTIO_NET_CTRL_MQ && request[1] == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET) {
		unsigned wanted = request[2] | (unsigned)request[3] << 8;
		if (wanted >= 1 && wanted <= n->n_pairs) {
			n->used = wanted;
			ack = VIRTIO_NET_OK;
		}
	}
	return (int64_t)chain_write(c, 0, &ack, sizeof(ack));
}

/* --- who serves --- */

static struct vhost_pair stands_on(const struct net_pair *p)
{
	struct net *n = p->net;
	unsigned first = NET_WAYS * p->index;

	return (struct vhost_pair){.queues = {&n->v.queues[first], &n->v.queues[first + 1]},
				   .kicks = n->kicks + first,
				   .call = n->v.irq,
				   .fault = n->fault,
				   .tap = p->tap,
				   .features = n->v.features};
}

static void listen_to(struct net_pair *p, bool on)
{
	struct err ignored = ERR_INIT; /* of watches that are there */

	for (unsigned way = 0; way < NET_WAYS; way++) {
		if (p->notified[way])
			(void)!watch_events(p->notified[way], on ? EPOLLIN : 0, &ignored);
	}
}

static void vhost_off(struct net_pair *p)
{
	const struct vhost_pair pair = stands_on(p);

	vhost_stop(&p->vhost, &pair);
}

static void vhost_on(struct net_pair *p)
{
	const struct vhost_pair pair = stands_on(p);
	struct err ignored = ERR_INIT; /* the loop does it as well */

	virtio_elsewhere(&p->net->v, true); /* before it can interrupt */
	if (vhost_start(&p->vhost, &pair, p->net->v.mem, &ignored) < 0)
		p->vhost.fd = -1;
}

/* The tap gives frames to pairs that the guest uses, and to no other. */
static void attach(struct net_pair *p, bool on)
{
	struct ifreq ifr = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};
	struct err ignored = ERR_INIT; /* fails when the tap is gone */

	if (p->attached == on)
		return;
	if (!on)
		(void)!watch_move(p->watch, -1, 0, &ignored);
	if (ioctl(p->tap, TUNSETQUEUE, &ifr) < 0)
		return;
	p->attached = on;
	if (on)
		(void)!watch_move(p->watch, p->tap, 0, &ignored);
}

static bool is_limited(const struct net *n)
{
	for (unsigned way = 0; way < NET_WAYS; way++) {
		const struct limit *l = &n->throttle.ways[way].limit;
		if (l->bytes || l->requests)
			return true;
	}
	return false;
}

static bool is_for_vhost(const struct net_pair *p)
{
	return p->vhost.fd >= 0 && p->index < p->net->used && p->attached && p->waiting == 0 &&
	       queue_of(p, NET_TO_GUEST)->ready && queue_of(p, NET_FROM_GUEST)->ready &&
	       !p->net->faulty && !is_limited(p->net);
}

static bool is_elsewhere(const struct net *n)
{
	bool any = false;

	for (unsigned i = 0; i < n->n_pairs; i++)
		any = any || n->pairs[i].vhost.serving;
	return any;
}

/* Sees to it that each pair is served by whom it should be. */
static void settle(struct net *n)
{
	bool was = is_elsewhere(n);

	for (unsigned i = 0; i < n->n_pairs; i++) {
		struct net_pair *p = &n->pairs[i];
		if (!is_for_vhost(p))
			vhost_off(p);
		if (n->n_pairs > 1)
			attach(p, i < n->used);
		if (is_for_vhost(p) && !p->vhost.serving)
			vhost_on(p);
		listen_to(p, !p->vhost.serving);
	}
	if ((was || n->v.unseen) && !is_elsewhere(n))
		virtio_elsewhere(&n->v, false);
}

static void serve_pair(struct net_pair *p)
{
	struct err ignored = ERR_INIT;
	bool more = false;

	if (!p->vhost.serving) {
		p->net->sending = p;
		virtio_each(&p->net->v, NET_WAYS * p->index + NET_FROM_GUEST, send_chain);
		more = receive(p);
	}
	(void)!watch_events(p->watch, more ? EPOLLIN : 0,
			    &ignored); /* fails when the tap is gone */
}

static void serve(struct virtio *v)
{
	struct net *n = (struct net *)v;
	unsigned control = v->features & 1ULL << VIRTIO_NET_F_MQ ? NET_WAYS * n->n_pairs : NET_WAYS;

	if (v->features & 1ULL << VIRTIO_NET_F_CTRL_VQ)
		virtio_each(v, control, control_chain);
	settle(n);
	for (unsigned i = 0; i < n->used; i++)
		serve_pair(&n->pairs[i]);
}

/* From any thread, so that watches are left to settle(). */
static void stop(struct virtio *v)
{
	struct net *n = (struct net *)v;

	if (!is_elsewhere(n))
		return;
	for (unsigned i = 0; i < n->n_pairs; i++)
		vhost_off(&n->pairs[i]);
	virtio_elsewhere(v, false);
	virtio_kick(v);
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
	int tap = ((const struct net *)v)->pairs[0].tap;
	unsigned long wanted = 0;

	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++) {
		if (v->features & 1ULL << offloads[i].feature)
			wanted |= offloads[i].offload;
	}
	if (ioctl(tap, TUNSETOFFLOAD, wanted) < 0)
		(void)ioctl(tap, TUNSETOFFLOAD, 0UL);
}

static void reset(struct virtio *v)
{
	struct net *n = (struct net *)v;

	for (unsigned i = 0; i < n->n_pairs; i++)
		n->pairs[i].waiting = 0;
	n->used = 1;
	n->faulty = false;
}

/* --- what the loop hears --- */

static int tap_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct net_pair *p = ctx;
	struct virtio *v = &p->net->v;

	(void)fd;
	(void)err;
	(void)pthread_mutex_lock(&v->lock);
	if (events & (EPOLLHUP | EPOLLERR)) /* the interface was removed: told without end */
		(void)!watch_move(p->watch, -1, 0, &ignored);
	if (virtio_alive(v) && p->index < p->net->used)
		serve_pair(p);
	else
		(void)!watch_events(p->watch, 0, &ignored);
	(void)pthread_mutex_unlock(&v->lock);
	return 0;
}

static void hear(int fd)
{
	uint64_t times;

	ssize_t r = read(fd, &times, sizeof(times)); /* nothing there: heard already */
	(void)r;
}

static int notified(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct net_pair *p = ctx;
	struct virtio *v = &p->net->v;

	(void)events;
	(void)err;
	hear(fd);
	(void)pthread_mutex_lock(&v->lock);
	if (virtio_alive(v) && p->index < p->net->used)
		serve_pair(p);
	else if (virtio_alive(v)) /* it may be the control queue's, where that is the third */
		serve(v);
	(void)pthread_mutex_unlock(&v->lock);
	return 0;
}

/* What the kernel could not do our own eyes see, and the guest is told. */
static int fault(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct net *n = ctx;

	(void)events;
	(void)err;
	hear(fd);
	(void)pthread_mutex_lock(&n->v.lock);
	n->faulty = true;
	if (virtio_alive(&n->v))
		serve(&n->v);
	(void)pthread_mutex_unlock(&n->v.lock);
	return 0;
}

/* --- its life --- */

/* A frame that waits for buffers is lost, as on any wire. */
static void save(struct virtio *v, struct buf *to)
{
	const struct net *n = (const struct net *)v;

	if (n->n_pairs > 1)
		buf_le32(to, n->used);
}

static int load(struct virtio *v, struct state_reader *from, struct err *err)
{
	struct net *n = (struct net *)v;

	if (n->n_pairs > 1)
		n->used = state_take32(from);
	return n->used >= 1 && n->used <= n->n_pairs
		       ? 0
		       : err_set(err, EINVAL, "it has no such number of queues");
}

#define FEATURES                                                                                   \
	(1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_MRG_RXBUF | 1ULL << VIRTIO_NET_F_CSUM |   \
	 1ULL << VIRTIO_NET_F_HOST_TSO4 | 1ULL << VIRTIO_NET_F_HOST_TSO6 |                         \
	 1ULL << VIRTIO_NET_F_HOST_ECN | 1ULL << VIRTIO_NET_F_GUEST_CSUM |                         \
	 1ULL << VIRTIO_NET_F_GUEST_TSO4 | 1ULL << VIRTIO_NET_F_GUEST_TSO6 |                       \
	 1ULL << VIRTIO_NET_F_GUEST_ECN)
#define MANY (1ULL << VIRTIO_NET_F_CTRL_VQ | 1ULL << VIRTIO_NET_F_MQ)
#define OPS(more, queues)                                                                          \
	{                                                                                          \
		.id = VIRTIO_ID_NET, .features = FEATURES | (more), .n_queues = (queues),          \
		.serve = serve, .start = start, .reset = reset, .stop = stop, .save = save,        \
		.load = load                                                                       \
	}

/* By the number of pairs. */
static const struct virtio_ops net_ops[NET_PAIRS_MAX + 1] = {
	[1] = OPS(0, NET_WAYS),
	[2] = OPS(MANY, 2 * NET_WAYS + 1),
	[3] = OPS(MANY, 3 * NET_WAYS + 1),
	[4] = OPS(MANY, 4 * NET_WAYS + 1),
};

_Static_assert(NET_PAIRS_MAX *NET_WAYS + 1 <= VIRTIO_QUEUES_MAX, "room for the queues");

static int take(struct net_pair *p, int tap, struct err *err)
{
	int header = HEADER;

	if (ioctl(tap, TUNSETVNETHDRSZ, &header) < 0)
		return err_sys(err, "network: descriptor %d is no tap", tap);
	int r = watch_move(p->watch, tap, 0, err);
	if (r < 0)
		return r;
	p->tap = tap;
	p->attached = true;
	return 0;
}

static void show(struct net *n, const uint8_t mac[MAC_LEN])
{
	struct virtio_net_config config = {.max_virtqueue_pairs = htole16((uint16_t)n->n_pairs)};

	memcpy(config.mac, mac, MAC_LEN);
	n->v.config_len = n->n_pairs > 1 ? offsetof(struct virtio_net_config, mtu) : MAC_LEN;
	memcpy(n->v.config, &config, n->v.config_len);
}

static int pair_init(struct net *n, unsigned i, struct loop *loop, struct err *err)
{
	struct net_pair *p = &n->pairs[i];

	p->net = n;
	p->index = i;
	p->frame = malloc(NET_FRAME_MAX);
	if (!p->frame)
		return err_set(err, ENOMEM, "out of memory");
	return loop_watch(loop, -1, 0, tap_ready, p, &p->watch, err);
}

/* An eventfd for each queue of a pair; the control queue's is the device's own. */
static int tell_apart(struct net *n, struct loop *loop, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; i < NET_WAYS * n->n_pairs && r == 0; i++) {
		struct net_pair *p = &n->pairs[i / NET_WAYS];
		n->kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (n->kicks[i] < 0)
			return err_sys(err, "make a queue's eventfd");
		r = loop_watch(loop, n->kicks[i], EPOLLIN, notified, p, &p->notified[i % NET_WAYS],
			       err);
	}
	if (n->n_pairs > 1)
		n->kicks[n->v.ops->n_queues - 1] = n->v.kick;
	n->v.kicks = n->kicks;
	return r;
}

static int set_vhosts(struct net *n, const int *fds, struct loop *loop, struct err *err)
{
	int r = 0;

	n->fault = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->fault < 0)
		return err_sys(err, "make a device's eventfd");
	for (unsigned i = 0; i < n->n_pairs && r == 0; i++)
		r = vhost_init(&n->pairs[i].vhost, fds[i], err);
	return r < 0 ? r : loop_watch(loop, n->fault, EPOLLIN, fault, n, &n->fault_watch, err);
}

static int furnish(struct net *n, const struct net_config *config, struct loop *loop,
		   struct err *err)
{
	int r = throttle_init(&n->throttle, &n->v, loop, err);

	for (unsigned i = 0; i < n->n_pairs && r == 0; i++) {
		r = pair_init(n, i, loop, err);
		if (r == 0 && config->n_pairs > 0)
			r = take(&n->pairs[i], config->taps[i], err);
	}
	if (r == 0 && config->vhosts)
		r = set_vhosts(n, config->vhosts, loop, err);
	if (r == 0 && (n->n_pairs > 1 || config->vhosts))
		r = tell_apart(n, loop, err);
	return r;
}

int net_init(struct net *n, const struct net_config *config, struct loop *loop,
	     const struct gmem *mem, struct err *err)
{
	*n = (struct net){.n_pairs = config->n_pairs ? config->n_pairs : 1, .used = 1, .fault = -1};
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		n->kicks[i] = -1;
	for (unsigned i = 0; i < NET_PAIRS_MAX; i++)
		n->pairs[i].tap = n->pairs[i].vhost.fd = -1;
	if (n->n_pairs > NET_PAIRS_MAX)
		return err_set(err, E2BIG, "network: at most %d taps", NET_PAIRS_MAX);
	int r = virtio_init(&n->v, &net_ops[n->n_pairs], 0, mem, err);
	if (r == 0)
		r = furnish(n, config, loop, err);
	if (r < 0) {
		net_done(n);
		return r;
	}
	n->v.absent = config->n_pairs == 0;
	show(n, config->mac);
	return 0;
}

static int plug(struct net *n, int tap, const uint8_t mac[MAC_LEN], struct err *err)
{
	if (!n->v.absent)
		return err_set(err, EBUSY, "an interface is there");
	int r = virtio_set_present(&n->v, true, 0, err);
	if (r < 0)
		return r;
	r = take(&n->pairs[0], tap, err);
	n->v.absent = r < 0;
	n->own = r == 0;
	if (r == 0)
		show(n, mac);
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
	(void)!watch_move(n->pairs[0].watch, -1, 0, &ignored);
	auto_close(&n->pairs[0].tap);
	n->own = false;
	n->pairs[0].waiting = 0;
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

static void pair_done(struct net_pair *p)
{
	vhost_off(p);
	watch_remove(&p->watch);
	for (unsigned way = 0; way < NET_WAYS; way++) {
		watch_remove(&p->notified[way]);
		auto_close(&p->net->kicks[NET_WAYS * p->index + way]);
	}
	free(p->frame);
	p->frame = NULL;
}

void net_done(struct net *n)
{
	for (unsigned i = 0; i < NET_PAIRS_MAX; i++) {
		if (n->pairs[i].net)
			pair_done(&n->pairs[i]);
	}
	watch_remove(&n->fault_watch);
	auto_close(&n->fault);
	throttle_done(&n->throttle);
	virtio_done(&n->v);
	if (n->own)
		auto_close(&n->pairs[0].tap);
}
