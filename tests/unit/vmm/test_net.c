/* SPDX-License-Identifier: Apache-2.0 */
/* Over a real tap, in a network namespace of the test's own. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/net.h"

enum { HEADER = 12, FRAME = 1000, BYTES = RIG_DATA, NET_PAIRS = 2 };

struct kit {
	struct gmem *mem;
	struct loop *loop;
	struct net net;
	struct rig_queue g[NET_PAIRS * NET_WAYS + 1];
	unsigned pairs; /* 0: one */
	bool vhost; /* the kernel serves */
	int taps[NET_PAIRS], vhosts[NET_PAIRS];
	int wire; /* a packet socket on the tap's interface */
};

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

static int make_tap(struct kit *k)
{
	struct ifreq ifr = {.ifr_name = "t0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	if (k->pairs > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	for (unsigned i = 0; i < k->pairs; i++) {
		k->taps[i] = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (k->taps[i] < 0 || ioctl(k->taps[i], TUNSETIFF, &ifr) < 0)
			return -1;
		k->vhosts[i] = k->vhost ? open("/dev/vhost-net", O_RDWR | O_CLOEXEC) : -1;
		if (k->vhost && k->vhosts[i] < 0)
			return -1;
	}
	/* or the kernel has things of its own to say */
	AUTO_CLOSE int quiet = open("/proc/sys/net/ipv6/conf/t0/disable_ipv6",
				    O_WRONLY | O_CLOEXEC);
	if (quiet >= 0 && write(quiet, "1", 1) != 1)
		return -1;
	k->wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	ifr.ifr_flags = IFF_UP;
	if (k->wire < 0 || ioctl(k->wire, SIOCSIFFLAGS, &ifr) < 0)
		return -1;
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = 0xcc88, /* nobody else's: 0x88cc, LLDP */
				 .sll_ifindex = (int)if_nametoindex("t0")};
	return bind(k->wire, (const struct sockaddr *)&at, sizeof(at));
}

static int kit_init(struct kit *k, uint64_t without)
{
	struct err err = ERR_INIT;

	struct net_config config = {.taps = k->taps};

	k->mem = rig_memory();
	k->pairs = k->pairs ? k->pairs : 1;
	for (unsigned i = 0; i < NET_PAIRS; i++)
		k->taps[i] = k->vhosts[i] = -1;
	config.n_pairs = k->pairs;
	config.vhosts = k->vhost ? k->vhosts : NULL;
	memcpy(config.mac, mac, sizeof(mac));
	int r = loop_new(&k->loop, &err);
	if (r < 0 || unshare(CLONE_NEWNET) < 0 || make_tap(k) < 0)
		return -1;
	r = net_init(&k->net, &config, k->loop, k->mem, &err);
	for (unsigned i = 0; i < NET_PAIRS * NET_WAYS + 1; i++)
		k->g[i] = rig_queue(k->mem, i);
	rig_start(&k->net.v, without);
	return r;
}

static void kit_done(struct kit *k)
{
	net_done(&k->net);
	loop_free(k->loop);
	for (unsigned i = 0; i < NET_PAIRS; i++) {
		auto_close(&k->taps[i]);
		auto_close(&k->vhosts[i]);
	}
	auto_close(&k->wire);
	gmem_free(k->mem);
}

#define AUTO_KIT AUTO(kit_done)

static bool can(void)
{
	bool ok = geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0;

	if (!ok)
		printf("# skipped: needs root and /dev/net/tun\n");
	return ok;
}

static int stop(void *ctx, struct err *err)
{
	(void)err;
	loop_stop(ctx);
	return 0;
}

static void go_on(struct kit *k)
{
	struct err err = ERR_INIT;
	struct timer *timer;

	virtio_kicked(&k->net.v);
	if (loop_timer(k->loop, 20, stop, k->loop, &timer, &err) == 0)
		(void)!loop_run(k->loop, &err);
}

/* A frame of a protocol that no kernel answers. */
static void frame(uint8_t *f, uint8_t fill)
{
	memset(f, fill, FRAME);
	memcpy(f, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x02\x88\xcc", ETH_HLEN);
}

/* The next frame of ours from the wire. */
static ssize_t from_wire(const struct kit *k, uint8_t *f, size_t n)
{
	for (int tries = 0; tries < 100; tries++) {
		ssize_t r = recv(k->wire, f, n, MSG_DONTWAIT);
		if (r > ETH_HLEN && f[12] == 0x88 && f[13] == 0xcc)
			return r;
		if (r < 0)
			(void)usleep(1000);
	}
	return -1;
}

TEST(a_frame_goes_out_whole)
{
	AUTO_KIT struct kit k = {.wire = -1};
	uint8_t got[2 * FRAME];

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	memset(rig_at(k.mem, BYTES), 0, HEADER);
	frame(rig_at(k.mem, BYTES + HEADER), 7);
	rig_buffer(&k.g[NET_FROM_GUEST], BYTES, HEADER, false, true);
	rig_buffer(&k.g[NET_FROM_GUEST], BYTES + HEADER, FRAME, false, false);
	rig_offer(&k.g[NET_FROM_GUEST], 0);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[NET_FROM_GUEST], NULL), 1);
	EXPECT_EQ(from_wire(&k, got, sizeof(got)), FRAME);
	EXPECT_EQ(got[FRAME - 1], 7);
}

static int to_wire(const struct kit *k, uint8_t fill)
{
	uint8_t f[FRAME];

	frame(f, fill);
	return send(k->wire, f, sizeof(f), 0) == FRAME ? 0 : -1;
}

/* Until our frame, not one of the kernel's own, has arrived in n merged buffers of `size`. */
static bool arrives(struct kit *k, uint32_t size, unsigned n, uint8_t fill)
{
	for (int tries = 0; tries < 20; tries++) {
		go_on(k);
		unsigned used = rig_used(&k->g[NET_TO_GUEST], NULL);
		uint16_t buffers;
		memcpy(&buffers, rig_at(k->mem, BYTES + 10), sizeof(buffers));
		const uint8_t *last = rig_at(k->mem, BYTES + (n - 1) * size);
		if (used == n && buffers == n && last[(HEADER + FRAME - 1) % size] == fill)
			return true;
	}
	return false;
}

TEST(a_frame_comes_in_over_as_many_buffers_as_it_needs)
{
	AUTO_KIT struct kit k = {.wire = -1};
	enum { SIZE = 300, N = 4 };

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	EXPECT_EQ(to_wire(&k, 5), 0);
	/* not enough yet: nothing of it is handed over */
	for (unsigned i = 0; i < 2; i++) {
		rig_buffer(&k.g[NET_TO_GUEST], BYTES + i * SIZE, SIZE, true, false);
		rig_offer(&k.g[NET_TO_GUEST], (uint16_t)i);
	}
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[NET_TO_GUEST], NULL), 0);
	for (unsigned i = 2; i < N; i++) {
		rig_buffer(&k.g[NET_TO_GUEST], BYTES + i * SIZE, SIZE, true, false);
		rig_offer(&k.g[NET_TO_GUEST], (uint16_t)i);
	}
	EXPECT(arrives(&k, SIZE, N, 5));
}

TEST(one_interrupt_tells_of_all_frames_that_are_there)
{
	AUTO_KIT struct kit k = {.wire = -1};
	enum { N = 5, SIZE = HEADER + FRAME };
	uint64_t times = 0;

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 1ULL << VIRTIO_RING_F_EVENT_IDX), 0);
	for (unsigned i = 0; i < N; i++)
		EXPECT_EQ(to_wire(&k, (uint8_t)i), 0);
	for (unsigned i = 0; i < N; i++) {
		rig_buffer(&k.g[NET_TO_GUEST], BYTES + i * SIZE, SIZE, true, false);
		rig_offer(&k.g[NET_TO_GUEST], (uint16_t)i);
	}
	virtio_kicked(&k.net.v);
	EXPECT_EQ(rig_used(&k.g[NET_TO_GUEST], NULL), N);
	EXPECT_EQ(read(k.net.v.irq, &times, sizeof(times)), sizeof(times));
	EXPECT_EQ(times, 1);
}

TEST(a_frame_too_large_for_its_only_buffer_is_lost_and_the_next_comes)
{
	AUTO_KIT struct kit k = {.wire = -1};

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 1ULL << VIRTIO_NET_F_MRG_RXBUF), 0);
	rig_buffer(&k.g[NET_TO_GUEST], BYTES, 200, true, false);
	rig_offer(&k.g[NET_TO_GUEST], 0);
	EXPECT_EQ(to_wire(&k, 5), 0);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[NET_TO_GUEST], NULL), 0);
	EXPECT_EQ(k.net.pairs[0].waiting, 0);
}

TEST(frames_that_cannot_be_are_not_sent)
{
	AUTO_KIT struct kit k = {.wire = -1};
	static const uint32_t sizes[] = {1, HEADER, HEADER + ETH_HLEN - 1, 0x20000};

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	memset(rig_at(k.mem, BYTES), 0xff, 0x20000); /* a header full of lies, too */
	for (uint16_t i = 0; i < 4; i++) {
		rig_buffer(&k.g[NET_FROM_GUEST], BYTES, sizes[i], false, false);
		rig_offer(&k.g[NET_FROM_GUEST], i);
	}
	rig_buffer(&k.g[NET_FROM_GUEST], BYTES, 100, false, false);
	rig_offer(&k.g[NET_FROM_GUEST], 4);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[NET_FROM_GUEST], NULL), 5);
}

TEST(frames_over_the_limit_wait_both_ways)
{
	AUTO_KIT struct kit k = {.wire = -1};
	static const struct limit one = {.requests = 1};
	static const struct limit none = {0};

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	net_limit(&k.net, NET_FROM_GUEST, &one);
	memset(rig_at(k.mem, BYTES), 0, HEADER);
	frame(rig_at(k.mem, BYTES + HEADER), 7);
	for (uint16_t i = 0; i < 2; i++) {
		rig_buffer(&k.g[NET_FROM_GUEST], BYTES, HEADER + FRAME, false, false);
		rig_offer(&k.g[NET_FROM_GUEST], i);
	}
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[NET_FROM_GUEST], NULL), 1);
	net_limit(&k.net, NET_FROM_GUEST, &none);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[NET_FROM_GUEST], NULL), 1);

	net_limit(&k.net, NET_TO_GUEST, &one);
	for (uint16_t i = 0; i < 2; i++) {
		rig_buffer(&k.g[NET_TO_GUEST], BYTES + 2000 * i, 2000, true, false);
		rig_offer(&k.g[NET_TO_GUEST], i);
		EXPECT_EQ(to_wire(&k, 5), 0);
	}
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[NET_TO_GUEST], NULL), 1);
	EXPECT(k.net.pairs[0].waiting > 0);
	net_limit(&k.net, NET_TO_GUEST, &none);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[NET_TO_GUEST], NULL), 1);
}

TEST(a_place_for_an_interface_has_no_device_until_one_is_plugged_in)
{
	AUTO_KIT struct kit k = {.wire = -1};
	struct err err = ERR_INIT;
	uint8_t config[6];

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	net_done(&k.net);
	EXPECT_EQ(net_init(&k.net, &(struct net_config){0}, k.loop, k.mem, &err), 0);
	EXPECT_EQ(rig_read(&k.net.v, VIRTIO_MMIO_DEVICE_ID), 0);
	EXPECT_EQ(net_plug(&k.net, k.wire, mac, &err), -ENOTTY); /* no tap: nothing has changed */
	EXPECT_EQ(rig_read(&k.net.v, VIRTIO_MMIO_DEVICE_ID), 0);
	err.code = 0;
	EXPECT_EQ(net_plug(&k.net, dup(k.taps[0]), mac, &err), 0);
	EXPECT_EQ(rig_read(&k.net.v, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_NET);
	for (uint32_t i = 0; i < sizeof(config); i++)
		virtio_read(&k.net.v, VIRTIO_MMIO_CONFIG + i, &config[i], 1);
	EXPECT_EQ(memcmp(config, mac, sizeof(mac)), 0);
	rig_start(&k.net.v, 0);
	rig_buffer(&k.g[NET_TO_GUEST], BYTES, 2000, true, false);
	rig_offer(&k.g[NET_TO_GUEST], 0);
	EXPECT_EQ(to_wire(&k, 9), 0);
	EXPECT(arrives(&k, 2000, 1, 9));
	EXPECT_EQ(net_unplug(&k.net, &err), -EBUSY);
	err.code = 0;
	rig_write(&k.net.v, VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(net_unplug(&k.net, &err), 0);
	EXPECT_EQ(rig_read(&k.net.v, VIRTIO_MMIO_DEVICE_ID), 0);
}

/* --- several pairs --- */

/* What the device answers to "so many pairs", over the control queue `queue`. */
static uint8_t use_pairs(struct kit *k, unsigned queue, uint8_t n)
{
	const uint8_t request[] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, n, 0};
	struct rig_queue *g = &k->g[queue];
	uint16_t head = g->next % RIG_SIZE;
	uint8_t *ack = rig_at(k->mem, BYTES + 0x8000);

	*ack = 99;
	memcpy(rig_at(k->mem, BYTES + 0x8010), request, sizeof(request));
	rig_buffer(g, BYTES + 0x8010, sizeof(request), false, true);
	rig_buffer(g, BYTES + 0x8000, 1, true, false);
	rig_offer(g, head);
	go_on(k);
	return rig_used(g, NULL) == 1 ? *ack : 99;
}

/* The guest sends a frame from a pair, whose queue it notifies of. */
static void send_from(struct kit *k, unsigned pair, uint8_t fill)
{
	unsigned queue = NET_WAYS * pair + NET_FROM_GUEST;
	uint16_t head = k->g[queue].next % RIG_SIZE;
	uint64_t one = 1;

	memset(rig_at(k->mem, BYTES), 0, HEADER);
	frame(rig_at(k->mem, BYTES + HEADER), fill);
	rig_buffer(&k->g[queue], BYTES, HEADER + FRAME, false, false);
	rig_offer(&k->g[queue], head);
	if (write(k->net.kicks[queue], &one, sizeof(one)) != sizeof(one))
		FAIL("queue %u cannot be notified of", queue);
}

/* Whether it arrives, and the guest gets its buffer back. */
static bool sends(struct kit *k, unsigned pair, uint8_t fill)
{
	uint8_t got[2 * FRAME];
	unsigned used = 0;

	send_from(k, pair, fill);
	for (int tries = 0; tries < 100 && used == 0; tries++) {
		go_on(k);
		used = rig_used(&k->g[NET_WAYS * pair + NET_FROM_GUEST], NULL);
	}
	return used == 1 && from_wire(k, got, sizeof(got)) == FRAME && got[FRAME - 1] == fill;
}

static uint16_t max_pairs(struct kit *k)
{
	uint16_t n = 0;

	virtio_read(&k->net.v, VIRTIO_MMIO_CONFIG + 8, &n, sizeof(n));
	return n;
}

TEST(a_guest_chooses_how_many_pairs_it_uses)
{
	AUTO_KIT struct kit k = {.wire = -1, .pairs = 2};

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	EXPECT_EQ(max_pairs(&k), 2);
	EXPECT(sends(&k, 0, 1));
	EXPECT(!k.net.pairs[1].attached);
	EXPECT_EQ(use_pairs(&k, 4, 2), VIRTIO_NET_OK);
	EXPECT(k.net.pairs[1].attached);
	EXPECT(sends(&k, 1, 2));
	EXPECT(sends(&k, 0, 3));
	EXPECT_EQ(use_pairs(&k, 4, 0), VIRTIO_NET_ERR);
	EXPECT_EQ(use_pairs(&k, 4, 3), VIRTIO_NET_ERR);
	EXPECT_EQ(k.net.used, 2);
	EXPECT_EQ(use_pairs(&k, 4, 1), VIRTIO_NET_OK);
	EXPECT(!k.net.pairs[1].attached);
	EXPECT(sends(&k, 0, 4));
}

/* How many frames that differ in the address of their sender, as flows do, come in by the pair. */
static unsigned come_in(struct kit *k, unsigned pair)
{
	struct rig_queue *g = &k->g[NET_WAYS * pair + NET_TO_GUEST];
	unsigned n = 0;

	for (int tries = 0; tries < 5; tries++) {
		go_on(k);
		n += rig_used(g, NULL);
	}
	return n;
}

TEST(frames_come_in_by_each_pair_in_use_and_by_no_other)
{
	AUTO_KIT struct kit k = {.wire = -1, .pairs = 2};
	enum { SIZE = 2048 };

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	for (unsigned pair = 0; pair < 2; pair++) {
		for (uint16_t i = 0; i < 8; i++) {
			struct rig_queue *g = &k.g[NET_WAYS * pair + NET_TO_GUEST];
			rig_buffer(g, BYTES + (8 * pair + i) * SIZE, SIZE, true, false);
			rig_offer(g, i);
		}
	}
	go_on(&k);
	for (uint8_t i = 0; i < 4; i++)
		EXPECT_EQ(to_wire(&k, i), 0);
	EXPECT_EQ(come_in(&k, 0), 4);
	EXPECT_EQ(come_in(&k, 1), 0);
	EXPECT_EQ(use_pairs(&k, 4, 2), VIRTIO_NET_OK);
	for (uint8_t i = 0; i < 4; i++)
		EXPECT_EQ(to_wire(&k, i), 0);
	EXPECT_EQ(come_in(&k, 0) + come_in(&k, 1), 4);
	rig_write(&k.net.v, VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(k.net.used, 1);
}

TEST(a_driver_that_knows_one_pair_has_its_control_queue_behind_it)
{
	AUTO_KIT struct kit k = {.wire = -1, .pairs = 2};

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 1ULL << VIRTIO_NET_F_MQ), 0);
	EXPECT_EQ(use_pairs(&k, 2, 2), VIRTIO_NET_ERR);
	EXPECT_EQ(k.net.used, 1);
	EXPECT(sends(&k, 0, 1));
}

/* --- the kernel serves --- */

static bool can_vhost(void)
{
	bool ok = can() && access("/dev/vhost-net", R_OK | W_OK) == 0;

	if (!ok)
		printf("# skipped: needs /dev/vhost-net\n");
	return ok;
}

static void offer_room(struct kit *k)
{
	struct rig_queue *g = &k->g[NET_TO_GUEST];
	uint16_t head = g->next % RIG_SIZE;
	uint64_t one = 1;

	rig_buffer(g, BYTES + 0x4000, 2048, true, false);
	rig_offer(g, head);
	if (write(k->net.kicks[NET_TO_GUEST], &one, sizeof(one)) != sizeof(one))
		FAIL("the queue cannot be notified of");
}

/* Whether a frame of the wire comes into a buffer that is offered for it. */
static bool receives(struct kit *k, uint8_t fill)
{
	const uint8_t *last = rig_at(k->mem, BYTES + 0x4000 + HEADER + FRAME - 1);

	offer_room(k);
	if (to_wire(k, fill) < 0)
		return false;
	for (int tries = 0; tries < 100; tries++) {
		go_on(k);
		if (rig_used(&k->g[NET_TO_GUEST], NULL) == 1)
			return *last == fill;
	}
	return false;
}

TEST(where_the_kernel_serves_frames_pass_both_ways_and_interrupt)
{
	AUTO_KIT struct kit k = {.wire = -1, .vhost = true};

	if (!can_vhost())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	EXPECT_EQ(rig_interrupt(&k.net.v), 0);
	go_on(&k);
	EXPECT_EQ(k.net.pairs[0].vhost.serving, 2);
	for (uint8_t i = 0; i < 3 * RIG_SIZE; i++) {
		EXPECT(sends(&k, 0, i));
		EXPECT(receives(&k, i));
	}
	EXPECT(rig_interrupt(&k.net.v) & VIRTIO_MMIO_INT_VRING);
	EXPECT_EQ(k.net.pairs[0].vhost.serving, 2);
}

TEST(a_limit_takes_the_queues_from_the_kernel_and_none_gives_them_back)
{
	AUTO_KIT struct kit k = {.wire = -1, .vhost = true};
	static const struct limit much = {.requests = 1000000};
	static const struct limit none = {0};

	if (!can_vhost())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	go_on(&k);
	for (uint8_t i = 0; i < RIG_SIZE; i++) {
		EXPECT_EQ(k.net.pairs[0].vhost.serving, i % 2 ? 0 : 2);
		EXPECT(sends(&k, 0, i));
		EXPECT(receives(&k, i));
		net_limit(&k.net, i % 4 / 2 ? NET_TO_GUEST : NET_FROM_GUEST, i % 2 ? &none : &much);
		go_on(&k);
	}
}

TEST(a_machine_that_stands_still_has_its_queues_back)
{
	AUTO_KIT struct kit k = {.wire = -1, .vhost = true};
	struct err err = ERR_INIT;

	if (!can_vhost())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	go_on(&k);
	EXPECT(sends(&k, 0, 1));
	EXPECT(receives(&k, 1));
	EXPECT_EQ(virtio_hold(&k.net.v, 1000, &err), 0);
	EXPECT_EQ(k.net.pairs[0].vhost.serving, 0);
	for (unsigned way = 0; way < NET_WAYS; way++) {
		EXPECT_EQ(k.net.v.queues[way].next_avail, 1);
		EXPECT_EQ(k.net.v.queues[way].next_used, 1);
	}
	send_from(&k, 0, 2);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[NET_FROM_GUEST], NULL), 0);
	virtio_release(&k.net.v);
	go_on(&k);
	EXPECT_EQ(k.net.pairs[0].vhost.serving, 2);
	EXPECT_EQ(rig_used(&k.g[NET_FROM_GUEST], NULL), 1);
	EXPECT(receives(&k, 3));
}

TEST(what_a_driver_forgets_the_kernel_has_let_go_of_by_then)
{
	AUTO_KIT struct kit k = {.wire = -1, .vhost = true};

	if (!can_vhost())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	go_on(&k);
	offer_room(&k);
	rig_write(&k.net.v, VIRTIO_MMIO_QUEUE_SEL, NET_TO_GUEST);
	rig_write(&k.net.v, VIRTIO_MMIO_QUEUE_READY, 0);
	EXPECT_EQ(k.net.pairs[0].vhost.serving, 0);
	EXPECT_EQ(to_wire(&k, 7), 0);
	EXPECT(sends(&k, 0, 5)); /* by ourselves */
	EXPECT_EQ(k.net.pairs[0].vhost.serving, 0);
	EXPECT_EQ(rig_used(&k.g[NET_TO_GUEST], NULL), 0);

	for (unsigned i = 0; i < NET_WAYS; i++)
		k.g[i] = rig_queue(k.mem, i);
	rig_start(&k.net.v, 0);
	go_on(&k);
	EXPECT_EQ(k.net.pairs[0].vhost.serving, 2);
	EXPECT(sends(&k, 0, 6));
	rig_write(&k.net.v, VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(k.net.pairs[0].vhost.serving, 0);
	EXPECT_EQ(rig_read(&k.net.v, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

TEST(a_guest_that_breaks_the_rules_of_the_kernels_queue_is_told_so)
{
	AUTO_KIT struct kit k = {.wire = -1, .vhost = true};
	uint64_t one = 1;

	if (!can_vhost())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	go_on(&k);
	rig_buffer(&k.g[NET_FROM_GUEST], 1ULL << 40, HEADER + FRAME, false, false);
	rig_offer(&k.g[NET_FROM_GUEST], 0);
	EXPECT_EQ(write(k.net.kicks[NET_FROM_GUEST], &one, sizeof(one)), sizeof(one));
	for (int tries = 0; tries < 100 && !k.net.faulty; tries++)
		go_on(&k);
	EXPECT_EQ(k.net.pairs[0].vhost.serving, 0);
	EXPECT(rig_read(&k.net.v, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	for (unsigned i = 0; i < NET_WAYS; i++)
		k.g[i] = rig_queue(k.mem, i);
	rig_start(&k.net.v, 0);
	go_on(&k);
	EXPECT_EQ(k.net.pairs[0].vhost.serving, 2);
	EXPECT(sends(&k, 0, 6));
}

TEST(several_pairs_are_served_by_the_kernel_as_they_are_used)
{
	AUTO_KIT struct kit k = {.wire = -1, .pairs = 2, .vhost = true};

	if (!can_vhost())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	go_on(&k);
	EXPECT_EQ(k.net.pairs[0].vhost.serving, 2);
	EXPECT_EQ(k.net.pairs[1].vhost.serving, 0);
	EXPECT_EQ(use_pairs(&k, 4, 2), VIRTIO_NET_OK);
	EXPECT_EQ(k.net.pairs[1].vhost.serving, 2);
	EXPECT(sends(&k, 1, 1));
	EXPECT(sends(&k, 0, 2));
	EXPECT_EQ(use_pairs(&k, 4, 1), VIRTIO_NET_OK);
	EXPECT_EQ(k.net.pairs[1].vhost.serving, 0);
	EXPECT(sends(&k, 0, 3));
}

TEST(what_is_no_vhost_is_refused)
{
	AUTO_KIT struct kit k = {.wire = -1};
	struct err err = ERR_INIT;

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	net_done(&k.net);
	struct net_config config = {.taps = k.taps, .vhosts = &k.wire, .n_pairs = 1};
	EXPECT_EQ(net_init(&k.net, &config, k.loop, k.mem, &err), -ENOTTY);
}
