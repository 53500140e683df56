/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/fs.h"

enum { URGENT, REQUESTS, MESSAGE = RIG_DATA, ANSWER = RIG_DATA + 0x10000, ROOM = 4096 };

struct kit {
	struct gmem *mem;
	struct loop *loop;
	struct fs fs;
	struct rig_queue g[2];
	int ours, theirs;
};

static int kit_init(struct kit *k)
{
	struct err err = ERR_INIT;
	int pair[2];

	*k = (struct kit){.mem = rig_memory(), .ours = -1, .theirs = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	k->ours = pair[0];
	k->theirs = pair[1];
	int r = loop_new(&k->loop, &err);
	if (r == 0)
		r = fs_init(&k->fs, k->theirs, "tag", k->loop, k->mem, &err);
	for (unsigned i = 0; i < 2; i++)
		k->g[i] = rig_queue(k->mem, i);
	rig_start(&k->fs.v, 0);
	return r;
}

static void kit_done(struct kit *k)
{
	fs_done(&k->fs);
	loop_free(k->loop);
	auto_close(&k->ours);
	auto_close(&k->theirs);
	gmem_free(k->mem);
}

#define AUTO_KIT AUTO(kit_done)

/* A share that answers each message with its own bytes. */
struct echo {
	int fd;
	unsigned heard;
};

static void *echo(void *ctx)
{
	struct echo *e = ctx;
	static uint8_t bytes[FS_MESSAGE_MAX];

	for (;;) {
		struct fuse_in_header in;
		ssize_t n = recv(e->fd, bytes, sizeof(bytes), 0);
		if (n < (ssize_t)sizeof(in))
			return NULL;
		e->heard++;
		memcpy(&in, bytes, sizeof(in));
		if (in.opcode == FUSE_BATCH_FORGET)
			continue;
		struct fuse_out_header out = {.len = (uint32_t)n, .unique = in.unique};
		memcpy(bytes, &out, sizeof(out));
		(void)!send(e->fd, bytes, out.len, MSG_NOSIGNAL);
	}
}

static int stop(void *ctx, struct err *err)
{
	(void)err;
	loop_stop(ctx);
	return 0;
}

/* Lets the device hear the share for a while. */
static void go_on(struct kit *k, uint64_t ms)
{
	struct err err = ERR_INIT;
	struct timer *timer;

	if (loop_timer(k->loop, ms, stop, k->loop, &timer, &err) == 0)
		(void)!loop_run(k->loop, &err);
}

/* Waits for a chain to come back; how many did. */
static unsigned comes_back(struct kit *k, struct rig_queue *g)
{
	unsigned n = rig_used(g, NULL);

	for (int tries = 0; n == 0 && tries < 200; tries++) {
		go_on(k, 10);
		n = rig_used(g, NULL);
	}
	return n;
}

/* Serves one message of `len` bytes with room for `room`; how many chains came back. */
static unsigned serve(struct kit *k, unsigned queue, uint32_t opcode, uint32_t len, uint32_t room)
{
	struct fuse_in_header in = {.len = len, .opcode = opcode, .unique = 42};
	struct rig_queue *g = &k->g[queue];
	uint16_t head = g->next % RIG_SIZE;

	memcpy(rig_at(k->mem, MESSAGE), &in, sizeof(in));
	rig_buffer(g, MESSAGE, len, false, room > 0);
	if (room > 0)
		rig_buffer(g, ANSWER, room, true, false);
	rig_offer(g, head);
	virtio_kicked(&k->fs.v);
	return comes_back(k, g);
}

static struct fuse_out_header answer(const struct kit *k)
{
	struct fuse_out_header out;

	memcpy(&out, rig_at(k->mem, ANSWER), sizeof(out));
	return out;
}

TEST(messages_go_to_the_share_and_answers_come_back)
{
	AUTO_KIT struct kit k;
	pthread_t thread;

	EXPECT_EQ(kit_init(&k), 0);
	struct echo e = {.fd = k.ours};
	EXPECT_EQ(pthread_create(&thread, NULL, echo, &e), 0);
	EXPECT_EQ(serve(&k, REQUESTS, FUSE_GETATTR, 56, 4096), 1);
	EXPECT_EQ(answer(&k).len, 56);
	EXPECT_EQ(answer(&k).error, 0);
	EXPECT_EQ(serve(&k, REQUESTS, FUSE_WRITE, 130000, 140000), 1);
	EXPECT_EQ(answer(&k).len, 130000);
	/* nobody waits for these */
	EXPECT_EQ(serve(&k, URGENT, FUSE_FORGET, 48, 0), 1);
	EXPECT_EQ(serve(&k, URGENT, FUSE_INTERRUPT, 48, 0), 1);
	/* an answer larger than its room */
	EXPECT_EQ(serve(&k, REQUESTS, FUSE_GETATTR, 56, 32), 1);
	EXPECT_EQ(answer(&k).error, -EIO);
	(void)shutdown(k.theirs, SHUT_RDWR);
	(void)pthread_join(thread, NULL);
	EXPECT_EQ(e.heard, 4);
}

TEST(messages_that_are_none_are_given_back)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(serve(&k, REQUESTS, FUSE_GETATTR, 39, 64), 1);
	EXPECT_EQ(serve(&k, REQUESTS, FUSE_WRITE, FS_MESSAGE_MAX + 1, 64), 1);
	EXPECT_EQ(answer(&k).error, -E2BIG);
}

TEST(a_share_that_is_gone_fails_each_request_and_harms_nobody)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k), 0);
	auto_close(&k.ours);
	EXPECT_EQ(serve(&k, REQUESTS, FUSE_GETATTR, 56, 64), 1);
	EXPECT_EQ(answer(&k).error, -ENOTCONN);
	EXPECT_EQ(answer(&k).unique, 42);
	EXPECT_EQ(serve(&k, REQUESTS, FUSE_GETATTR, 56, 64), 1);
	EXPECT_EQ(serve(&k, URGENT, FUSE_FORGET, 48, 0), 1);
	EXPECT_EQ(serve(&k, REQUESTS, FUSE_GETATTR, 56, 4), 1); /* no room to say so */
}

/* --- a share that the test is itself --- */

/* Offers a message, an opcode's structure behind its header, with `room` for an answer at `to`. */
static void offer_room(struct kit *k, uint32_t opcode, const void *fixed, size_t n, uint64_t to,
		       uint32_t room)
{
	struct rig_queue *g = &k->g[REQUESTS];
	uint16_t head = g->next % RIG_SIZE;
	uint64_t at = MESSAGE + (uint64_t)head * 256;
	struct fuse_in_header in = {.len = (uint32_t)(sizeof(in) + n),
				    .opcode = opcode,
				    .unique = 7000 + to};

	memcpy(rig_at(k->mem, at), &in, sizeof(in));
	memcpy(rig_at(k->mem, at + sizeof(in)), fixed, n);
	rig_buffer(g, at, in.len, false, true);
	rig_buffer(g, to, room, true, false);
	rig_offer(g, head);
	virtio_kicked(&k->fs.v);
}

static void offer(struct kit *k, uint32_t opcode, const void *fixed, size_t n, uint64_t to)
{
	offer_room(k, opcode, fixed, n, to, ROOM);
}

struct heard {
	struct fuse_in_header head;
	uint8_t body[4096];
};

/* The next message that the share gets; of length 0 when there is none, or it is another's. */
static struct heard hear(const struct kit *k, uint32_t opcode)
{
	struct heard m = {0};

	ssize_t n = recv(k->ours, &m, sizeof(m), MSG_DONTWAIT);
	return n >= (ssize_t)sizeof(m.head) && m.head.opcode == opcode ? m : (struct heard){0};
}

/* Its number; 0: there is none. */
static uint64_t heard(const struct kit *k, uint32_t opcode)
{
	return hear(k, opcode).head.unique;
}

/* Answers with the first n bytes of `body`, and a descriptor unless it is -1. */
static void reply(const struct kit *k, uint64_t number, const void *body, size_t n, int fd)
{
	struct fuse_out_header out = {.len = (uint32_t)(sizeof(out) + n), .unique = number};
	struct iovec iov[2] = {{&out, sizeof(out)}, {(void *)(uintptr_t)body, n}};

	(void)!fd_sendv(k->ours, iov, 2, &fd, fd >= 0, 0);
}

static struct fuse_out_header answer_at(const struct kit *k, uint64_t at)
{
	struct fuse_out_header out;

	memcpy(&out, rig_at(k->mem, at), sizeof(out));
	return out;
}

TEST(answers_find_their_messages_in_any_order)
{
	AUTO_KIT struct kit k;
	struct fuse_getattr_in in = {0};
	uint64_t numbers[3];

	EXPECT_EQ(kit_init(&k), 0);
	for (unsigned i = 0; i < 3; i++) {
		offer(&k, FUSE_GETATTR, &in, sizeof(in), ANSWER + i * ROOM);
		numbers[i] = heard(&k, FUSE_GETATTR);
		EXPECT(numbers[i] != 0);
	}
	reply(&k, numbers[2], "two", 3, -1);
	reply(&k, numbers[0], "nought", 6, -1);
	reply(&k, numbers[0], "again", 5, -1); /* and what nobody has asked */
	reply(&k, 12345, "who?", 4, -1);
	reply(&k, numbers[1], "one", 3, -1);
	go_on(&k, 30);
	EXPECT_EQ(rig_used(&k.g[REQUESTS], NULL), 3);
	for (unsigned i = 0; i < 3; i++)
		EXPECT_EQ(answer_at(&k, ANSWER + i * ROOM).unique, 7000 + ANSWER + i * ROOM);
	EXPECT_EQ(memcmp(rig_at(k.mem, ANSWER + sizeof(struct fuse_out_header)), "nought", 6), 0);
	EXPECT_EQ(rig_interrupt(&k.fs.v), VIRTIO_MMIO_INT_VRING);
}

TEST(an_answer_to_before_a_reset_is_nobodys)
{
	AUTO_KIT struct kit k;
	struct fuse_getattr_in in = {0};

	EXPECT_EQ(kit_init(&k), 0);
	offer(&k, FUSE_GETATTR, &in, sizeof(in), ANSWER);
	uint64_t number = heard(&k, FUSE_GETATTR);
	k.g[REQUESTS] = rig_queue(k.mem, REQUESTS);
	rig_start(&k.fs.v, 0);
	offer(&k, FUSE_GETATTR, &in, sizeof(in), ANSWER + ROOM);
	EXPECT(heard(&k, FUSE_GETATTR) != number);
	reply(&k, number, "old", 3, -1);
	go_on(&k, 30);
	EXPECT_EQ(rig_used(&k.g[REQUESTS], NULL), 0);
	EXPECT_EQ(answer_at(&k, ANSWER).len, 0);
	/* nor does a queue that was switched off get any */
	rig_write(&k.fs.v, VIRTIO_MMIO_QUEUE_SEL, REQUESTS);
	rig_write(&k.fs.v, VIRTIO_MMIO_QUEUE_READY, 0);
	auto_close(&k.ours);
	go_on(&k, 30);
	EXPECT_EQ(rig_used(&k.g[REQUESTS], NULL), 0);
}

TEST(what_waits_for_a_share_that_goes_has_failed)
{
	AUTO_KIT struct kit k;
	struct fuse_getattr_in in = {0};

	EXPECT_EQ(kit_init(&k), 0);
	offer(&k, FUSE_GETATTR, &in, sizeof(in), ANSWER);
	offer(&k, FUSE_GETATTR, &in, sizeof(in), ANSWER + ROOM);
	auto_close(&k.ours);
	go_on(&k, 30);
	EXPECT_EQ(rig_used(&k.g[REQUESTS], NULL), 2);
	EXPECT_EQ(answer_at(&k, ANSWER + ROOM).error, -ENOTCONN);
	EXPECT_EQ(answer_at(&k, ANSWER + ROOM).unique, 7000 + ANSWER + ROOM);
}

/* Opens "handle 5" as the file fd. */
static int open_as(struct kit *k, int fd)
{
	struct fuse_open_in in = {0};
	struct fuse_open_out out = {.fh = 5};

	offer(k, FUSE_OPEN, &in, sizeof(in), ANSWER);
	reply(k, heard(k, FUSE_OPEN), &out, sizeof(out), fd);
	return comes_back(k, &k->g[REQUESTS]) == 1 ? 0 : -1;
}

/* As this program's own file, which memory has: an ELF. */
static int open_five(struct kit *k)
{
	AUTO_CLOSE int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : open_as(k, fd);
}

TEST(a_file_that_came_with_an_open_is_read_without_the_share)
{
	AUTO_KIT struct kit k;
	struct fuse_read_in in = {.fh = 5, .offset = 1, .size = 3};
	const uint64_t to = ANSWER + ROOM;
	struct stat st;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(stat("/proc/self/exe", &st), 0);
	EXPECT_EQ(open_five(&k), 0);
	offer(&k, FUSE_READ, &in, sizeof(in), to);
	if (heard(&k, FUSE_READ)) {
		printf("# skipped: this file system cannot be read without waiting\n");
		return;
	}
	EXPECT_EQ(rig_used(&k.g[REQUESTS], NULL), 1);
	EXPECT_EQ(answer_at(&k, to).len, sizeof(struct fuse_out_header) + 3);
	EXPECT_EQ(answer_at(&k, to).unique, 7000 + to);
	EXPECT_EQ(memcmp(rig_at(k.mem, to + sizeof(struct fuse_out_header)), "ELF", 3), 0);
	in = (struct fuse_read_in){.fh = 5, .offset = (uint64_t)st.st_size - 2, .size = 4000};
	offer(&k, FUSE_READ, &in, sizeof(in), to);
	EXPECT_EQ(answer_at(&k, to).len, sizeof(struct fuse_out_header) + 2);
	in.offset = UINT64_MAX; /* is judged by the share */
	offer(&k, FUSE_READ, &in, sizeof(in), to);
	EXPECT(heard(&k, FUSE_READ) != 0);
	in = (struct fuse_read_in){.fh = 5 + FS_FILES_MAX, .size = 4}; /* another's place */
	offer(&k, FUSE_READ, &in, sizeof(in), to);
	EXPECT(heard(&k, FUSE_READ) != 0);
	struct fuse_release_in release = {.fh = 5};
	offer(&k, FUSE_RELEASE, &release, sizeof(release), ANSWER + 2 * ROOM);
	EXPECT_EQ(rig_used(&k.g[REQUESTS], NULL), 2); /* at once: it is told nothing */
	EXPECT_EQ(answer_at(&k, ANSWER + 2 * ROOM).len, sizeof(struct fuse_out_header));
	EXPECT_EQ(answer_at(&k, ANSWER + 2 * ROOM).error, 0);
	EXPECT_EQ(hear(&k, FUSE_RELEASE).head.unique, 0);
	in = (struct fuse_read_in){.fh = 5, .size = 4};
	offer(&k, FUSE_READ, &in, sizeof(in), to);
	EXPECT(heard(&k, FUSE_READ) != 0);
}

/* A message that writes the text; `size` is what it says of its length. */
static void offer_write(struct kit *k, uint64_t handle, uint64_t offset, const char *text,
			uint32_t size)
{
	struct {
		struct fuse_write_in in;
		char text[16];
	} m = {.in = {.fh = handle, .offset = offset, .size = size}};

	(void)snprintf(m.text, sizeof(m.text), "%s", text);
	offer(k, FUSE_WRITE, &m, sizeof(m.in) + strlen(text), ANSWER + ROOM);
}

/* How many bytes were written without the share; or the error, negative; 4711 when it was asked. */
static int written_here(struct kit *k)
{
	struct fuse_write_out out = {0};

	if (heard(k, FUSE_WRITE))
		return 4711;
	struct fuse_out_header head = answer_at(k, ANSWER + ROOM);
	memcpy(&out, rig_at(k->mem, ANSWER + ROOM + sizeof(head)), sizeof(out));
	bool sound = rig_used(&k->g[REQUESTS], NULL) == 1 && head.unique == 7000 + ANSWER + ROOM &&
		     head.len == sizeof(head) + (head.error ? 0 : sizeof(out));
	return !sound ? 4712 : head.error ? head.error : (int)out.size;
}

TEST(a_file_that_came_with_an_open_is_written_without_the_share)
{
	AUTO_KIT struct kit k;
	char text[16] = "";

	EXPECT_EQ(kit_init(&k), 0);
	AUTO_CLOSE int fd = memfd_create("file", MFD_CLOEXEC);
	EXPECT_EQ(open_as(&k, fd), 0);
	offer_write(&k, 5, 2, "content", 7);
	EXPECT_EQ(written_here(&k), 7);
	offer_write(&k, 5, 0, "ab", 2);
	EXPECT_EQ(written_here(&k), 2);
	EXPECT_EQ(pread(fd, text, sizeof(text), 0), 9);
	EXPECT_STR(text, "abcontent");
	/* what says otherwise than it is, is judged by the share */
	offer_write(&k, 5, 0, "no", 3);
	EXPECT_EQ(written_here(&k), 4711);
	offer_write(&k, 5, 0, "no", 1);
	EXPECT_EQ(written_here(&k), 4711);
	offer_write(&k, 5, UINT64_MAX, "no", 2);
	EXPECT_EQ(written_here(&k), 4711);
	offer_write(&k, 5, INT64_MAX, "no", 2);
	EXPECT_EQ(written_here(&k), 4711);
	offer_write(&k, 6, 0, "no", 2);
	EXPECT_EQ(written_here(&k), 4711);
	/* and set-user-id bits are its affair */
	EXPECT_EQ(fchmod(fd, 04755), 0);
	offer_write(&k, 5, 0, "no", 2);
	EXPECT_EQ(written_here(&k), 4711);
	EXPECT_EQ(pread(fd, text, sizeof(text), 0), 9);
	EXPECT_STR(text, "abcontent");
}

TEST(a_write_that_fails_tells_why)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(open_five(&k), 0); /* for reading */
	offer_write(&k, 5, 0, "no", 2);
	EXPECT_EQ(written_here(&k), -EBADF);
	AUTO_CLOSE int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	EXPECT_EQ(open_as(&k, full), 0);
	offer_write(&k, 5, 0, "no", 2);
	EXPECT_EQ(written_here(&k), -ENOSPC);
}

TEST(a_file_comes_with_a_later_answer_too)
{
	AUTO_KIT struct kit k;
	struct fuse_write_out out = {.size = 2};

	EXPECT_EQ(kit_init(&k), 0);
	AUTO_CLOSE int fd = memfd_create("file", MFD_CLOEXEC);
	offer_write(&k, 5, 0, "ab", 2);
	reply(&k, heard(&k, FUSE_WRITE), &out, sizeof(out), fd);
	EXPECT_EQ(comes_back(&k, &k.g[REQUESTS]), 1);
	offer_write(&k, 5, 0, "ab", 2);
	EXPECT_EQ(written_here(&k), 2);
}

/* Offers that so many nodes from `node` on are forgotten. */
static void offer_forgets(struct kit *k, uint64_t node, unsigned n)
{
	struct rig_queue *g = &k->g[URGENT];

	for (unsigned i = 0; i < n; i++) {
		uint16_t head = g->next % RIG_SIZE;
		uint64_t at = MESSAGE + 0x8000 + (uint64_t)head * 256;
		struct {
			struct fuse_in_header head;
			struct fuse_forget_in body;
		} m = {{.len = sizeof(m), .opcode = FUSE_FORGET, .unique = 1, .nodeid = node + i},
		       {.nlookup = 7}};
		memcpy(rig_at(k->mem, at), &m, sizeof(m));
		rig_buffer(g, at, sizeof(m), false, false);
		rig_offer(g, head);
	}
	virtio_kicked(&k->fs.v);
}

/* How many nodes the share is told to forget next, the first of them in *ret. */
static uint32_t forgotten(const struct kit *k, struct fuse_forget_one *ret)
{
	struct heard m = hear(k, FUSE_BATCH_FORGET);
	struct fuse_batch_forget_in in;

	memcpy(&in, m.body, sizeof(in));
	memcpy(ret, m.body + sizeof(in), sizeof(*ret));
	bool right = m.head.unique == 0 &&
		     m.head.len == sizeof(m.head) + sizeof(in) + in.count * sizeof(*ret);
	return right ? in.count : 0;
}

TEST(the_share_is_told_at_once_of_all_that_is_forgotten)
{
	AUTO_KIT struct kit k;
	struct fuse_forget_one first;

	EXPECT_EQ(kit_init(&k), 0);
	offer_forgets(&k, 100, 10);
	EXPECT_EQ(rig_used(&k.g[URGENT], NULL), 10);
	EXPECT_EQ(forgotten(&k, &first), 10);
	EXPECT_EQ(first.nodeid, 100);
	EXPECT_EQ(first.nlookup, 7);
	EXPECT_EQ(forgotten(&k, &first), 0);
}

TEST(nothing_that_is_forgotten_is_lost_while_the_share_has_no_room)
{
	AUTO_KIT struct kit k;
	struct fuse_forget_one first;
	unsigned n = 0, taken = 0;
	char filler[64] = "";

	EXPECT_EQ(kit_init(&k), 0);
	while (send(k.theirs, filler, sizeof(filler), MSG_DONTWAIT) > 0)
		;
	for (; n <= FS_FORGETS_MAX; n += 10) {
		offer_forgets(&k, n, 10);
		taken += rig_used(&k.g[URGENT], NULL);
	}
	EXPECT_EQ(taken, FS_FORGETS_MAX);
	while (recv(k.ours, filler, sizeof(filler), MSG_DONTWAIT) > 0)
		;
	go_on(&k, 30);
	EXPECT_EQ(forgotten(&k, &first), FS_FORGETS_MAX);
	EXPECT_EQ(first.nodeid, 0);
	EXPECT_EQ(forgotten(&k, &first), n - FS_FORGETS_MAX);
	EXPECT_EQ(first.nodeid, FS_FORGETS_MAX);
}

TEST(large_answers_and_small_ones_find_their_way)
{
	AUTO_KIT struct kit k;
	struct fuse_getattr_in in = {0};
	static uint8_t body[60000];
	uint64_t numbers[2];

	EXPECT_EQ(kit_init(&k), 0);
	memset(body, 'b', sizeof(body));
	offer(&k, FUSE_GETATTR, &in, sizeof(in), ANSWER);
	numbers[0] = heard(&k, FUSE_GETATTR);
	reply(&k, numbers[0], body, sizeof(body), -1); /* more than there is room for */
	EXPECT_EQ(comes_back(&k, &k.g[REQUESTS]), 1);
	EXPECT_EQ(answer_at(&k, ANSWER).error, -EIO);
	offer_room(&k, FUSE_READDIR, &in, sizeof(in), ANSWER + ROOM, sizeof(body) + 100);
	numbers[1] = heard(&k, FUSE_READDIR);
	offer(&k, FUSE_GETATTR, &in, sizeof(in), ANSWER);
	numbers[0] = heard(&k, FUSE_GETATTR);
	reply(&k, numbers[0], "small", 5, -1);
	reply(&k, numbers[1], body, sizeof(body), -1);
	go_on(&k, 30);
	EXPECT_EQ(rig_used(&k.g[REQUESTS], NULL), 2);
	EXPECT_EQ(answer_at(&k, ANSWER).len, sizeof(struct fuse_out_header) + 5);
	EXPECT_EQ(answer_at(&k, ANSWER + ROOM).len, sizeof(struct fuse_out_header) + sizeof(body));
	EXPECT_EQ(memcmp(rig_at(k.mem, ANSWER + ROOM + sizeof(struct fuse_out_header)), body,
			 sizeof(body)),
		  0);
}

static int lowest_free(void)
{
	AUTO_CLOSE int fd = dup(STDERR_FILENO);

	return fd;
}

TEST(descriptors_that_nobody_wants_are_closed)
{
	AUTO_KIT struct kit k;
	struct fuse_getattr_in in = {0};

	EXPECT_EQ(kit_init(&k), 0);
	AUTO_CLOSE int fd = memfd_create("file", MFD_CLOEXEC);
	int before = lowest_free();
	reply(&k, 999, "x", 1, fd);
	offer(&k, FUSE_GETATTR, &in, sizeof(in), ANSWER);
	reply(&k, heard(&k, FUSE_GETATTR), "x", 1, fd);
	EXPECT_EQ(comes_back(&k, &k.g[REQUESTS]), 1);
	EXPECT_EQ(lowest_free(), before);
	/* a handle's second file takes the first one's place, one without takes it away */
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(open_five(&k), 0);
	struct fuse_open_in open_in = {0};
	struct fuse_open_out out = {.fh = 5};
	offer(&k, FUSE_OPEN, &open_in, sizeof(open_in), ANSWER);
	reply(&k, heard(&k, FUSE_OPEN), &out, sizeof(out), -1);
	EXPECT_EQ(comes_back(&k, &k.g[REQUESTS]), 1);
	EXPECT_EQ(lowest_free(), before);
}

TEST(of_several_descriptors_in_one_answer_none_stays_open)
{
	AUTO_KIT struct kit k;
	struct fuse_out_header out = {.len = sizeof(out), .unique = 999};

	EXPECT_EQ(kit_init(&k), 0);
	AUTO_CLOSE int fd = memfd_create("file", MFD_CLOEXEC);
	int before = lowest_free();
	EXPECT_EQ(fd_send(k.ours, &out, sizeof(out), (int[]){fd, fd, fd}, 3, 0), sizeof(out));
	go_on(&k, 20);
	EXPECT_EQ(lowest_free(), before);
}

TEST(more_than_the_share_may_be_asked_at_once_waits)
{
	AUTO_KIT struct kit k;
	struct fuse_getattr_in in = {0};
	enum { MORE = 8 };
	unsigned asked = 0;

	EXPECT_EQ(kit_init(&k), 0);
	/* the rig's queue is short: descriptors are used again while the device has them */
	for (unsigned i = 0; i < FS_REQUESTS_MAX + MORE; i++) {
		offer(&k, FUSE_GETATTR, &in, sizeof(in), ANSWER);
		asked += heard(&k, FUSE_GETATTR) != 0;
	}
	EXPECT_EQ(asked, FS_REQUESTS_MAX);
	auto_close(&k.ours);
	go_on(&k, 30);
	EXPECT_EQ(rig_used(&k.g[REQUESTS], NULL), FS_REQUESTS_MAX + MORE);
}
