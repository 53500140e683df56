/* SPDX-License-Identifier: Apache-2.0 */
/* The program as machines start it, in its box of binds: what it writes down there leads it back.
 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "machine/share.h"
#include "machine/trace.h"
#include "proto/plan.h"
#include "proto/share.h"

/* Two shared folders, "own" and "other", of which the share gets binds at `at`. */
struct box {
	char top[32];
	struct strv shares;
	struct plan plan;
	struct share share;
	struct kit k; /* speaks to it */
};

static int box_init(struct box *b, struct err *err)
{
	static uint8_t body[KIT_BYTES_MAX];
	char path[64];

	*b = (struct box){.top = "/tmp/hull-boxed-XXXXXX",
			  .share = {.pidfd = -1, .connection = -1},
			  .k = {.body = body}};
	if (!mkdtemp(b->top))
		return err_sys(err, "make a folder");
	static const char *const names[] = {"own", "other", "at"};
	int r = 0;
	for (size_t i = 0; i < 3 && r == 0; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", b->top, names[i]);
		if (mkdir(path, 0755) < 0)
			return err_sys(err, "make a folder");
		if (i == 2)
			break;
		r = strv_add(&b->shares, path, err);
		if (!list_add(&b->plan.mounts, &plan_mount_record))
			return err_set(err, ENOMEM, "out of memory");
	}
	return r;
}

static void box_stop(struct box *b)
{
	struct err ignored = ERR_INIT;

	auto_close(&b->share.connection);
	auto_close(&b->share.pidfd);
	if (b->share.pid > 0)
		(void)!pid_reap(b->share.pid, &ignored);
	b->share.pid = 0;
}

static void box_done(struct box *b)
{
	struct err ignored = ERR_INIT;

	box_stop(b);
	strv_done(&b->shares);
	record_done(&plan_record, &b->plan);
	AUTO_CLOSE int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)!path_remove_all(tmp, b->top + strlen("/tmp/"), &ignored);
}

static int box_start(struct box *b, int state, struct err *err)
{
	char at[64];

	(void)snprintf(at, sizeof(at), "%s/at", b->top);
	int r = share_start(&(struct share_spec){.shares = &b->shares,
						 .mounts = &b->plan.mounts,
						 .at = at,
						 .run_fd = -1,
						 .own = true,
						 .state = state},
			    &b->share, err);
	b->k.wire = b->share.connection;
	b->k.sent = 0;
	return r;
}

static int put(const struct box *b, const char *name, const char *text)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/%s", b->top, name);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

static uint64_t look_up(struct kit *k, uint64_t parent, const char *name)
{
	return kit_ask(k, FUSE_LOOKUP, parent, NULL, 0, name, strlen(name) + 1) == 0 ? kit_node(k)
										     : 0;
}

static uint64_t open_file(struct kit *k, uint64_t node)
{
	struct fuse_open_in in = {.flags = O_RDWR};

	return kit_ask(k, FUSE_OPEN, node, &in, sizeof(in), NULL, 0) == 0 ? kit_handle(k, 0) : 0;
}

static int save(const struct box *b, int file)
{
	struct {
		struct fuse_in_header head;
		struct share_save_in in;
	} m = {{.len = sizeof(m), .opcode = SHARE_SAVE, .unique = 1}, {b->k.sent}};
	struct fuse_out_header out = {0};

	if (fd_send(b->k.wire, &m, sizeof(m), &file, 1, 0) != sizeof(m) ||
	    recv(b->k.wire, &out, sizeof(out), 0) < (ssize_t)sizeof(out))
		return -1;
	return out.error;
}

static bool reads(struct kit *k, uint64_t fh, const char *text)
{
	struct fuse_read_in in = {.fh = fh, .size = 100};

	return kit_ask(k, FUSE_READ, ROOT, &in, sizeof(in), NULL, 0) == 0 && k->n == strlen(text) &&
	       memcmp(k->body, text, k->n) == 0;
}

TEST(what_is_written_in_one_box_is_found_in_the_next)
{
	struct fuse_init_in init = {.major = FUSE_KERNEL_VERSION, .minor = 38, .flags = 0xffffff};
	AUTO(box_done) struct box b = {.share = {.pidfd = -1, .connection = -1}};
	AUTO_CLOSE int state = memfd_create("state", MFD_CLOEXEC);
	struct err err = ERR_INIT;

	if (geteuid() != 0) {
		printf("# skipped: needs root\n");
		return;
	}
	EXPECT_EQ(box_init(&b, &err), 0);
	EXPECT_EQ(put(&b, "own/file", "one"), 0);
	EXPECT_EQ(put(&b, "other/file", "two"), 0);
	EXPECT_EQ(box_start(&b, -1, &err), 0);
	EXPECT_EQ(kit_ask(&b.k, FUSE_INIT, 0, &init, sizeof(init), NULL, 0), 0);
	uint64_t first = look_up(&b.k, look_up(&b.k, ROOT, "0"), "file");
	uint64_t second = look_up(&b.k, look_up(&b.k, ROOT, "1"), "file");
	uint64_t one = open_file(&b.k, first);
	uint64_t two = open_file(&b.k, second);
	EXPECT(one != 0 && two != 0);
	EXPECT_EQ(save(&b, state), 0);
	box_stop(&b);

	EXPECT_EQ(box_start(&b, state, &err), 0);
	EXPECT_EQ(kit_ask(&b.k, SHARE_STATE, 0, NULL, 0, NULL, 0), 0);
	EXPECT(reads(&b.k, one, "one"));
	EXPECT(reads(&b.k, two, "two"));
	EXPECT_EQ(look_up(&b.k, look_up(&b.k, ROOT, "1"), "file"), second);
}
