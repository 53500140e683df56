/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest sends, as it would come from the monitor, to a share that serves a folder of the
 * test's. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/fd.h"
#include "share/share.h"

TEST(files_are_read_written_and_made)
{
	AUTO_KIT struct kit k;
	char text[32] = "";

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	kit_put(&k, "file", "what the host wrote");
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, ROOT, "file"), 0);
	uint64_t node = kit_node(&k);
	struct fuse_open_in open_in = {.flags = O_RDWR};
	EXPECT_EQ(kit_ask(&k, FUSE_OPEN, node, &open_in, sizeof(open_in), NULL, 0), 0);
	uint64_t fh = kit_handle(&k, 0);
	struct fuse_read_in read_in = {.fh = fh, .offset = 5, .size = 8};
	EXPECT_EQ(kit_ask(&k, FUSE_READ, node, &read_in, sizeof(read_in), NULL, 0), 0);
	EXPECT_EQ(k.n, 8);
	EXPECT_EQ(memcmp(k.body, "the host", 8), 0);
	struct fuse_write_in write_in = {.fh = fh, .offset = 9, .size = 5};
	EXPECT_EQ(kit_ask(&k, FUSE_WRITE, node, &write_in, sizeof(write_in), "guest", 5), 0);
	struct fuse_create_in create = {.flags = O_WRONLY | O_CREAT, .mode = S_IFREG | 0640};
	EXPECT_EQ(ASK(&k, FUSE_CREATE, ROOT, create, "made"), 0);
	struct stat st;
	EXPECT_EQ(fstatat(k.dir, "made", &st, 0), 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0640);
	AUTO_CLOSE int fd = openat(k.dir, "file", O_RDONLY | O_CLOEXEC);
	EXPECT(read(fd, text, sizeof(text) - 1) > 0);
	EXPECT_STR(text, "what the guestwrote");
	EXPECT(kit_stop(&k));
}

TEST(names_and_attributes_are_changed)
{
	AUTO_KIT struct kit k;
	struct fuse_rename_in rename_in = {.newdir = ROOT};
	struct fuse_rename2_in exclusive = {.newdir = ROOT, .flags = 1 /* RENAME_NOREPLACE */};
	struct fuse_mkdir_in mkdir_in = {.mode = 0700};
	struct stat st;

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	kit_put(&k, "file", "0123456789");
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, ROOT, "file"), 0);
	uint64_t node = kit_node(&k);
	EXPECT_EQ(ASK(&k, FUSE_RENAME, ROOT, rename_in, "file\0other"), 0);
	kit_put(&k, "taken", "");
	EXPECT_EQ(ASK(&k, FUSE_RENAME2, ROOT, exclusive, "other\0taken"), EEXIST);
	struct fuse_link_in link_in = {.oldnodeid = node};
	EXPECT_EQ(ASK(&k, FUSE_LINK, ROOT, link_in, "hard"), 0);
	EXPECT_EQ(ASK_NAME(&k, FUSE_SYMLINK, ROOT, "soft\0target"), 0);
	EXPECT_EQ(kit_ask(&k, FUSE_READLINK, kit_node(&k), NULL, 0, NULL, 0), 0);
	EXPECT_EQ(memcmp(k.body, "target", 6), 0);
	struct fuse_setattr_in set = {.valid = FATTR_MODE | FATTR_SIZE | FATTR_MTIME,
				      .mode = 04711,
				      .size = 4,
				      .mtime = 1000000000};
	EXPECT_EQ(kit_ask(&k, FUSE_SETATTR, node, &set, sizeof(set), NULL, 0), 0);
	EXPECT_EQ(fstatat(k.dir, "hard", &st, 0), 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 04711);
	EXPECT_EQ(st.st_size, 4);
	EXPECT_EQ(st.st_nlink, 2);
	EXPECT_EQ(st.st_mtim.tv_sec, 1000000000);
	struct fuse_setattr_in own = {.valid = FATTR_UID | FATTR_GID,
				      .uid = getuid(),
				      .gid = getgid()};
	EXPECT_EQ(kit_ask(&k, FUSE_SETATTR, node, &own, sizeof(own), NULL, 0), 0);
	EXPECT_EQ(kit_ask(&k, FUSE_STATFS, ROOT, NULL, 0, NULL, 0), 0);
	EXPECT_EQ(ASK(&k, FUSE_MKDIR, ROOT, mkdir_in, "folder"), 0);
	EXPECT_EQ(ASK_NAME(&k, FUSE_RMDIR, ROOT, "folder"), 0);
	EXPECT_EQ(ASK_NAME(&k, FUSE_UNLINK, ROOT, "hard"), 0);
	EXPECT_EQ(faccessat(k.dir, "hard", F_OK, 0), -1);
	EXPECT(kit_stop(&k));
}

TEST(an_open_file_is_synced_sought_grown_and_closed)
{
	AUTO_KIT struct kit k;
	struct fuse_open_in open_in = {.flags = O_RDWR};
	uint32_t xattr[2] = {1, 0};
	struct fuse_getxattr_in get = {.size = 100};

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	kit_put(&k, "file", "0123456789");
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, ROOT, "file"), 0);
	uint64_t node = kit_node(&k);
	EXPECT_EQ(kit_ask(&k, FUSE_OPEN, node, &open_in, sizeof(open_in), NULL, 0), 0);
	uint64_t fh = kit_handle(&k, 0);
	struct fuse_fallocate_in grow = {.fh = fh, .length = 8192};
	EXPECT_EQ(kit_ask(&k, FUSE_FALLOCATE, node, &grow, sizeof(grow), NULL, 0), 0);
	struct fuse_lseek_in seek = {.fh = fh, .whence = SEEK_HOLE};
	EXPECT_EQ(kit_ask(&k, FUSE_LSEEK, node, &seek, sizeof(seek), NULL, 0), 0);
	struct fuse_fsync_in sync_in = {.fh = fh};
	EXPECT_EQ(kit_ask(&k, FUSE_FSYNC, node, &sync_in, sizeof(sync_in), NULL, 0), 0);
	struct fuse_flush_in flush = {.fh = fh};
	EXPECT_EQ(kit_ask(&k, FUSE_FLUSH, node, &flush, sizeof(flush), NULL, 0), 0);
	/* where the file system has any */
	int r = kit_ask(&k, FUSE_SETXATTR, node, xattr, sizeof(xattr), "user.x\0v", 8);
	EXPECT(r == 0 || r == EOPNOTSUPP);
	if (r == 0) {
		EXPECT_EQ(ASK(&k, FUSE_GETXATTR, node, get, "user.x"), 0);
		EXPECT_EQ(k.body[0], 'v');
		EXPECT_EQ(kit_ask(&k, FUSE_LISTXATTR, node, &get, sizeof(get), NULL, 0), 0);
		EXPECT_EQ(ASK_NAME(&k, FUSE_REMOVEXATTR, node, "user.x"), 0);
	}
	struct fuse_release_in release = {.fh = fh};
	EXPECT_EQ(kit_ask(&k, FUSE_RELEASE, node, &release, sizeof(release), NULL, 0), 0);
	EXPECT(kit_stop(&k));
}

TEST(what_the_guests_user_makes_is_theirs)
{
	AUTO_KIT struct kit k;
	struct {
		struct fuse_in_header in;
		struct fuse_mkdir_in mkdir;
		char name[4];
	} m = {.in = {.len = sizeof(m.in) + sizeof(m.mkdir) + 4,
		      .opcode = FUSE_MKDIR,
		      .unique = 900,
		      .nodeid = ROOT,
		      .uid = 1234,
		      .gid = 4321},
	       .mkdir = {.mode = 0711},
	       .name = "own"};
	struct stat st;

	if (geteuid() != 0) {
		printf("# skipped: needs root\n");
		return;
	}
	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	EXPECT_EQ(fchmod(k.dir, 0777), 0);
	EXPECT_EQ(send(k.wire, &m, m.in.len, 0), m.in.len);
	EXPECT(recv(k.wire, k.body, KIT_BYTES_MAX, 0) > 0);
	EXPECT_EQ(fstatat(k.dir, "own", &st, 0), 0);
	EXPECT_EQ(st.st_uid, 1234);
	EXPECT_EQ(st.st_gid, 4321);
	EXPECT_EQ(st.st_mode, S_IFDIR | 0711);
	/* and then it is root again */
	struct fuse_mkdir_in in = {.mode = 0700};
	EXPECT_EQ(ASK(&k, FUSE_MKDIR, ROOT, in, "roots"), 0);
	EXPECT_EQ(fstatat(k.dir, "roots", &st, 0), 0);
	EXPECT_EQ(st.st_uid, 0);
}

/* How many names but dots the next answer has from in->offset on, which becomes the place behind
 * them; -1: it is none. */
static int list_some(struct kit *k, struct fuse_read_in *in)
{
	int names = 0;

	if (kit_ask(k, FUSE_READDIRPLUS, ROOT, in, sizeof(*in), NULL, 0) != 0)
		return -1;
	for (size_t at = 0; at < k->n;) {
		struct fuse_direntplus e;
		memcpy(&e, k->body + at, sizeof(e));
		in->offset = e.dirent.off;
		names += e.dirent.namelen > 2;
		at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + e.dirent.namelen);
	}
	return names;
}

/* How many there are. */
static int list_from(struct kit *k, struct fuse_read_in in, uint64_t offset)
{
	int names = 0;

	in.offset = offset;
	do
		names += list_some(k, &in);
	while (k->n > 0);
	return names;
}

TEST(folders_are_listed_with_what_is_in_them)
{
	AUTO_KIT struct kit k;
	struct fuse_open_in open_in = {.flags = O_RDONLY};

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	for (int i = 0; i < 100; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "entry-number-%d", i);
		kit_put(&k, name, "x");
	}
	EXPECT_EQ(kit_ask(&k, FUSE_OPENDIR, ROOT, &open_in, sizeof(open_in), NULL, 0), 0);
	struct fuse_read_in in = {.fh = kit_handle(&k, 0), .size = 4096};
	EXPECT_EQ(list_from(&k, in, 0), 100);
	/* in any order */
	int first = list_some(&k, &in);
	uint64_t place = in.offset;
	EXPECT(first > 0 && first < 50);
	int second = list_some(&k, &in);
	EXPECT(second > 0 && second < 50);
	EXPECT_EQ(list_from(&k, in, place), 100 - first);
	EXPECT_EQ(list_from(&k, in, place), 100 - first);
	EXPECT_EQ(list_from(&k, in, in.offset), 100 - first - second);
	in.size = 8; /* which not one finds room in */
	in.offset = place;
	EXPECT_EQ(list_some(&k, &in), 0);
	in.size = 4096;
	EXPECT_EQ(list_from(&k, in, place), 100 - first);
	EXPECT_EQ(unlinkat(k.dir, "entry-number-50", 0), 0);
	EXPECT_EQ(list_from(&k, in, 0), 99);
}

TEST(names_that_climb_or_are_none_are_refused)
{
	AUTO_KIT struct kit k;
	struct fuse_mkdir_in mkdir_in = {.mode = 0755};
	struct fuse_create_in create = {.flags = O_WRONLY, .mode = S_IFREG | 0644};
	struct fuse_rename_in rename_in = {.newdir = ROOT};
	static const struct {
		const char *name;
		size_t n;
	} bad[] = {{"..", 3}, {".", 2}, {"", 1}, {"a/b", 4}, {"../x", 5}, {"/etc", 5}};

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	kit_put(&k, "file", "x");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(kit_ask(&k, FUSE_LOOKUP, ROOT, NULL, 0, bad[i].name, bad[i].n), EINVAL);
		EXPECT_EQ(kit_ask(&k, FUSE_UNLINK, ROOT, NULL, 0, bad[i].name, bad[i].n), EINVAL);
		EXPECT_EQ(kit_ask(&k, FUSE_MKDIR, ROOT, &mkdir_in, sizeof(mkdir_in), bad[i].name,
				  bad[i].n),
			  EINVAL);
		EXPECT_EQ(kit_ask(&k, FUSE_CREATE, ROOT, &create, sizeof(create), bad[i].name,
				  bad[i].n),
			  EINVAL);
		char two[32] = "file";
		memcpy(two + 5, bad[i].name, bad[i].n);
		EXPECT_EQ(kit_ask(&k, FUSE_RENAME, ROOT, &rename_in, sizeof(rename_in), two,
				  5 + bad[i].n),
			  EINVAL);
	}
	EXPECT(kit_stop(&k));
}

TEST(links_lead_nowhere)
{
	AUTO_KIT struct kit k;
	struct fuse_open_in open_in = {.flags = O_RDONLY};
	struct fuse_setattr_in shorten = {.valid = FATTR_SIZE};
	struct fuse_create_in create = {.flags = O_WRONLY | O_TRUNC, .mode = S_IFREG | 0644};
	struct stat st;

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	char target[] = "/tmp/hull-share-target-XXXXXX";
	AUTO_CLOSE int fd = mkstemp(target);
	EXPECT_EQ(write(fd, "secret", 6), 6);
	EXPECT_EQ(symlinkat(target, k.dir, "link"), 0);
	EXPECT_EQ(symlinkat("/", k.dir, "up"), 0);
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, ROOT, "link"), 0);
	uint64_t node = kit_node(&k);
	EXPECT_EQ(kit_ask(&k, FUSE_OPEN, node, &open_in, sizeof(open_in), NULL, 0), EINVAL);
	EXPECT_EQ(kit_ask(&k, FUSE_SETATTR, node, &shorten, sizeof(shorten), NULL, 0), EINVAL);
	EXPECT_EQ(ASK(&k, FUSE_CREATE, ROOT, create, "link"), EINVAL);
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, ROOT, "up"), 0);
	node = kit_node(&k);
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, node, "etc"), ENOTDIR);
	EXPECT_EQ(kit_ask(&k, FUSE_OPENDIR, node, &open_in, sizeof(open_in), NULL, 0), ENOTDIR);
	EXPECT_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_size, 6);
	(void)unlink(target);
}

TEST(devices_are_not_made_and_pipes_not_opened)
{
	AUTO_KIT struct kit k;
	struct fuse_mknod_in device = {.mode = S_IFCHR | 0666, .rdev = 0x103};
	struct fuse_mknod_in disk = {.mode = S_IFBLK | 0666, .rdev = 0x800};
	struct fuse_mknod_in pipe_in = {.mode = S_IFIFO | 0666};
	struct fuse_open_in open_in = {.flags = O_RDONLY};

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	EXPECT_EQ(ASK(&k, FUSE_MKNOD, ROOT, device, "null"), EPERM);
	EXPECT_EQ(ASK(&k, FUSE_MKNOD, ROOT, disk, "sda"), EPERM);
	EXPECT_EQ(ASK(&k, FUSE_MKNOD, ROOT, pipe_in, "pipe"), 0);
	/* would wait for ever */
	EXPECT_EQ(kit_ask(&k, FUSE_OPEN, kit_node(&k), &open_in, sizeof(open_in), NULL, 0), EINVAL);
	EXPECT(kit_stop(&k));
}

TEST(nodes_and_handles_of_nobody_are_refused)
{
	AUTO_KIT struct kit k;
	struct fuse_getattr_in attr = {0};
	struct fuse_open_in open_in = {.flags = O_RDONLY};
	static const uint64_t nobody[] = {0, 2, 77, UINT32_MAX, UINT64_MAX, 0x7f0000000000};

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
		struct fuse_read_in in = {.fh = nobody[i], .size = 100};
		struct fuse_write_in out = {.fh = nobody[i], .size = 1};
		EXPECT_EQ(kit_ask(&k, FUSE_GETATTR, nobody[i], &attr, sizeof(attr), NULL, 0),
			  ESTALE);
		EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, nobody[i], "x"), ESTALE);
		EXPECT_EQ(kit_ask(&k, FUSE_READ, ROOT, &in, sizeof(in), NULL, 0), EBADF);
		EXPECT_EQ(kit_ask(&k, FUSE_READDIR, ROOT, &in, sizeof(in), NULL, 0), EBADF);
		EXPECT_EQ(kit_ask(&k, FUSE_WRITE, ROOT, &out, sizeof(out), "x", 1), EBADF);
	}
	/* a folder's handle is no file's, and a closed one nobody's */
	EXPECT_EQ(kit_ask(&k, FUSE_OPENDIR, ROOT, &open_in, sizeof(open_in), NULL, 0), 0);
	struct fuse_read_in in = {.fh = kit_handle(&k, 0), .size = 100};
	EXPECT_EQ(kit_ask(&k, FUSE_READ, ROOT, &in, sizeof(in), NULL, 0), EBADF);
	struct fuse_release_in release = {.fh = in.fh};
	EXPECT_EQ(kit_ask(&k, FUSE_RELEASEDIR, ROOT, &release, sizeof(release), NULL, 0), 0);
	EXPECT_EQ(kit_ask(&k, FUSE_READDIR, ROOT, &in, sizeof(in), NULL, 0), EBADF);
	EXPECT_EQ(kit_ask(&k, FUSE_RELEASEDIR, ROOT, &release, sizeof(release), NULL, 0), 0);
	EXPECT(kit_stop(&k));
}

TEST(a_file_that_is_opened_comes_with_the_answer_unless_its_writes_wait_for_storage)
{
	AUTO_KIT struct kit k;
	struct fuse_open_out out;
	char text[8] = "";

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	kit_put(&k, "file", "content");
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, ROOT, "file"), 0);
	uint64_t node = kit_node(&k);
	AUTO_CLOSE int fd = kit_open(&k, node, O_RDONLY, &out);
	EXPECT(fd >= 0);
	EXPECT_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	EXPECT_EQ(pread(fd, text, 7, 0), 7);
	EXPECT_STR(text, "content");
	EXPECT(out.open_flags & FOPEN_NOFLUSH);
	AUTO_CLOSE int both = kit_open(&k, node, O_RDWR | O_APPEND, &out);
	EXPECT_EQ(fcntl(both, F_GETFL) & (O_ACCMODE | O_APPEND), O_RDWR);
	EXPECT(!(out.open_flags & FOPEN_NOFLUSH));
	AUTO_CLOSE int written = kit_open(&k, node, O_WRONLY, &out);
	EXPECT_EQ(fcntl(written, F_GETFL) & O_ACCMODE, O_WRONLY);
	struct fuse_create_in create = {.flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0640};
	EXPECT_EQ(ASK(&k, FUSE_CREATE, ROOT, create, "made"), 0);
	EXPECT_EQ(fcntl(k.file, F_GETFL) & O_ACCMODE, O_RDWR);
	EXPECT_EQ(kit_open(&k, node, O_RDWR | O_DSYNC, &out), -1);
	struct fuse_write_in in = {.fh = out.fh, .size = 1, .flags = O_RDWR | O_DSYNC};
	EXPECT_EQ(kit_ask(&k, FUSE_WRITE, node, &in, sizeof(in), "x", 1), 0);
	EXPECT_EQ(k.file, -1);
	EXPECT(kit_stop(&k));
}

TEST(what_the_guest_has_in_memory_is_kept_until_the_file_changes)
{
	AUTO_KIT struct kit k;
	struct fuse_open_out out;

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	kit_put(&k, "file", "old");
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, ROOT, "file"), 0);
	uint64_t node = kit_node(&k);
	for (int i = 0; i < 2; i++) { /* so new that its times would not tell of a change */
		AUTO_CLOSE int fd = kit_open(&k, node, O_RDONLY, &out);
		EXPECT(fd >= 0);
		EXPECT(!(out.open_flags & FOPEN_KEEP_CACHE));
	}
	(void)usleep(3100 * 1000);
	for (int i = 0; i < 2; i++) {
		AUTO_CLOSE int fd = kit_open(&k, node, O_RDONLY, &out);
		EXPECT(fd >= 0);
		EXPECT_EQ(!!(out.open_flags & FOPEN_KEEP_CACHE), i);
	}
	kit_put(&k, "file", "new");
	AUTO_CLOSE int fd = kit_open(&k, node, O_RDONLY, &out);
	EXPECT(fd >= 0);
	EXPECT(!(out.open_flags & FOPEN_KEEP_CACHE));
	EXPECT(kit_stop(&k));
}

/* --- bits that go when others write --- */

static uint32_t told_flags(const struct kit *k)
{
	struct fuse_init_out out = {0};

	memcpy(&out, k->body, k->n < sizeof(out) ? k->n : sizeof(out));
	return out.flags;
}

static mode_t mode_of(const struct kit *k, const char *name)
{
	struct stat st = {0};

	(void)fstatat(k->dir, name, &st, 0);
	return st.st_mode & 07777;
}

TEST(a_guest_that_leaves_set_user_id_to_the_share_is_told_that_it_may)
{
	AUTO_KIT struct kit k;
	AUTO_KIT struct kit other;

	EXPECT_EQ(kit_start(&k, 0xffffff | FUSE_HANDLE_KILLPRIV_V2), 0);
	EXPECT_EQ(told_flags(&k) & FUSE_HANDLE_KILLPRIV_V2, FUSE_HANDLE_KILLPRIV_V2);
	EXPECT_EQ(kit_start(&other, 0xffffff), 0);
	EXPECT_EQ(told_flags(&other) & FUSE_HANDLE_KILLPRIV_V2, 0);
}

TEST(set_user_id_goes_when_a_user_writes_or_cuts_and_stays_when_root_does)
{
	AUTO_KIT struct kit k;
	struct fuse_open_in open_in = {.flags = O_WRONLY};
	struct fuse_setattr_in cut = {.valid = FATTR_SIZE | FATTR_KILL_SUIDGID, .size = 1};

	EXPECT_EQ(kit_start(&k, 0xffffff | FUSE_HANDLE_KILLPRIV_V2), 0);
	kit_put(&k, "program", "0123456789");
	EXPECT_EQ(fchmodat(k.dir, "program", 06755, 0), 0);
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, ROOT, "program"), 0);
	uint64_t node = kit_node(&k);
	EXPECT_EQ(kit_ask(&k, FUSE_OPEN, node, &open_in, sizeof(open_in), NULL, 0), 0);
	struct fuse_write_in write_in = {.fh = kit_handle(&k, 0), .size = 1};
	if (geteuid() == 0) { /* who may not keep them loses them by the host's own rules */
		EXPECT_EQ(kit_ask(&k, FUSE_WRITE, node, &write_in, sizeof(write_in), "x", 1), 0);
		EXPECT_EQ(mode_of(&k, "program"), 06755);
	}
	write_in.write_flags = FUSE_WRITE_KILL_SUIDGID;
	EXPECT_EQ(kit_ask(&k, FUSE_WRITE, node, &write_in, sizeof(write_in), "x", 1), 0);
	EXPECT_EQ(mode_of(&k, "program"), 0755);

	EXPECT_EQ(fchmodat(k.dir, "program", 06644, 0), 0); /* no group runs it: a mark for locks */
	EXPECT_EQ(kit_ask(&k, FUSE_SETATTR, node, &cut, sizeof(cut), NULL, 0), 0);
	EXPECT_EQ(mode_of(&k, "program"), 02644);

	EXPECT_EQ(fchmodat(k.dir, "program", 04755, 0), 0);
	open_in = (struct fuse_open_in){O_WRONLY | O_TRUNC, FUSE_OPEN_KILL_SUIDGID};
	EXPECT_EQ(kit_ask(&k, FUSE_OPEN, node, &open_in, sizeof(open_in), NULL, 0), 0);
	EXPECT_EQ(mode_of(&k, "program"), 0755);
}

TEST(forgetting_more_than_was_known_forgets_no_more)
{
	AUTO_KIT struct kit k;
	struct fuse_forget_in all = {.nlookup = UINT64_MAX};
	struct fuse_getattr_in attr = {0};
	struct {
		struct fuse_batch_forget_in head;
		struct fuse_forget_one one[3];
	} batch = {{.count = 3}, {{ROOT, UINT64_MAX}, {12345, 1}, {2, UINT64_MAX}}};

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	kit_put(&k, "file", "x");
	for (int i = 0; i < 1000; i++)
		kit_tell(&k, FUSE_FORGET, ROOT, &all, sizeof(all));
	EXPECT_EQ(kit_ask(&k, FUSE_GETATTR, ROOT, &attr, sizeof(attr), NULL, 0), 0);
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, ROOT, "file"), 0);
	uint64_t node = kit_node(&k);
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, ROOT, "file"), 0);
	EXPECT_EQ(kit_node(&k), node);
	struct fuse_forget_in once = {.nlookup = 1};
	kit_tell(&k, FUSE_FORGET, node, &once, sizeof(once));
	EXPECT_EQ(kit_ask(&k, FUSE_GETATTR, node, &attr, sizeof(attr), NULL, 0), 0);
	kit_tell(&k, FUSE_FORGET, node, &all, sizeof(all));
	kit_tell(&k, FUSE_FORGET, node, &all, sizeof(all));
	int code = 0; /* another thread may answer this before those are through */
	for (int i = 0; i < 1000 && code == 0; i++)
		code = kit_ask(&k, FUSE_GETATTR, node, &attr, sizeof(attr), NULL, 0);
	EXPECT_EQ(code, ESTALE);
	kit_tell(&k, FUSE_BATCH_FORGET, 0, &batch, sizeof(batch));
	EXPECT_EQ(kit_ask(&k, FUSE_GETATTR, ROOT, &attr, sizeof(attr), NULL, 0), 0);
	EXPECT(kit_stop(&k));
}

TEST(messages_that_lie_about_their_length_never_reach_libfuse)
{
	AUTO_KIT struct kit k;
	struct fuse_write_in more = {.size = UINT32_MAX};
	uint32_t xattr[2] = {60000, 0};
	struct fuse_batch_forget_in many = {.count = UINT32_MAX};
	struct fuse_getattr_in attr = {0};

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	EXPECT_EQ(kit_ask(&k, FUSE_WRITE, ROOT, &more, sizeof(more), "x", 1), EINVAL);
	EXPECT_EQ(kit_ask(&k, FUSE_SETXATTR, ROOT, xattr, sizeof(xattr), "user.x\0v", 8), EINVAL);
	EXPECT_EQ(kit_ask(&k, FUSE_LOOKUP, ROOT, NULL, 0, "endless", 7), EINVAL);
	EXPECT_EQ(kit_ask(&k, FUSE_LOOKUP, ROOT, NULL, 0, NULL, 0), EINVAL);
	EXPECT_EQ(kit_ask(&k, FUSE_SYMLINK, ROOT, NULL, 0, "only-one", 9), EINVAL);
	EXPECT_EQ(kit_ask(&k, FUSE_READ, ROOT, "short", 5, NULL, 0), EINVAL);
	kit_tell(&k, FUSE_BATCH_FORGET, 0, &many, sizeof(many));
	EXPECT_EQ(kit_ask(&k, 4711, ROOT, NULL, 0, NULL, 0), ENOSYS);
	EXPECT_EQ(kit_ask(&k, FUSE_IOCTL, ROOT, NULL, 0, NULL, 0), ENOSYS);
	/* a header that lies */
	struct fuse_in_header in = {.len = 4000,
				    .opcode = FUSE_READLINK,
				    .unique = 99,
				    .nodeid = ROOT};
	EXPECT_EQ(send(k.wire, &in, sizeof(in), 0), sizeof(in));
	EXPECT(recv(k.wire, k.body, KIT_BYTES_MAX, 0) > 0);
	EXPECT_EQ(send(k.wire, &in, 7, 0), 7); /* too short to have a number to answer to */
	EXPECT_EQ(kit_ask(&k, FUSE_GETATTR, ROOT, &attr, sizeof(attr), NULL, 0), 0);
	EXPECT(kit_stop(&k));
}

/* Whether the share has answered all it is going to, beside the next message. */
static bool is_silent(struct kit *k)
{
	struct fuse_getattr_in in = {0};
	uint8_t more;

	return kit_ask(k, FUSE_GETATTR, ROOT, &in, sizeof(in), NULL, 0) == 0 &&
	       recv(k->wire, &more, 1, MSG_DONTWAIT) < 0;
}

TEST(what_is_numbered_0_is_carried_out_without_an_answer)
{
	AUTO_KIT struct kit k;
	struct fuse_open_in open_in = {.flags = O_RDONLY};
	struct fuse_open_out opened;
	int code = 0;

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	kit_put(&k, "file", "content");
	EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, ROOT, "file"), 0);
	uint64_t node = kit_node(&k);
	AUTO_CLOSE int fd = kit_open(&k, node, O_RDONLY, &opened);
	EXPECT(fd >= 0);
	struct fuse_release_in release = {.fh = opened.fh};
	struct fuse_read_in read_in = {.fh = opened.fh, .size = 4};
	kit_tell(&k, FUSE_RELEASE, node, &release, sizeof(release));
	/* another thread may be served first */
	for (int tries = 0; code == 0 && tries < 1000; tries++)
		code = ASK(&k, FUSE_READ, node, read_in, "");
	EXPECT_EQ(code, EBADF);
	/* nor is what cannot be carried out, or is no message */
	kit_tell(&k, FUSE_RELEASE, node, &release, sizeof(release));
	kit_tell(&k, FUSE_GETATTR, ROOT, "short", 5);
	kit_tell(&k, FUSE_OPEN, node, &open_in, sizeof(open_in));
	EXPECT(is_silent(&k));
	EXPECT(kit_stop(&k));
}

TEST(messages_are_served_side_by_side)
{
	AUTO_KIT struct kit k;
	enum { N = 200 };
	static uint64_t answered[N];
	struct {
		struct fuse_in_header head;
		char name[16];
	} m = {.head = {.opcode = FUSE_LOOKUP, .nodeid = ROOT}};
	struct fuse_forget_in once = {.nlookup = 1};

	EXPECT_EQ(kit_start(&k, 0xffffff), 0);
	for (int i = 0; i < 16; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "file-%d", i);
		kit_put(&k, name, "x");
	}
	for (unsigned i = 0; i < N; i++) {
		int n = snprintf(m.name, sizeof(m.name), "file-%u", i % 16);
		m.head.len = (uint32_t)(sizeof(m.head) + (size_t)n + 1);
		m.head.unique = 10000 + i;
		EXPECT_EQ(send(k.wire, &m, m.head.len, 0), m.head.len);
	}
	for (int i = 0; i < N; i++) {
		struct fuse_out_header head;
		EXPECT(recv(k.wire, k.body, KIT_BYTES_MAX, 0) > (ssize_t)sizeof(head));
		memcpy(&head, k.body, sizeof(head));
		EXPECT(head.error == 0 && head.unique >= 10000 && head.unique < 10000 + N);
		struct fuse_entry_out e;
		memcpy(&e, k.body + sizeof(head), sizeof(e));
		answered[head.unique - 10000] = e.nodeid;
		kit_tell(&k, FUSE_FORGET, e.nodeid, &once, sizeof(once));
	}
	for (int i = 0; i < N; i++)
		EXPECT(answered[i] != 0);
	EXPECT(kit_stop(&k));
}

/* What a confined child gets for a call; 4711 when it ended otherwise. */
static int result_of(long nr)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct err err = ERR_INIT;
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || share_confine(&err) < 0)
			_exit(255);
		long r = syscall(nr, 0, 0, 0, 0, 0, 0);
		int code = r < 0 ? errno : 0;
		for (;;) /* not _exit(), to which sanitizers add calls of their own */
			(void)syscall(SYS_exit_group, code);
	}
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 4711;
}

TEST(a_share_starts_connects_mounts_and_traces_nothing)
{
	static const long calls[] = {SYS_execve, SYS_clone,   SYS_fork,   SYS_socket, SYS_connect,
				     SYS_mount,  SYS_ptrace,  SYS_setns,  SYS_kill,   SYS_chroot,
				     SYS_bpf,    SYS_unshare, SYS_setuid, SYS_ioctl};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		EXPECT_EQ(result_of(calls[i]), EPERM);
}
