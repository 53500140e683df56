/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that are written down and brought back: the guest's memory stays, all else is new. */
#include "../test.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/balloon.h"
#include "vmm/block.h"
#include "vmm/port.h"
#include "vmm/ports.h"
#include "vmm/rng.h"
#include "vmm/state.h"

enum { PATIENCE_MS = 1000, BUFFER = RIG_DATA };

struct kit {
	struct gmem *mem;
	struct virtio rng;
	struct loop *loop;
	struct rig_queue g;
	struct buf saved;
};

static int kit_init(struct kit *k)
{
	struct err err = ERR_INIT;

	*k = (struct kit){.mem = rig_memory()};
	k->g = rig_queue(k->mem, 0);
	int r = loop_new(&k->loop, &err);
	if (r == 0)
		r = rng_init(&k->rng, k->mem, &err);
	rig_start(&k->rng, 0);
	return r;
}

static void kit_done(struct kit *k)
{
	virtio_done(&k->rng);
	buf_done(&k->saved);
	loop_free(k->loop);
	gmem_free(k->mem);
}

#define AUTO_KIT AUTO(kit_done)

static void ask(struct kit *k)
{
	uint16_t head = k->g.next % RIG_SIZE;

	rig_buffer(&k->g, BUFFER, 64, true, false);
	rig_offer(&k->g, head);
}

/* Writes the device down and makes it anew. */
static int save(struct kit *k, struct err *err)
{
	int r = virtio_hold(&k->rng, PATIENCE_MS, err);
	if (r == 0)
		r = virtio_save(&k->rng, &k->saved, err);
	virtio_done(&k->rng);
	return r < 0 ? r : rng_init(&k->rng, k->mem, err);
}

static int load(struct kit *k, struct err *err)
{
	struct state_reader from = {.at = (const uint8_t *)k->saved.data, .left = k->saved.len};

	return virtio_load(&k->rng, &from, err);
}

TEST(a_device_goes_on_where_it_stood)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;
	uint32_t len = 0;

	EXPECT_EQ(kit_init(&k), 0);
	for (int i = 0; i < 3 * RIG_SIZE; i++) {
		ask(&k);
		virtio_kicked(&k.rng);
		EXPECT_EQ(rig_used(&k.g, &len), 1);
	}
	EXPECT_EQ(save(&k, &err), 0);
	EXPECT_EQ(load(&k, &err), 0);
	virtio_release(&k.rng);
	ask(&k);
	virtio_kicked(&k.rng);
	EXPECT_EQ(rig_used(&k.g, &len), 1);
	EXPECT_EQ(len, 64);
	EXPECT_EQ(rig_interrupt(&k.rng) & VIRTIO_MMIO_INT_VRING, VIRTIO_MMIO_INT_VRING);
}

TEST(a_chain_that_was_not_served_is_served_afterwards)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(virtio_hold(&k.rng, PATIENCE_MS, &err), 0);
	ask(&k);
	virtio_kick(&k.rng);
	virtio_kicked(&k.rng); /* held: nothing is served */
	EXPECT_EQ(rig_used(&k.g, NULL), 0);
	EXPECT_EQ(save(&k, &err), 0);
	EXPECT_EQ(load(&k, &err), 0);
	EXPECT_EQ(rig_used(&k.g, NULL), 0);
	virtio_release(&k.rng);
	virtio_kicked(&k.rng);
	EXPECT_EQ(rig_used(&k.g, NULL), 1);
}

TEST(a_device_that_was_held_goes_on_without_being_written_down)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(virtio_hold(&k.rng, PATIENCE_MS, &err), 0);
	ask(&k);
	virtio_kicked(&k.rng);
	EXPECT_EQ(rig_used(&k.g, NULL), 0);
	virtio_release(&k.rng);
	virtio_kicked(&k.rng);
	EXPECT_EQ(rig_used(&k.g, NULL), 1);
}

TEST(an_interrupt_that_the_guest_has_not_seen_is_given_again)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	ask(&k);
	virtio_kicked(&k.rng); /* nobody acknowledges */
	EXPECT_EQ(save(&k, &err), 0);
	EXPECT_EQ(load(&k, &err), 0);
	EXPECT_EQ(rig_interrupt(&k.rng), 0);
	virtio_release(&k.rng);
	EXPECT_EQ(rig_interrupt(&k.rng), VIRTIO_MMIO_INT_VRING);
}

TEST(a_device_that_is_at_work_is_waited_for_only_so_long)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	(void)pthread_mutex_lock(&k.rng.lock);
	EXPECT_EQ(virtio_hold(&k.rng, 1, &err), -ETIMEDOUT);
	(void)pthread_mutex_unlock(&k.rng.lock);
}

/* --- what a state may say --- */

/* A field of the written device: where, and a value that it cannot have. */
static const struct lie {
	const char *what;
	size_t at;
	uint8_t value;
} lies[] = {
	{"kind", 0, 99},
	{"absence", 4, 1},
	{"offered", 5, 0xff},
	{"length of the configuration", 17, 1},
	{"features that are not offered", 21 + 5, 0xff},
	{"status with unknown bits", 29 + 1, 1},
	{"driver ready without agreement", 29, 4},
	{"an interrupt for no reason", 33, 8},
	{"a queue of another size", 49, 3},
	{"descriptors outside memory", 53 + 4, 1},
	{"a ring outside memory", 61 + 4, 1},
	{"a used ring outside memory", 69 + 4, 1},
	{"a flag that is none", 77, 2},
};

TEST(each_field_is_judged_as_a_guests_would_be)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(save(&k, &err), 0);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		uint8_t was = (uint8_t)k.saved.data[lies[i].at];
		struct err why = ERR_INIT;
		k.saved.data[lies[i].at] = (char)lies[i].value;
		if (load(&k, &why) == 0)
			FAIL("taken: %s", lies[i].what);
		k.saved.data[lies[i].at] = (char)was;
		virtio_done(&k.rng);
		EXPECT_EQ(rng_init(&k.rng, k.mem, &err), 0);
	}
	EXPECT_EQ(load(&k, &err), 0);
}

TEST(indices_that_lie_break_the_queue_and_no_more)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(save(&k, &err), 0);
	memset(k.saved.data + 80, 0x7f, 6); /* next_avail, next_used, told_used */
	EXPECT_EQ(load(&k, &err), 0);
	virtio_release(&k.rng);
	virtio_kicked(&k.rng);
	EXPECT(rig_read(&k.rng, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

TEST(a_state_cut_within_the_device_is_refused)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(save(&k, &err), 0);
	size_t whole = k.saved.len;
	for (k.saved.len = 0; k.saved.len < whole; k.saved.len++) {
		struct err why = ERR_INIT;
		EXPECT_EQ(load(&k, &why), -EINVAL);
		virtio_done(&k.rng);
		EXPECT_EQ(rng_init(&k.rng, k.mem, &err), 0);
	}
}

/* --- kinds --- */

static int disk_file(size_t sectors)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	return fd >= 0 && ftruncate(fd, (off_t)(sectors * DISK_SECTOR)) == 0 ? fd : -1;
}

static int make_block(struct block *b, int fd, const char *serial, bool readonly, struct kit *k,
		      struct err *err)
{
	struct disk disk = {.readonly = readonly};

	int r = disk_add(&disk, fd, 0, err);
	if (r == 0)
		r = block_init(b, &disk, serial, k->loop, k->mem, err);
	disk_done(&disk);
	return r;
}

TEST(a_disk_is_the_same_one_or_refused)
{
	static const struct {
		size_t sectors;
		const char *serial;
		bool readonly;
		int answer;
	} cases[] = {
		{8, "root", false, 0},
		{8, "data", false, -EINVAL},
		{8, "root", true, -EINVAL},
		{9, "root", false, -EINVAL},
	};
	AUTO_KIT struct kit k;
	AUTO(block_done) struct block b = {0};
	AUTO_CLOSE int fd = disk_file(8);
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(make_block(&b, fd, "root", false, &k, &err), 0);
	rig_start(&b.v, 0);
	EXPECT_EQ(virtio_save(&b.v, &k.saved, &err), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO(block_done) struct block other = {0};
		AUTO_CLOSE int file = disk_file(cases[i].sectors);
		struct state_reader from = {(const uint8_t *)k.saved.data, k.saved.len, false};
		struct err why = ERR_INIT;
		EXPECT_EQ(make_block(&other, file, cases[i].serial, cases[i].readonly, &k, &why),
			  0);
		EXPECT_EQ(virtio_load(&other.v, &from, &why), cases[i].answer);
	}
}

TEST(a_disk_is_no_entropy_device)
{
	AUTO_KIT struct kit k;
	AUTO(block_done) struct block b = {0};
	AUTO_CLOSE int fd = disk_file(8);
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(make_block(&b, fd, "root", false, &k, &err), 0);
	EXPECT_EQ(virtio_save(&b.v, &k.saved, &err), 0);
	EXPECT_EQ(load(&k, &err), -EINVAL);
	EXPECT(strstr(err.msg, "another kind"));
}

TEST(a_place_for_a_disk_stays_one)
{
	AUTO_KIT struct kit k;
	AUTO(block_done) struct block place = {0};
	AUTO(block_done) struct block other = {0};
	struct err err = ERR_INIT;
	const struct block_file file = {.serial = "data",
					.fd = disk_file(8),
					.size = 8 * DISK_SECTOR};

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(block_init(&place, &(struct disk){0}, "", k.loop, k.mem, &err), 0);
	EXPECT_EQ(block_init(&other, &(struct disk){0}, "", k.loop, k.mem, &err), 0);
	EXPECT_EQ(virtio_save(&place.v, &k.saved, &err), 0);
	struct state_reader from = {(const uint8_t *)k.saved.data, k.saved.len, false};
	EXPECT_EQ(virtio_load(&other.v, &from, &err), 0);
	EXPECT_EQ(block_plug(&place, &file, &err), 0);
	buf_clear(&k.saved);
	EXPECT_EQ(virtio_save(&place.v, &k.saved, &err), 0);
	from = (struct state_reader){(const uint8_t *)k.saved.data, k.saved.len, false};
	EXPECT_EQ(virtio_load(&other.v, &from, &err), -EINVAL);
	EXPECT(strstr(err.msg, "where there is none"));
}

TEST(a_balloon_is_as_large_as_it_was)
{
	AUTO_KIT struct kit k;
	AUTO(balloon_done) struct balloon was = {0};
	AUTO(balloon_done) struct balloon b = {0};
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(balloon_init(&was, k.mem, &err), 0);
	EXPECT_EQ(balloon_init(&b, k.mem, &err), 0);
	balloon_ask(&was, 1 << 20);
	rig_start(&was.v, 0);
	rig_write(&was.v, VIRTIO_MMIO_CONFIG + 4, 200); /* pages it has handed over */
	EXPECT_EQ(virtio_save(&was.v, &k.saved, &err), 0);
	struct state_reader from = {(const uint8_t *)k.saved.data, k.saved.len, false};
	EXPECT_EQ(virtio_load(&b.v, &from, &err), 0);
	EXPECT_EQ(balloon_holds(&b), 200 * 4096);
	EXPECT_EQ(rig_read(&b.v, VIRTIO_MMIO_CONFIG), 256);
}

/* A port whose other end is *host. */
static int make_port(struct port *p, struct loop *loop, const struct gmem *mem, const char *name,
		     int *host, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	*host = pair[0];
	return port_init(p, pair[1], name, loop, mem, err);
}

TEST(a_port_goes_on_at_the_byte_where_it_stopped)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	AUTO(auto_loop_free) struct loop *loop = NULL;
	AUTO(port_done) struct port was = {0};
	AUTO(port_done) struct port p = {0};
	AUTO_CLOSE int host = -1;
	AUTO_CLOSE int other = -1;
	AUTO_BUF struct buf saved = BUF_INIT;
	struct rig_queue g = rig_queue(mem, 1); /* from the guest */
	struct err err = ERR_INIT;
	char heard[16] = "";

	EXPECT_EQ(loop_new(&loop, &err), 0);
	EXPECT_EQ(make_port(&was, loop, mem, "agent", &host, &err), 0);
	EXPECT_EQ(make_port(&p, loop, mem, "agent", &other, &err), 0);
	rig_start(&was.v, 0);
	memcpy(rig_at(mem, BUFFER), "0123456789", 10);
	rig_buffer(&g, BUFFER, 10, false, false);
	rig_offer(&g, 0);
	was.sent = 4; /* as when the socket took no more */
	was.open = true;
	EXPECT_EQ(virtio_save(&was.v, &saved, &err), 0);
	struct state_reader from = {(const uint8_t *)saved.data, saved.len, false};
	EXPECT_EQ(virtio_load(&p.v, &from, &err), 0);
	EXPECT(p.open);
	virtio_release(&p.v);
	virtio_kicked(&p.v);
	EXPECT_EQ(read(other, heard, sizeof(heard)), 6);
	EXPECT_STR(heard, "456789");
}

TEST(a_port_of_another_name_or_with_words_that_are_none_is_refused)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	AUTO(auto_loop_free) struct loop *loop = NULL;
	AUTO(port_done) struct port was = {0};
	AUTO(port_done) struct port p = {0};
	AUTO_CLOSE int host = -1;
	AUTO_CLOSE int other = -1;
	AUTO_BUF struct buf saved = BUF_INIT;
	struct err err = ERR_INIT;
	struct err why = ERR_INIT;

	EXPECT_EQ(loop_new(&loop, &err), 0);
	EXPECT_EQ(make_port(&was, loop, mem, "agent", &host, &err), 0);
	EXPECT_EQ(make_port(&p, loop, mem, "other", &other, &err), 0);
	EXPECT_EQ(virtio_save(&was.v, &saved, &err), 0);
	struct state_reader from = {(const uint8_t *)saved.data, saved.len, false};
	EXPECT_EQ(virtio_load(&p.v, &from, &err), -EINVAL);
	EXPECT(strstr(err.msg, "name"));
	saved.data[saved.len - 1] = 1; /* the highest of the words that are due */
	from = (struct state_reader){(const uint8_t *)saved.data, saved.len, false};
	EXPECT_EQ(virtio_load(&was.v, &from, &why), -EINVAL);
}

TEST(the_serial_line_keeps_what_it_was_told)
{
	AUTO(ports_done) struct ports was = {0};
	AUTO(ports_done) struct ports p = {0};
	AUTO_BUF struct buf saved = BUF_INIT;
	struct err err = ERR_INIT;
	uint8_t scratch = 0x5a, read_back = 0;
	uint64_t times = 0;

	EXPECT_EQ(ports_init(&was, -1, &err), 0);
	EXPECT_EQ(ports_init(&p, -1, &err), 0);
	(void)ports_write(&was, 0x3f8 + 7, &scratch, 1);
	(void)ports_write(&was, 0x3f8 + 1, &(uint8_t){2}, 1); /* tell me when I may send */
	(void)ports_write(&was, 0x3f8, "x", 1);
	ports_save(&was, &saved);
	struct state_reader from = {(const uint8_t *)saved.data, saved.len, false};
	EXPECT_EQ(ports_load(&p, &from, &err), 0);
	ports_read(&p, 0x3f8 + 7, &read_back, 1);
	EXPECT_EQ(read_back, scratch);
	EXPECT_EQ(p.len, 1);
	ports_release(&p);
	EXPECT_EQ(read(p.irq, &times, sizeof(times)), sizeof(times));
	memset(saved.data + 7, 0xff, 4); /* the length of its line */
	from = (struct state_reader){(const uint8_t *)saved.data, saved.len, false};
	EXPECT_EQ(ports_load(&p, &from, &err), -EINVAL);
}
