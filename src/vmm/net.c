/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame from the wire is read into a buffer of the monitor's, for its size decides how many of
 * the guest's buffers it takes (mergeable buffers, section 5.1.6.4); a frame to the wire goes
 * straight from the guest's memory, and stays there while the wire is not ready for it.
 *
 * Who serves a pair is decided whenever the device is served (settle()): the kernel is set up not
 * before a driver is ready, by the loop's thread, so that neither a start nor a processor waits for
 * it. It ends at once when queues are reset, held or limited.
 */
#include "vmm/net.h"

#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/state.h"

enum { MAC_LEN = 6 };

static struct queue *queue_of(const struct net_pair *p, unsigned way)
{
	return &p->net->v.queues[NET_WAYS * p->index + way];
}

/* --- to the guest --- */

static void read_frame(struct net_pair *p)
{
	p->waiting = p->wire->ops->next(p->wire, &p->frame);
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

/* Whether the wire is to be watched: the guest has room for more, and may have it now. */
static bool receive(struct net_pair *p)
{
	struct net *n = p->net;
	struct queue *q = queue_of(p, NET_TO_GUEST);
	bool merge = n->v.features & 1ULL << VIRTIO_NET_F_MRG_RXBUF;
	struct merge m;

	size_t untold = 0; /* bytes, as in virtio_each() */
	bool room = true;
	int left = QUEUE_MAX;

	for (; left > 0; left--) {
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
	if (left == 0) /* the watch of a wire that was hung up does not tell of the rest */
		virtio_kick(&n->v);
	return room;
}

/* --- from the guest --- */

static bool is_ready(const struct net_pair *p)
{
	return !p->wire->ops->is_ready || p->wire->ops->is_ready(p->wire);
}

static int64_t send_chain(struct virtio *v, const struct chain *c)
{
	struct net *n = (struct net *)v;
	struct net_pair *p = n->sending;

	if (c->out_bytes >= WIRE_HEADER + ETH_HLEN && c->out_bytes <= WIRE_FRAME_MAX) {
		/* asked before the throttle, which counts what it lets pass */
		p->full = !is_ready(p);
		if (p->full || !throttle_pass(&n->throttle, NET_FROM_GUEST, c->out_bytes))
			return VIRTIO_LATER;
		p->wire->ops->send(p->wire, c);
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
				   .tap = p->wire->fd,
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

/* The wire gives frames to pairs that the guest uses, and to no other. */
static void attach(struct net_pair *p, bool on)
{
	struct err ignored = ERR_INIT; /* fails when the wire is gone */

	if (p->attached == on)
		return;
	if (!on)
		(void)!watch_move(p->watch, -1, 0, &ignored);
	if (!p->wire->ops->attach(p->wire, on))
		return;
	p->attached = on;
	if (on)
		(void)!watch_move(p->watch, p->wire->fd, 0, &ignored);
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

/* Whether the guest reads of a carrier. */
static bool has_carrier(const struct net *n)
{
	return n->v.ops->features & 1ULL << VIRTIO_NET_F_STATUS;
}

static void show(struct net *n, bool carrier)
{
	struct virtio_net_config config = {.max_virtqueue_pairs = htole16((uint16_t)n->n_pairs)};

	if (has_carrier(n) && carrier)
		config.status = htole16(VIRTIO_NET_S_LINK_UP);
	memcpy(config.mac, n->mac, MAC_LEN);
	memcpy(n->v.config, &config, n->v.config_len);
	n->carrier = carrier;
}

/* The machine goes on; the guest sees what it would when a cable is pulled out. */
static void lose_carrier(struct net *n, const char *why)
{
	char line[160];

	show(n, false);
	virtio_config_changed(&n->v);
	int len = snprintf(line, sizeof(line), "hull-monitor: network: %s; it has no carrier now\n",
			   why);
	ssize_t r = write(STDERR_FILENO, line, (size_t)len); /* nobody may be there to hear it */
	(void)r;
}

static void serve_pair(struct net_pair *p)
{
	struct err ignored = ERR_INIT; /* fails when the wire is gone */
	bool more = false;

	p->full = false;
	if (!p->vhost.serving) {
		p->net->sending = p;
		virtio_each(&p->net->v, NET_WAYS * p->index + NET_FROM_GUEST, send_chain);
		more = receive(p);
		p->full = p->full || !is_ready(p);
	}
	if (p->wire->lost && p->net->carrier) {
		lose_carrier(p->net, p->wire->lost);
		(void)!watch_move(p->watch, -1, 0, &ignored);
	}
	uint32_t events = (more ? (uint32_t)EPOLLIN : 0) | (p->full ? (uint32_t)EPOLLOUT : 0);
	(void)!watch_events(p->watch, events, &ignored);
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

static void start(struct virtio *v)
{
	struct wire *w = ((const struct net *)v)->pairs[0].wire;

	if (w->ops->agree)
		w->ops->agree(w, v->features);
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

static int wire_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct net_pair *p = ctx;
	struct virtio *v = &p->net->v;

	(void)fd;
	(void)err;
	(void)pthread_mutex_lock(&v->lock);
	if (events & (EPOLLHUP | EPOLLERR)) /* told without end: what is left is read as asked */
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

/* The wire is a new one and has a carrier; the address is what the guest knows it by. */
static int load_stream(struct virtio *v, struct state_reader *from, struct err *err)
{
	struct net *n = (struct net *)v;
	struct virtio_net_config was = {0};

	(void)from;
	memcpy(&was, v->config, v->config_len);
	if (memcmp(was.mac, n->mac, MAC_LEN) != 0)
		return err_set(err, EINVAL, "its address is another than it was");
	show(n, true);
	if (!(le16toh(was.status) & VIRTIO_NET_S_LINK_UP))
		virtio_config_changed(v);
	return 0;
}

#define EVERY_WIRE (1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_MRG_RXBUF)
#define OFFLOADS                                                                                   \
	(1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_HOST_TSO4 |                              \
	 1ULL << VIRTIO_NET_F_HOST_TSO6 | 1ULL << VIRTIO_NET_F_HOST_ECN |                          \
	 1ULL << VIRTIO_NET_F_GUEST_CSUM | 1ULL << VIRTIO_NET_F_GUEST_TSO4 |                       \
	 1ULL << VIRTIO_NET_F_GUEST_TSO6 | 1ULL << VIRTIO_NET_F_GUEST_ECN)
#define MANY (1ULL << VIRTIO_NET_F_CTRL_VQ | 1ULL << VIRTIO_NET_F_MQ)
#define OPS(more, queues)                                                                          \
	{                                                                                          \
		.id = VIRTIO_ID_NET, .features = EVERY_WIRE | (more), .n_queues = (queues),        \
		.serve = serve, .start = start, .reset = reset, .stop = stop, .save = save,        \
		.load = load                                                                       \
	}

/* Of taps, by the number of pairs. */
static const struct virtio_ops tap_net_ops[NET_PAIRS_MAX + 1] = {
	[1] = OPS(OFFLOADS, NET_WAYS),
	[2] = OPS(OFFLOADS | MANY, 2 * NET_WAYS + 1),
	[3] = OPS(OFFLOADS | MANY, 3 * NET_WAYS + 1),
	[4] = OPS(OFFLOADS | MANY, 4 * NET_WAYS + 1),
};

/* Whether there was a carrier is nothing to find the same again. */
static const struct virtio_ops stream_net_ops = {.id = VIRTIO_ID_NET,
						 .features = EVERY_WIRE |
							     1ULL << VIRTIO_NET_F_STATUS,
						 .n_queues = NET_WAYS,
						 .serve = serve,
						 .start = start,
						 .reset = reset,
						 .stop = stop,
						 .save = save,
						 .load = load_stream,
						 .config_is_state = true};

_Static_assert(NET_PAIRS_MAX *NET_WAYS + 1 <= VIRTIO_QUEUES_MAX, "room for the queues");

/* Frames of its wire are served from now on. */
static int watch_wire(struct net_pair *p, struct err *err)
{
	int r = watch_move(p->watch, p->wire->fd, 0, err);

	p->attached = r == 0;
	return r;
}

static int take(struct net_pair *p, int tap, struct err *err)
{
	int r = tap_connect(&p->tap, tap, err);

	return r < 0 ? r : watch_wire(p, err);
}

/* How much of the configuration there is depends on the features (section 5.1.4). */
static size_t config_len(const struct net *n)
{
	if (n->n_pairs > 1)
		return offsetof(struct virtio_net_config, mtu);
	return has_carrier(n) ? offsetof(struct virtio_net_config, max_virtqueue_pairs) : MAC_LEN;
}

static int pair_init(struct net *n, unsigned i, struct loop *loop, struct err *err)
{
	struct net_pair *p = &n->pairs[i];

	p->net = n;
	p->index = i;
	p->wire = &p->tap.wire;
	return loop_watch(loop, -1, 0, wire_ready, p, &p->watch, err);
}

static int set_wire(struct net_pair *p, const struct net_config *config, struct err *err)
{
	if (config->stream) {
		p->wire = &p->stream.wire;
		int r = stream_init(&p->stream, *config->stream, err);
		return r < 0 ? r : watch_wire(p, err);
	}
	int r = tap_init(&p->tap, err);
	return r < 0 || config->n_pairs == 0 ? r : take(p, config->taps[p->index], err);
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
		if (r == 0)
			r = set_wire(&n->pairs[i], config, err);
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
		n->pairs[i].vhost.fd = -1;
	if (n->n_pairs > NET_PAIRS_MAX)
		return err_set(err, E2BIG, "network: at most %d taps", NET_PAIRS_MAX);
	int r = virtio_init(&n->v, config->stream ? &stream_net_ops : &tap_net_ops[n->n_pairs], 0,
			    mem, err);
	if (r == 0)
		r = furnish(n, config, loop, err);
	if (r < 0) {
		net_done(n);
		return r;
	}
	n->v.absent = config->n_pairs == 0;
	n->v.config_len = config_len(n);
	memcpy(n->mac, config->mac, MAC_LEN);
	show(n, true);
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
	if (r < 0)
		return r;
	memcpy(n->mac, mac, MAC_LEN);
	show(n, true);
	return 0;
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
	auto_close(&n->pairs[0].wire->fd);
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
	tap_done(&p->tap);
	stream_done(&p->stream);
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
		auto_close(&n->pairs[0].wire->fd);
}
