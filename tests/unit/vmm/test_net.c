/* SPDX-License-Identifier: Apache-2.0 */
/* Over a real tap, in a network namespace of the test's own. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
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

enum { HEADER = 12, FRAME = 1000, BYTES = RIG_DATA };

struct kit {
	struct gmem *mem;
	struct loop *loop;
	struct net net;
	struct rig_queue g[2];
	int tap, wire; /* wire: a packet socket on the tap's interface */
};

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

static int make_tap(struct kit *k)
{
	struct ifreq ifr = {.ifr_name = "t0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	k->tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (k->tap < 0 || ioctl(k->tap, TUNSETIFF, &ifr) < 0)
		return -1;
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

	*k = (struct kit){.mem = rig_memory(), .tap = -1, .wire = -1};
	int r = loop_new(&k->loop, &err);
	if (r < 0 || unshare(CLONE_NEWNET) < 0 || make_tap(k) < 0)
		return -1;
	r = net_init(&k->net, k->tap, mac, k->loop, k->mem, &err);
	for (unsigned i = 0; i < 2; i++)
		k->g[i] = rig_queue(k->mem, i);
	rig_start(&k->net.v, without);
	return r;
}

static void kit_done(struct kit *k)
{
	net_done(&k->net);
	loop_free(k->loop);
	auto_close(&k->tap);
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
	AUTO_KIT struct kit k = {.tap = -1, .wire = -1};
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
	AUTO_KIT struct kit k = {.tap = -1, .wire = -1};
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
	AUTO_KIT struct kit k = {.tap = -1, .wire = -1};
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
	AUTO_KIT struct kit k = {.tap = -1, .wire = -1};

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 1ULL << VIRTIO_NET_F_MRG_RXBUF), 0);
	rig_buffer(&k.g[NET_TO_GUEST], BYTES, 200, true, false);
	rig_offer(&k.g[NET_TO_GUEST], 0);
	EXPECT_EQ(to_wire(&k, 5), 0);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[NET_TO_GUEST], NULL), 0);
	EXPECT_EQ(k.net.waiting, 0);
}

TEST(frames_that_cannot_be_are_not_sent)
{
	AUTO_KIT struct kit k = {.tap = -1, .wire = -1};
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
	AUTO_KIT struct kit k = {.tap = -1, .wire = -1};
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
	EXPECT(k.net.waiting > 0);
	net_limit(&k.net, NET_TO_GUEST, &none);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[NET_TO_GUEST], NULL), 1);
}

TEST(a_place_for_an_interface_has_no_device_until_one_is_plugged_in)
{
	AUTO_KIT struct kit k = {.tap = -1, .wire = -1};
	static const uint8_t no_mac[6];
	struct err err = ERR_INIT;
	uint8_t config[6];

	if (!can())
		return;
	EXPECT_EQ(kit_init(&k, 0), 0);
	net_done(&k.net);
	EXPECT_EQ(net_init(&k.net, -1, no_mac, k.loop, k.mem, &err), 0);
	EXPECT_EQ(rig_read(&k.net.v, VIRTIO_MMIO_DEVICE_ID), 0);
	EXPECT_EQ(net_plug(&k.net, k.wire, mac, &err), -ENOTTY); /* no tap: nothing has changed */
	EXPECT_EQ(rig_read(&k.net.v, VIRTIO_MMIO_DEVICE_ID), 0);
	err.code = 0;
	EXPECT_EQ(net_plug(&k.net, dup(k.tap), mac, &err), 0);
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
