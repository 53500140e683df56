/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rig.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/block.h"

enum { HEAD = RIG_DATA, STATUS = RIG_DATA + 0x100, BUFFER = RIG_DATA + 0x1000 };

/* A file in memory of n sectors, each filled with its number plus `first`. */
static int file(unsigned n, unsigned first)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	for (unsigned i = 0; fd >= 0 && i < n; i++) {
		uint8_t sector[DISK_SECTOR];
		memset(sector, (int)(first + i), sizeof(sector));
		if (write(fd, sector, sizeof(sector)) != sizeof(sector))
			abort();
	}
	return fd;
}

struct kit {
	struct gmem *mem;
	struct loop *loop;
	struct block block;
	struct rig_queue g;
	int fds[3];
};

/* Three files of 2, 1 and 5 sectors as one disk. */
static int kit_init(struct kit *k, bool readonly)
{
	static const unsigned sizes[] = {2, 1, 5};
	struct disk disk = {.readonly = readonly};
	struct err err = ERR_INIT;
	unsigned first = 0;
	int r = 0;

	*k = (struct kit){.mem = rig_memory()};
	r = loop_new(&k->loop, &err);
	for (size_t i = 0; i < 3 && r == 0; i++) {
		k->fds[i] = file(sizes[i], first);
		r = disk_add(&disk, k->fds[i], 0, &err);
		first += sizes[i];
	}
	if (r == 0)
		r = block_init(&k->block, &disk, "serial-of-the-disk", k->loop, k->mem, &err);
	disk_done(&disk);
	k->g = rig_queue(k->mem, 0);
	rig_start(&k->block.v, 0);
	return r;
}

static void kit_done(struct kit *k)
{
	block_done(&k->block);
	loop_free(k->loop);
	for (size_t i = 0; i < 3; i++)
		auto_close(&k->fds[i]);
	gmem_free(k->mem);
}

#define AUTO_KIT AUTO(kit_done)

/* One request with a buffer of len bytes; its status, or 255 when it was not answered. */
static unsigned request(struct kit *k, uint32_t type, uint64_t sector, uint32_t len)
{
	struct virtio_blk_outhdr head = {.type = type, .sector = sector};
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	uint8_t *status = rig_at(k->mem, STATUS);
	uint16_t first = k->g.next % RIG_SIZE;

	memcpy(rig_at(k->mem, HEAD), &head, sizeof(head));
	*status = 255;
	rig_buffer(&k->g, HEAD, sizeof(head), false, true);
	if (len > 0)
		rig_buffer(&k->g, BUFFER, len, in, true);
	rig_buffer(&k->g, STATUS, 1, true, false);
	rig_offer(&k->g, first);
	virtio_kicked(&k->block.v);
	return rig_used(&k->g, NULL) == 1 ? *status : 255;
}

/* How often the device has interrupted since this was asked last. */
static uint64_t interrupts(const struct kit *k)
{
	uint64_t times = 0;

	return read(k->block.v.irq, &times, sizeof(times)) == sizeof(times) ? times : 0;
}

/* Offers a read of sector 0 into len bytes. */
static void offer_read(struct kit *k, uint32_t len)
{
	struct virtio_blk_outhdr head = {.type = VIRTIO_BLK_T_IN};
	uint16_t first = k->g.next % RIG_SIZE;

	memcpy(rig_at(k->mem, HEAD), &head, sizeof(head));
	rig_buffer(&k->g, HEAD, sizeof(head), false, true);
	rig_buffer(&k->g, BUFFER, len, true, true);
	rig_buffer(&k->g, STATUS, 1, true, false);
	rig_offer(&k->g, first);
}

TEST(one_interrupt_tells_of_small_requests_but_large_ones_do_not_wait_for_others)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k, true), 0);
	/* a guest that is told by flags is told whenever the device thinks it should */
	rig_start(&k.block.v, 1ULL << VIRTIO_RING_F_EVENT_IDX);
	(void)interrupts(&k);
	for (int i = 0; i < 4; i++)
		offer_read(&k, DISK_SECTOR);
	virtio_kicked(&k.block.v);
	EXPECT_EQ(rig_used(&k.g, NULL), 4);
	EXPECT_EQ(interrupts(&k), 1);
	k.g = rig_queue(k.mem, 0);
	rig_start(&k.block.v, 1ULL << VIRTIO_RING_F_EVENT_IDX);
	for (int i = 0; i < 4; i++)
		offer_read(&k, VIRTIO_TELL_BYTES);
	virtio_kicked(&k.block.v);
	EXPECT_EQ(rig_used(&k.g, NULL), 4);
	EXPECT_EQ(interrupts(&k), 4);
}

TEST(a_read_goes_over_the_files_as_if_they_were_one)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k, true), 0);
	uint64_t capacity;
	virtio_read(&k.block.v, VIRTIO_MMIO_CONFIG, &capacity, sizeof(capacity));
	EXPECT_EQ(capacity, 8);
	const uint8_t *data = rig_at(k.mem, BUFFER);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 0, 8 * DISK_SECTOR), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 8; i++) {
		EXPECT_EQ(data[i * DISK_SECTOR], i);
		EXPECT_EQ(data[(i + 1) * DISK_SECTOR - 1], i);
	}
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 2, DISK_SECTOR), VIRTIO_BLK_S_OK);
	EXPECT_EQ(data[0], 2);
}

TEST(what_lies_beyond_the_end_is_refused)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k, false), 0);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 8, DISK_SECTOR), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 7, 2 * DISK_SECTOR), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, UINT64_MAX, DISK_SECTOR), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, UINT64_MAX / DISK_SECTOR, DISK_SECTOR),
		  VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, INT64_MAX / DISK_SECTOR, DISK_SECTOR),
		  VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_OUT, 8, DISK_SECTOR), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 0, 100), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(request(&k, 77, 0, DISK_SECTOR), VIRTIO_BLK_S_UNSUPP);
	EXPECT_EQ(request(&k, UINT32_MAX, 0, DISK_SECTOR), VIRTIO_BLK_S_UNSUPP);
	struct stat st;
	EXPECT_EQ(fstat(k.fds[2], &st), 0);
	EXPECT_EQ(st.st_size, 5 * DISK_SECTOR);
}

TEST(a_read_only_disk_is_not_written)
{
	AUTO_KIT struct kit k;
	uint8_t byte = 99;
	struct virtio_blk_discard_write_zeroes range = {.sector = 0, .num_sectors = 1};

	EXPECT_EQ(kit_init(&k, true), 0);
	EXPECT(k.block.v.offered & 1ULL << VIRTIO_BLK_F_RO);
	memset(rig_at(k.mem, BUFFER), 99, DISK_SECTOR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_OUT, 0, DISK_SECTOR), VIRTIO_BLK_S_IOERR);
	memcpy(rig_at(k.mem, BUFFER), &range, sizeof(range));
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(range)), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_DISCARD, 0, sizeof(range)), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(pread(k.fds[0], &byte, 1, 0), 1);
	EXPECT_EQ(byte, 0);
}

TEST(what_is_written_stays_and_what_is_zeroed_is_zero)
{
	AUTO_KIT struct kit k;
	uint8_t *data;
	uint8_t byte = 0;

	EXPECT_EQ(kit_init(&k, false), 0);
	data = rig_at(k.mem, BUFFER);
	memset(data, 99, 2 * DISK_SECTOR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_OUT, 1, 2 * DISK_SECTOR), VIRTIO_BLK_S_OK);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	EXPECT_EQ(pread(k.fds[0], &byte, 1, DISK_SECTOR), 1);
	EXPECT_EQ(byte, 99);
	EXPECT_EQ(pread(k.fds[1], &byte, 1, DISK_SECTOR - 1), 1);
	EXPECT_EQ(byte, 99);
	struct virtio_blk_discard_write_zeroes range = {.sector = 2, .num_sectors = 3, .flags = 1};
	memcpy(data, &range, sizeof(range));
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(range)), VIRTIO_BLK_S_OK);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 1, 5 * DISK_SECTOR), VIRTIO_BLK_S_OK);
	EXPECT_EQ(data[0], 99);
	EXPECT_EQ(data[DISK_SECTOR], 0);
	EXPECT_EQ(data[4 * DISK_SECTOR - 1], 0);
	EXPECT_EQ(data[4 * DISK_SECTOR], 5);
	range.flags = 2;
	memcpy(data, &range, sizeof(range));
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(range)), VIRTIO_BLK_S_UNSUPP);
	range = (struct virtio_blk_discard_write_zeroes){.sector = UINT64_MAX, .num_sectors = 2};
	memcpy(data, &range, sizeof(range));
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_DISCARD, 0, sizeof(range)), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_DISCARD, 0, 15), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_DISCARD, 0, 0), VIRTIO_BLK_S_IOERR);
}

TEST(the_serial_number_tells_the_disk)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k, true), 0);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_GET_ID, 0, 20), VIRTIO_BLK_S_OK);
	EXPECT_STR((const char *)rig_at(k.mem, BUFFER), "serial-of-the-disk");
}

TEST(a_file_that_was_cut_short_gives_an_error_and_no_more)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k, true), 0);
	EXPECT_EQ(ftruncate(k.fds[2], DISK_SECTOR), 0);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 3, 2 * DISK_SECTOR), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 3, DISK_SECTOR), VIRTIO_BLK_S_OK);
}

TEST(a_request_without_room_for_its_status_is_given_back)
{
	AUTO_KIT struct kit k;
	uint32_t len = 1;

	EXPECT_EQ(kit_init(&k, true), 0);
	rig_buffer(&k.g, HEAD, 16, false, false);
	rig_offer(&k.g, 0);
	rig_buffer(&k.g, HEAD, 15, false, true); /* half a header */
	rig_buffer(&k.g, STATUS, 1, true, false);
	rig_offer(&k.g, 1);
	virtio_kicked(&k.block.v);
	EXPECT_EQ(rig_used(&k.g, &len), 2);
	EXPECT_EQ(len, 0);
}

/* --- resets while requests are on their way --- */

static atomic_bool done;

static void *serve(void *ctx)
{
	while (!done)
		virtio_kicked(ctx);
	return NULL;
}

TEST(a_reset_waits_for_the_request_on_its_way)
{
	AUTO_KIT struct kit k;
	pthread_t thread;
	struct virtio_blk_outhdr head = {.type = VIRTIO_BLK_T_IN};

	EXPECT_EQ(kit_init(&k, true), 0);
	memcpy(rig_at(k.mem, HEAD), &head, sizeof(head));
	done = false;
	EXPECT_EQ(pthread_create(&thread, NULL, serve, &k.block.v), 0);
	for (int i = 0; i < 2000; i++) {
		rig_write(&k.block.v, VIRTIO_MMIO_STATUS, 0);
		/* nothing is written to the rings from here on: they may be something else now */
		k.g = rig_queue(k.mem, 0);
		rig_start(&k.block.v, 0);
		for (unsigned c = 0; c < 4; c++) {
			rig_buffer(&k.g, HEAD, sizeof(head), false, true);
			rig_buffer(&k.g, BUFFER, 8 * DISK_SECTOR, true, true);
			rig_buffer(&k.g, STATUS, 1, true, false);
			rig_offer(&k.g, (uint16_t)(3 * c));
		}
	}
	done = true;
	(void)pthread_join(thread, NULL);
	EXPECT_EQ(k.block.v.status & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

TEST(a_request_over_the_limit_waits_in_the_queue_until_it_may_pass)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k, false), 0);
	block_limit(&k.block, BLOCK_READ, &(struct limit){.requests = 1});
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 0, DISK_SECTOR), VIRTIO_BLK_S_OK);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 1, DISK_SECTOR), 255);
	EXPECT(k.block.throttle.due_ms > 0);
	block_limit(&k.block, BLOCK_READ, &(struct limit){0});
	virtio_kicked(&k.block.v);
	EXPECT_EQ(rig_used(&k.g, NULL), 1);
	EXPECT_EQ(*(const uint8_t *)rig_at(k.mem, STATUS), VIRTIO_BLK_S_OK);
	EXPECT_EQ(*(const uint8_t *)rig_at(k.mem, BUFFER), 1);
}

TEST(reading_and_writing_are_limited_apart_and_flushing_is_not)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k, false), 0);
	block_limit(&k.block, BLOCK_WRITE, &(struct limit){.bytes = 1});
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_OUT, 0, DISK_SECTOR), VIRTIO_BLK_S_OK);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 0, DISK_SECTOR), VIRTIO_BLK_S_OK);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_OUT, 0, DISK_SECTOR), 255);
}

static uint64_t capacity(struct kit *k)
{
	uint64_t n;

	virtio_read(&k->block.v, VIRTIO_MMIO_CONFIG, &n, sizeof(n));
	return n;
}

TEST(a_change_of_capacity_is_told_by_an_interrupt)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k, false), 0);
	(void)rig_interrupt(&k.block.v);
	uint32_t generation = rig_read(&k.block.v, VIRTIO_MMIO_CONFIG_GENERATION);
	EXPECT_EQ(ftruncate(k.fds[2], 12 * DISK_SECTOR), 0);
	EXPECT_EQ(block_resize(&k.block, 12 * DISK_SECTOR, &err), 0);
	EXPECT_EQ(rig_interrupt(&k.block.v), VIRTIO_MMIO_INT_CONFIG);
	EXPECT(rig_read(&k.block.v, VIRTIO_MMIO_CONFIG_GENERATION) != generation);
	EXPECT_EQ(capacity(&k), 15);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 14, DISK_SECTOR), VIRTIO_BLK_S_OK);
	EXPECT_EQ(block_resize(&k.block, DISK_SECTOR, &err), 0);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 4, DISK_SECTOR), VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(block_resize(&k.block, 7, &err), -EINVAL);
	err.code = 0;
	EXPECT_EQ(block_resize(&k.block, UINT64_MAX - DISK_SECTOR + 1, &err), -EINVAL);
	err.code = 0;
	EXPECT_EQ(block_resize(&k.block, INT64_MAX - DISK_SECTOR + 1, &err), -EFBIG);
	EXPECT_EQ(capacity(&k), 4);
}

TEST(a_place_for_a_disk_has_no_device_until_one_is_plugged_in)
{
	AUTO_KIT struct kit k = {.mem = rig_memory(), .fds = {-1, -1, -1}};
	struct err err = ERR_INIT;

	EXPECT_EQ(loop_new(&k.loop, &err), 0);
	EXPECT_EQ(block_init(&k.block, &(struct disk){0}, "", k.loop, k.mem, &err), 0);
	EXPECT_EQ(rig_read(&k.block.v, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	EXPECT_EQ(rig_read(&k.block.v, VIRTIO_MMIO_DEVICE_ID), 0);
	k.g = rig_queue(k.mem, 0);
	rig_start(&k.block.v, 0); /* a driver that will not see it */
	EXPECT_EQ(rig_read(&k.block.v, VIRTIO_MMIO_STATUS), 0);

	struct block_file late = {.serial = "late",
				  .fd = file(3, 40),
				  .size = 3 * DISK_SECTOR,
				  .readonly = true};
	EXPECT_EQ(block_plug(&k.block, &late, &err), 0);
	EXPECT_EQ(rig_read(&k.block.v, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_BLOCK);
	EXPECT_EQ(capacity(&k), 3);
	rig_start(&k.block.v, 0);
	EXPECT((k.block.v.features & 1ULL << VIRTIO_BLK_F_RO) != 0);
	EXPECT_EQ(request(&k, VIRTIO_BLK_T_IN, 2, DISK_SECTOR), VIRTIO_BLK_S_OK);
	EXPECT_EQ(*(const uint8_t *)rig_at(k.mem, BUFFER), 42);
	EXPECT_EQ(block_plug(&k.block, &late, &err), -EBUSY);
	err.code = 0;
	EXPECT_EQ(block_unplug(&k.block, &err), -EBUSY); /* the driver has it */
	err.code = 0;
	rig_write(&k.block.v, VIRTIO_MMIO_STATUS, 0);
	rig_write(&k.block.v, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE); /* Linux does */
	EXPECT_EQ(block_unplug(&k.block, &err), 0);
	EXPECT_EQ(fcntl(late.fd, F_GETFD), -1);
	EXPECT_EQ(rig_read(&k.block.v, VIRTIO_MMIO_DEVICE_ID), 0);
	EXPECT_EQ(capacity(&k), 0);
}

TEST(only_what_was_plugged_in_can_be_taken_away)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k, false), 0);
	rig_write(&k.block.v, VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(block_unplug(&k.block, &err), -EINVAL);
	EXPECT_EQ(capacity(&k), 8);
}

/* --- storage that makes wait --- */

/* Reads of this file need a wait, for as many posts; of that one, nobody knows. */
static int slow_file = -1;
static int odd_file = -1;
static sem_t gate;

ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	if ((fd == slow_file || fd == odd_file) && (flags & RWF_NOWAIT)) {
		errno = fd == slow_file ? EAGAIN : EOPNOTSUPP;
		return -1;
	}
	return syscall(SYS_preadv2, fd, iov, n, at, 0, flags);
}

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t at)
{
	while (fd == slow_file && sem_wait(&gate) < 0)
		;
	return syscall(SYS_preadv, fd, iov, n, at, 0);
}

/* A disk whose third sector is of the slow file. */
struct slow {
	struct kit kit;
};

static void *serve_pool(void *ctx)
{
	pool_serve(ctx);
}

/* The pool of all tests, its threads at work. */
static struct pool *busy_pool(void)
{
	static struct pool pool;
	pthread_t thread;

	if (pool.threads > 0)
		return &pool;
	pool_init(&pool);
	for (unsigned i = 0; i < POOL_THREADS; i++) {
		if (pthread_create(&thread, NULL, serve_pool, &pool) != 0 ||
		    pthread_detach(thread) != 0)
			abort();
	}
	for (unsigned n = 0; n < POOL_THREADS; (void)sched_yield()) {
		(void)pthread_mutex_lock(&pool.lock);
		n = pool.threads;
		(void)pthread_mutex_unlock(&pool.lock);
	}
	return &pool;
}

static int slow_init(struct slow *s)
{
	int r = kit_init(&s->kit, false);

	(void)sem_init(&gate, 0, 0);
	slow_file = s->kit.fds[1];
	s->kit.block.pool = busy_pool();
	return r;
}

static void slow_done(struct slow *s)
{
	slow_file = -1;
	kit_done(&s->kit);
}

#define AUTO_SLOW AUTO(slow_done)

/* Lets so many of its reads come to their end. */
static void open_gate(unsigned reads)
{
	while (reads-- > 0)
		(void)sem_post(&gate);
}

/* Offers a request of one sector with header, buffer and status of its own. */
static uint8_t *offer(struct kit *k, unsigned i, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr head = {.type = type, .sector = sector};
	uint64_t at = RIG_DATA + (uint64_t)i * 0x1000;
	uint8_t *status = rig_at(k->mem, at + 0x100);
	uint16_t first = k->g.next % RIG_SIZE;

	memcpy(rig_at(k->mem, at), &head, sizeof(head));
	*status = 255;
	rig_buffer(&k->g, at, sizeof(head), false, true);
	if (type == VIRTIO_BLK_T_IN)
		rig_buffer(&k->g, at + 0x400, DISK_SECTOR, true, true);
	rig_buffer(&k->g, at + 0x100, 1, true, false);
	rig_offer(&k->g, first);
	return status;
}

/* How many answers there are by now; under the lock, for others give them. */
static unsigned answers(struct kit *k)
{
	(void)pthread_mutex_lock(&k->block.v.lock);
	unsigned n = rig_used(&k->g, NULL);
	(void)pthread_mutex_unlock(&k->block.v.lock);
	return n;
}

/* Waits for so many. */
static bool answered(struct kit *k, unsigned n)
{
	unsigned got = 0;

	for (int i = 0; i < 10000 && got < n; i++) {
		got += answers(k);
		(void)usleep(1000);
	}
	return got == n;
}

TEST(a_read_that_waits_for_storage_holds_up_nobody)
{
	AUTO_SLOW struct slow s;

	EXPECT_EQ(slow_init(&s), 0);
	const uint8_t *slow = offer(&s.kit, 0, VIRTIO_BLK_T_IN, 2);
	const uint8_t *quick = offer(&s.kit, 1, VIRTIO_BLK_T_IN, 4);
	virtio_kicked(&s.kit.block.v);
	EXPECT_EQ(answers(&s.kit), 1);
	EXPECT_EQ(*quick, VIRTIO_BLK_S_OK);
	EXPECT_EQ(*(const uint8_t *)rig_at(s.kit.mem, RIG_DATA + 0x1000 + 0x400), 4);
	EXPECT_EQ(interrupts(&s.kit), 1);
	s.kit.g.avail[2 + RIG_SIZE] = 1; /* used_event: it wants to hear of the next */
	open_gate(1);
	EXPECT(answered(&s.kit, 1));
	EXPECT_EQ(*slow, VIRTIO_BLK_S_OK);
	EXPECT_EQ(interrupts(&s.kit), 1);
}

TEST(a_file_that_cannot_tell_whether_it_waits_is_read_at_once)
{
	AUTO_SLOW struct slow s;

	EXPECT_EQ(slow_init(&s), 0);
	odd_file = s.kit.fds[2];
	const uint8_t *status = offer(&s.kit, 0, VIRTIO_BLK_T_IN, 4);
	virtio_kicked(&s.kit.block.v);
	odd_file = -1;
	EXPECT_EQ(answers(&s.kit), 1);
	EXPECT_EQ(*status, VIRTIO_BLK_S_OK);
	EXPECT_EQ(*(const uint8_t *)rig_at(s.kit.mem, RIG_DATA + 0x400), 4);
}

TEST(what_a_flush_and_a_discard_are_told_comes_from_the_pool)
{
	AUTO_SLOW struct slow s;

	EXPECT_EQ(slow_init(&s), 0);
	const uint8_t *flush = offer(&s.kit, 0, VIRTIO_BLK_T_FLUSH, 0);
	const uint8_t *discard = offer(&s.kit, 1, VIRTIO_BLK_T_DISCARD, 0); /* of nothing */
	const uint8_t *beyond = offer(&s.kit, 2, VIRTIO_BLK_T_IN, 8);
	virtio_kicked(&s.kit.block.v);
	EXPECT(answered(&s.kit, 3));
	EXPECT_EQ(*flush, VIRTIO_BLK_S_OK);
	EXPECT_EQ(*discard, VIRTIO_BLK_S_IOERR);
	EXPECT_EQ(*beyond, VIRTIO_BLK_S_IOERR);
}

static void *serve_once(void *ctx)
{
	virtio_kicked(ctx);
	return NULL;
}

TEST(more_than_the_pool_can_do_is_done_nevertheless)
{
	enum { READS = POOL_THREADS + 1 };
	AUTO_SLOW struct slow s;
	const uint8_t *status[READS];
	pthread_t thread;

	EXPECT_EQ(slow_init(&s), 0);
	for (unsigned i = 0; i < READS; i++)
		status[i] = offer(&s.kit, i, VIRTIO_BLK_T_IN, 2);
	EXPECT_EQ(pthread_create(&thread, NULL, serve_once, &s.kit.block.v), 0);
	open_gate(READS);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	EXPECT(answered(&s.kit, READS));
	for (unsigned i = 0; i < READS; i++)
		EXPECT_EQ(*status[i], VIRTIO_BLK_S_OK);
}

struct reset {
	struct virtio *v;
	atomic_bool done;
};

static void *do_reset(void *ctx)
{
	struct reset *r = ctx;

	rig_write(r->v, VIRTIO_MMIO_STATUS, 0);
	atomic_store(&r->done, true);
	return NULL;
}

TEST(a_reset_waits_for_what_the_pool_has)
{
	AUTO_SLOW struct slow s;
	struct reset reset = {.v = &s.kit.block.v};
	pthread_t thread;

	EXPECT_EQ(slow_init(&s), 0);
	const uint8_t *status = offer(&s.kit, 0, VIRTIO_BLK_T_IN, 2);
	virtio_kicked(&s.kit.block.v);
	EXPECT_EQ(pthread_create(&thread, NULL, do_reset, &reset), 0);
	(void)usleep(50000);
	EXPECT(!atomic_load(&reset.done));
	EXPECT_EQ(*status, 255);
	open_gate(1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(*status, VIRTIO_BLK_S_OK);
	EXPECT_EQ(rig_read(&s.kit.block.v, VIRTIO_MMIO_STATUS), 0);
}

TEST(a_machine_stands_still_only_when_nothing_is_on_its_way)
{
	AUTO_SLOW struct slow s;
	struct virtio *v = &s.kit.block.v;
	struct err err = ERR_INIT;

	EXPECT_EQ(slow_init(&s), 0);
	(void)offer(&s.kit, 0, VIRTIO_BLK_T_IN, 2);
	virtio_kicked(v);
	EXPECT_EQ(virtio_hold(v, 0, &err), -ETIMEDOUT);
	err = (struct err)ERR_INIT;
	open_gate(1);
	EXPECT_EQ(virtio_hold(v, 1000, &err), 0);
	EXPECT_EQ(answers(&s.kit), 1);
	(void)offer(&s.kit, 1, VIRTIO_BLK_T_FLUSH, 0);
	virtio_kicked(v);
	EXPECT_EQ(answers(&s.kit), 0);
	virtio_release(v);
	virtio_kicked(v);
	EXPECT(answered(&s.kit, 1));
}
