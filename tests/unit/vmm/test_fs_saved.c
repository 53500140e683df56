/* SPDX-License-Identifier: Apache-2.0 */
/* A file system device that stands still, is written down and brought back; the test is its share.
 */
#include "../test.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "proto/share.h"
#include "vmm/fs.h"
#include "vmm/state.h"

enum { URGENT, REQUESTS, MESSAGE = RIG_DATA, ANSWER = RIG_DATA + 0x10000, PATIENCE_MS = 10000 };

struct kit {
	struct gmem *mem;
	struct loop *loop;
	struct fs fs;
	struct rig_queue g[2];
	int ours, theirs;
	int over; /* eventfd: ends `thread` */
	pthread_t thread; /* runs the loop */
	bool runs;
};

static int kicked(void *ctx, int fd, uint32_t events, struct err *err)
{
	(void)fd;
	(void)events;
	(void)err;
	virtio_kicked(ctx);
	return 0;
}

static int stop(void *ctx, int fd, uint32_t events, struct err *err)
{
	(void)fd;
	(void)events;
	(void)err;
	loop_stop(ctx);
	return 0;
}

static void *run(void *ctx)
{
	struct err err = ERR_INIT;

	(void)!loop_run(ctx, &err);
	return NULL;
}

static int make_device(struct kit *k, struct err *err)
{
	struct watch *watch;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	k->ours = pair[0];
	k->theirs = pair[1];
	int r = loop_new(&k->loop, err);
	if (r == 0)
		r = fs_init(&k->fs, k->theirs, "tag", k->loop, k->mem, err);
	if (r == 0)
		r = loop_watch(k->loop, k->fs.v.kick, EPOLLIN | EPOLLET, kicked, &k->fs.v, &watch,
			       err);
	return r;
}

static int kit_init(struct kit *k)
{
	struct timeval patience = {.tv_sec = 10};
	struct err err = ERR_INIT;
	struct watch *watch;

	*k = (struct kit){.mem = rig_memory(), .over = eventfd(0, EFD_CLOEXEC)};
	int r = make_device(k, &err);
	if (r == 0)
		r = loop_watch(k->loop, k->over, EPOLLIN, stop, k->loop, &watch, &err);
	for (unsigned i = 0; i < 2; i++)
		k->g[i] = rig_queue(k->mem, i);
	rig_start(&k->fs.v, 0);
	(void)setsockopt(k->ours, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	k->runs = r == 0 && pthread_create(&k->thread, NULL, run, k->loop) == 0;
	return k->runs ? 0 : -1;
}

static void kit_done(struct kit *k)
{
	uint64_t one = 1;

	if (k->runs) {
		(void)!write(k->over, &one, sizeof(one));
		(void)pthread_join(k->thread, NULL);
	}
	fs_done(&k->fs);
	loop_free(k->loop);
	auto_close(&k->ours);
	auto_close(&k->theirs);
	auto_close(&k->over);
	gmem_free(k->mem);
}

#define AUTO_KIT AUTO(kit_done)

/* Offers a message of that opcode. */
static void offer(struct kit *k, unsigned queue, uint32_t opcode, uint64_t node)
{
	struct rig_queue *g = &k->g[queue];
	uint16_t head = g->next % RIG_SIZE;
	uint64_t at = MESSAGE + 0x8000 * queue + (uint64_t)head * 256;
	struct {
		struct fuse_in_header head;
		struct fuse_forget_in forget;
	} m = {{.len = sizeof(m), .opcode = opcode, .unique = 7, .nodeid = node}, {1}};

	memcpy(rig_at(k->mem, at), &m, sizeof(m));
	rig_buffer(g, at, sizeof(m), false, queue == REQUESTS);
	if (queue == REQUESTS)
		rig_buffer(g, ANSWER, 4096, true, false);
	rig_offer(g, head);
	virtio_kick(&k->fs.v);
}

struct heard {
	struct fuse_in_header head;
	uint8_t body[256];
	int file;
};

/* The next message that the share gets, soon; of length 0 for none. The file is the caller's. */
static struct heard hear(const struct kit *k)
{
	struct heard m = {.file = -1};
	size_t n_files = 1;

	ssize_t n = fd_receive(k->ours, &m, sizeof(m) - sizeof(m.file), &m.file, &n_files);
	if (n < (ssize_t)sizeof(m.head) || m.head.len != (size_t)n)
		m.head.len = 0;
	return m;
}

static bool hears_nothing(const struct kit *k)
{
	char byte;

	(void)usleep(50 * 1000);
	return recv(k->ours, &byte, 1, MSG_DONTWAIT) < 0;
}

static void reply(int wire, uint64_t number, int error, const void *body, size_t n)
{
	struct fuse_out_header out = {.len = (uint32_t)(sizeof(out) + n),
				      .error = -error,
				      .unique = number};
	struct iovec iov[2] = {{&out, sizeof(out)}, {(void *)(uintptr_t)body, n}};

	(void)!fd_sendv(wire, iov, 2, NULL, 0, 0);
}

static struct fuse_out_header answer(const struct kit *k)
{
	struct fuse_out_header out;

	memcpy(&out, rig_at(k->mem, ANSWER), sizeof(out));
	return out;
}

/* --- standing still --- */

/* How many chains came back, once one has. */
static unsigned comes_back(struct kit *k, unsigned queue)
{
	const uint16_t *index = &k->g[queue].used[1];

	for (int i = 0; i < 500 && __atomic_load_n(index, __ATOMIC_ACQUIRE) == k->g[queue].seen;
	     i++)
		(void)usleep(10 * 1000);
	return rig_used(&k->g[queue], NULL);
}

struct late {
	const struct kit *k;
	uint64_t number;
};

static void *answer_late(void *ctx)
{
	const struct late *l = ctx;

	(void)usleep(200 * 1000);
	reply(l->k->ours, l->number, 0, "late", 4);
	return NULL;
}

TEST(a_machine_stands_still_once_the_share_has_answered)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;
	pthread_t thread;

	EXPECT_EQ(kit_init(&k), 0);
	offer(&k, REQUESTS, FUSE_GETATTR, 1);
	struct late l = {&k, hear(&k).head.unique};
	EXPECT(l.number != 0);
	EXPECT_EQ(pthread_create(&thread, NULL, answer_late, &l), 0);
	int r = virtio_hold(&k.fs.v, PATIENCE_MS, &err);
	unsigned n = rig_used(&k.g[REQUESTS], NULL);
	(void)pthread_join(thread, NULL);
	EXPECT_EQ(r, 0);
	EXPECT_EQ(n, 1);
	EXPECT_EQ(answer(&k).len, sizeof(struct fuse_out_header) + 4);
	/* nothing new is asked until it goes on */
	offer(&k, REQUESTS, FUSE_GETATTR, 1);
	EXPECT(hears_nothing(&k));
	virtio_release(&k.fs.v);
	EXPECT_EQ(hear(&k).head.opcode, FUSE_GETATTR);
}

TEST(a_share_that_does_not_answer_is_waited_for_only_so_long)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	offer(&k, REQUESTS, FUSE_GETATTR, 1);
	uint64_t number = hear(&k).head.unique;
	EXPECT_EQ(virtio_hold(&k.fs.v, 1, &err), -ETIMEDOUT);
	virtio_release(&k.fs.v);
	reply(k.ours, number, 0, "late", 4);
	EXPECT_EQ(comes_back(&k, REQUESTS), 1);
}

TEST(a_share_that_goes_is_not_waited_for_either)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	offer(&k, REQUESTS, FUSE_GETATTR, 1);
	EXPECT(hear(&k).head.unique != 0);
	auto_close(&k.ours);
	EXPECT_EQ(virtio_hold(&k.fs.v, PATIENCE_MS, &err), 0);
	EXPECT_EQ(rig_used(&k.g[REQUESTS], NULL), 1); /* by now */
	EXPECT_EQ(answer(&k).error, -ENOTCONN);
	AUTO_CLOSE int file = memfd_create("state", MFD_CLOEXEC);
	EXPECT_EQ(fs_save(&k.fs, file, &err), -ENOTCONN);
	EXPECT_STR(err.msg, "hull-share is gone");
}

TEST(what_only_the_monitor_says_is_never_the_guests)
{
	AUTO_KIT struct kit k;
	static const uint32_t opcodes[] = {SHARE_OPCODES, SHARE_SAVE, SHARE_STATE, UINT32_MAX};

	EXPECT_EQ(kit_init(&k), 0);
	for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
		offer(&k, REQUESTS, opcodes[i], 1);
		EXPECT_EQ(comes_back(&k, REQUESTS), 1);
		EXPECT(hears_nothing(&k));
		EXPECT_EQ(answer(&k).error, -ENOSYS);
	}
}

/* --- writing --- */

struct saver {
	struct kit *k;
	int file, answer;
	struct err err;
};

static void *save(void *ctx)
{
	struct saver *s = ctx;

	s->answer = fs_save(&s->k->fs, s->file, &s->err);
	return NULL;
}

TEST(the_share_is_asked_after_all_that_was_said_to_it)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int file = memfd_create("state", MFD_CLOEXEC);
	struct saver s = {.k = &k, .file = file, .err = ERR_INIT};
	struct share_save_in in;
	struct share_state_out out = {.checksum = 0xfeedbeef};
	struct stat a, b;
	pthread_t thread;

	EXPECT_EQ(kit_init(&k), 0);
	offer(&k, REQUESTS, FUSE_RELEASE, 1);
	EXPECT_EQ(hear(&k).head.opcode, FUSE_RELEASE);
	EXPECT_EQ(virtio_hold(&k.fs.v, PATIENCE_MS, &s.err), 0);
	k.fs.n_forgotten = 1; /* as when the socket was full */
	k.fs.forgotten[0] = (struct fs_forgotten){5, 2};
	EXPECT_EQ(pthread_create(&thread, NULL, save, &s), 0);
	EXPECT_EQ(hear(&k).head.opcode, FUSE_BATCH_FORGET);
	struct heard m = hear(&k);
	reply(k.ours, 2, 0, "asked before a reset", 20);
	reply(k.ours, m.head.unique, 0, &out, sizeof(out));
	(void)pthread_join(thread, NULL);
	EXPECT_EQ(m.head.opcode, SHARE_SAVE);
	EXPECT_EQ(m.head.len, sizeof(m.head) + sizeof(in));
	memcpy(&in, m.body, sizeof(in));
	EXPECT_EQ(in.sent, 2);
	EXPECT(fstat(file, &a) == 0 && fstat(m.file, &b) == 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	auto_close(&m.file);
	EXPECT_EQ(s.answer, 0);
	EXPECT_EQ(k.fs.written, 0xfeedbeef);
	EXPECT(hears_nothing(&k));
}

/* What the device says when the share answers so; n 0: not at all. */
static int save_answered(struct kit *k, int error, const void *body, size_t n, struct err *err)
{
	AUTO_CLOSE int file = memfd_create("state", MFD_CLOEXEC);
	struct saver s = {.k = k, .file = file, .err = ERR_INIT};
	pthread_t thread;

	if (virtio_hold(&k->fs.v, PATIENCE_MS, err) < 0 ||
	    pthread_create(&thread, NULL, save, &s) != 0)
		return 4711;
	struct heard m = hear(k);
	auto_close(&m.file);
	if (n > 0)
		reply(k->ours, m.head.unique, error, body, n);
	(void)pthread_join(thread, NULL);
	*err = s.err;
	return s.answer;
}

TEST(why_the_share_writes_nothing_is_told_in_a_line)
{
	static char long_text[SHARE_WHY_MAX];
	static char too_long[SHARE_WHY_MAX + 2];
	struct timeval short_patience = {.tv_usec = 300 * 1000};
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(save_answered(&k, EBUSY, "file 'a\nb' is open", 18, &err), -EBUSY);
	EXPECT_STR(err.msg, "hull-share: file 'a?b' is open");
	memset(long_text, 'x', sizeof(long_text));
	EXPECT_EQ(save_answered(&k, 100000, long_text, sizeof(long_text), &err), -EIO);
	EXPECT(strlen(err.msg) < sizeof(err.msg));
	EXPECT_EQ(save_answered(&k, 0, "xy", 2, &err), -EPROTO);
	(void)setsockopt(k.theirs, SOL_SOCKET, SO_RCVTIMEO, &short_patience,
			 sizeof(short_patience));
	memset(too_long, 'x', sizeof(too_long));
	EXPECT_EQ(save_answered(&k, EBUSY, too_long, sizeof(too_long), &err), -ETIMEDOUT);
	EXPECT_EQ(save_answered(&k, 0, NULL, 0, &err), -ETIMEDOUT);
	EXPECT_STR(err.msg, "hull-share does not answer");
}

/* --- reading --- */

struct sharer {
	int wire;
	int error;
	const void *body;
	size_t n;
	uint32_t asked; /* the opcode */
};

static void *tell_state(void *ctx)
{
	struct sharer *s = ctx;
	struct fuse_in_header head = {0};

	(void)!recv(s->wire, &head, sizeof(head), 0);
	s->asked = head.opcode;
	reply(s->wire, 99, 0, "not asked", 9);
	reply(s->wire, head.unique, s->error, s->body, s->n);
	return NULL;
}

/* Loads a new device from a state that holds `written`, with a share that answers so. */
static int load(const struct buf *state, struct sharer *s, struct err *err)
{
	struct kit k = {.mem = rig_memory(), .over = -1};
	struct state_reader from = {.at = (const uint8_t *)state->data, .left = state->len};
	pthread_t thread;

	int r = make_device(&k, err);
	s->wire = k.ours;
	if (r == 0 && pthread_create(&thread, NULL, tell_state, s) == 0) {
		r = virtio_load(&k.fs.v, &from, err);
		(void)pthread_join(thread, NULL);
	}
	kit_done(&k);
	return r;
}

TEST(a_device_takes_the_share_of_its_own_state_and_no_other)
{
	static const uint32_t sums[] = {0x12345678, 0x12345679};
	static const char none[] = "it was not made from a state";
	struct sharer same = {.body = &sums[0], .n = sizeof(sums[0])};
	struct sharer other = {.body = &sums[1], .n = sizeof(sums[1])};
	struct sharer fresh = {.error = ENOENT, .body = none, .n = strlen(none)};
	AUTO_BUF struct buf state = BUF_INIT;
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(virtio_hold(&k.fs.v, PATIENCE_MS, &err), 0);
	k.fs.written = sums[0];
	EXPECT_EQ(virtio_save(&k.fs.v, &state, &err), 0);
	EXPECT_EQ(load(&state, &same, &err), 0);
	EXPECT_EQ(same.asked, SHARE_STATE);
	EXPECT_EQ(load(&state, &other, &err), -EINVAL);
	EXPECT_STR(err.msg, "hull-share was made from the state of another one");
	err = ERR_INIT;
	EXPECT_EQ(load(&state, &fresh, &err), -ENOENT);
	EXPECT_STR(err.msg, "hull-share: it was not made from a state");
}

TEST(a_device_without_a_share_does_not_come_back)
{
	AUTO_BUF struct buf state = BUF_INIT;
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(virtio_save(&k.fs.v, &state, &err), 0);
	struct kit other = {.mem = rig_memory(), .over = -1};
	EXPECT_EQ(make_device(&other, &err), 0);
	auto_close(&other.ours);
	struct state_reader from = {.at = (const uint8_t *)state.data, .left = state.len};
	int r = virtio_load(&other.fs.v, &from, &err);
	kit_done(&other);
	EXPECT_EQ(r, -ENOTCONN);
	EXPECT_STR(err.msg, "hull-share is gone");
}
