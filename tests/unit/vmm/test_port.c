/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <fcntl.h>
#include <linux/virtio_console.h>
#include <linux/virtio_mmio.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/port.h"

enum { TO_GUEST, FROM_GUEST, WORD_TO_GUEST, WORD_FROM_GUEST };
enum { WORDS = RIG_DATA, HEARD = RIG_DATA + 0x1000, BYTES = RIG_DATA + 0x4000 };

struct kit {
	struct gmem *mem;
	struct loop *loop;
	struct port port;
	struct rig_queue g[4];
	int host; /* our end */
};

static int stop(void *ctx, struct err *err)
{
	(void)err;
	loop_stop(ctx);
	return 0;
}

/* Lets the device see to its socket and its queues. */
static void go_on(struct kit *k)
{
	struct err err = ERR_INIT;
	struct timer *timer;

	virtio_kicked(&k->port.v);
	if (loop_timer(k->loop, 0, stop, k->loop, &timer, &err) == 0)
		(void)!loop_run(k->loop, &err);
	virtio_kicked(&k->port.v);
}

static void tell(struct kit *k, uint32_t id, uint16_t event, uint16_t value)
{
	struct rig_queue *g = &k->g[WORD_FROM_GUEST];
	struct virtio_console_control word = {.id = id, .event = event, .value = value};
	uint16_t head = g->next % RIG_SIZE;

	memcpy(rig_at(k->mem, WORDS), &word, sizeof(word));
	rig_buffer(g, WORDS, sizeof(word), false, false);
	rig_offer(g, head);
	go_on(k);
}

/* The next word for the guest: its event, or 255; *text is what follows. */
static unsigned hear(struct kit *k, unsigned *value, char text[40])
{
	struct rig_queue *g = &k->g[WORD_TO_GUEST];
	uint16_t head = g->next % RIG_SIZE;
	struct virtio_console_control word;
	uint32_t len = 0;

	memset(rig_at(k->mem, HEARD), 0, 64);
	rig_buffer(g, HEARD, 64, true, false);
	rig_offer(g, head);
	go_on(k);
	if (rig_used(g, &len) != 1 || len < sizeof(word))
		return 255;
	memcpy(&word, rig_at(k->mem, HEARD), sizeof(word));
	memcpy(text, rig_at(k->mem, HEARD + sizeof(word)), 40);
	*value = word.value;
	return word.event;
}

static int kit_init(struct kit *k)
{
	struct err err = ERR_INIT;
	int pair[2];

	*k = (struct kit){.mem = rig_memory()};
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	k->host = pair[0];
	int r = loop_new(&k->loop, &err);
	if (r == 0)
		r = port_init(&k->port, pair[1], "hull.channel", k->loop, k->mem, &err);
	for (unsigned i = 0; i < 4; i++)
		k->g[i] = rig_queue(k->mem, i);
	rig_start(&k->port.v, 0);
	return r;
}

/* As far as a driver and a program that has opened the port. */
static bool opened(struct kit *k)
{
	unsigned value;
	char text[40];

	tell(k, UINT32_MAX, VIRTIO_CONSOLE_DEVICE_READY, 1);
	if (hear(k, &value, text) != VIRTIO_CONSOLE_PORT_ADD)
		return false;
	tell(k, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	if (hear(k, &value, text) != VIRTIO_CONSOLE_PORT_NAME ||
	    strcmp(text, "hull.channel") != 0 ||
	    hear(k, &value, text) != VIRTIO_CONSOLE_PORT_OPEN || value != 1)
		return false;
	tell(k, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	return true;
}

static void kit_done(struct kit *k)
{
	port_done(&k->port);
	loop_free(k->loop);
	auto_close(&k->host);
	gmem_free(k->mem);
}

#define AUTO_KIT AUTO(kit_done)

static void offer(struct kit *k, unsigned queue, uint64_t gpa, uint32_t len, bool in)
{
	uint16_t head = k->g[queue].next % RIG_SIZE;

	rig_buffer(&k->g[queue], gpa, len, in, false);
	rig_offer(&k->g[queue], head);
}

TEST(the_driver_learns_of_the_port_and_its_name)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT(opened(&k));
}

TEST(bytes_go_both_ways)
{
	AUTO_KIT struct kit k;
	char text[16] = "";
	uint32_t len = 0;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT(opened(&k));
	EXPECT_EQ(write(k.host, "to guest", 8), 8);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[TO_GUEST], NULL), 0); /* it has no buffer yet */
	offer(&k, TO_GUEST, BYTES, 5, true);
	offer(&k, TO_GUEST, BYTES + 5, 64, true);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[TO_GUEST], &len), 2);
	EXPECT_EQ(len, 3);
	EXPECT_EQ(memcmp(rig_at(k.mem, BYTES), "to guest", 8), 0);

	memcpy(rig_at(k.mem, BYTES), "to host", 7);
	offer(&k, FROM_GUEST, BYTES, 7, false);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[FROM_GUEST], NULL), 1);
	EXPECT_EQ(read(k.host, text, sizeof(text)), 7);
	EXPECT_STR(text, "to host");
}

TEST(nothing_is_read_before_the_guest_listens)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k), 0);
	offer(&k, TO_GUEST, BYTES, 64, true);
	EXPECT_EQ(write(k.host, "early", 5), 5);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[TO_GUEST], NULL), 0);
	EXPECT(opened(&k));
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[TO_GUEST], NULL), 1);
}

TEST(a_host_that_does_not_read_holds_the_guest_up_and_loses_nothing)
{
	AUTO_KIT struct kit k;
	static uint8_t got[1 << 20];
	size_t n = 0, sent = 0;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT(opened(&k));
	for (uint32_t i = 0; i < 0x10000; i++)
		*(uint8_t *)rig_at(k.mem, BYTES + i) = (uint8_t)(i % 251);
	for (int i = 0; i < 8; i++)
		offer(&k, FROM_GUEST, BYTES, 0x10000, false);
	go_on(&k);
	sent += rig_used(&k.g[FROM_GUEST], NULL);
	EXPECT(sent < 8);
	for (int i = 0; i < 1000 && n < 8 * 0x10000; i++) {
		ssize_t r = read(k.host, got + n, 7777);
		n += r > 0 ? (size_t)r : 0;
		go_on(&k);
	}
	sent += rig_used(&k.g[FROM_GUEST], NULL);
	EXPECT_EQ(sent, 8);
	EXPECT_EQ(n, 8 * 0x10000);
	for (size_t i = 0; i < n; i++)
		EXPECT_EQ(got[i], i % 0x10000 % 251);
}

TEST(a_host_that_hangs_up_is_told_after_its_last_byte)
{
	AUTO_KIT struct kit k;
	unsigned value = 9;
	char text[40];
	uint32_t len = 0;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT(opened(&k));
	EXPECT_EQ(write(k.host, "bye", 3), 3);
	auto_close(&k.host);
	go_on(&k);
	offer(&k, TO_GUEST, BYTES, 64, true);
	offer(&k, TO_GUEST, BYTES, 64, true);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[TO_GUEST], &len), 1);
	EXPECT_EQ(len, 3);
	EXPECT_EQ(hear(&k, &value, text), VIRTIO_CONSOLE_PORT_OPEN);
	EXPECT_EQ(value, 0);
	/* and what the guest still says goes nowhere, at no cost */
	offer(&k, FROM_GUEST, BYTES, 64, false);
	go_on(&k);
	EXPECT_EQ(rig_used(&k.g[FROM_GUEST], NULL), 1);
}

TEST(words_for_ports_that_are_not_there_mean_nothing)
{
	AUTO_KIT struct kit k;
	unsigned value;
	char text[40];

	EXPECT_EQ(kit_init(&k), 0);
	tell(&k, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	tell(&k, UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN, 1);
	tell(&k, 0, 4711, 1);
	EXPECT(!k.port.open);
	EXPECT_EQ(hear(&k, &value, text), 255);
}
