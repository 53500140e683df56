/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest knows and has open, written down by one share and brought back by another. */
#include "../test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/state.h"
#include "proto/share.h"

enum { ALL = 0xffffff };

static int state_file(void)
{
	return memfd_create("state", MFD_CLOEXEC);
}

/* Asks for the state with these files, `sent` messages after the beginning. 0, an errno, or 4711.
 */
static int save_as(struct kit *k, uint64_t sent, const int *files, size_t n_files)
{
	struct {
		struct fuse_in_header head;
		struct share_save_in in;
	} m = {{.len = sizeof(m), .opcode = SHARE_SAVE, .unique = ++k->unique}, {sent}};
	uint8_t bytes[1024];

	if (fd_send(k->wire, &m, sizeof(m), files, n_files, 0) != sizeof(m))
		return 4711;
	k->sent++;
	ssize_t n = recv(k->wire, bytes, sizeof(bytes), 0);
	if (n < (ssize_t)sizeof(k->head))
		return 4711;
	memcpy(&k->head, bytes, sizeof(k->head));
	k->n = (size_t)n - sizeof(k->head);
	memcpy(k->body, bytes + sizeof(k->head), k->n);
	k->body[k->n] = '\0';
	return k->head.unique == m.head.unique ? -k->head.error : 4711;
}

static int save(struct kit *k, int file)
{
	return save_as(k, k->sent, &file, 1);
}

static uint32_t checksum(const struct kit *k)
{
	struct share_state_out out = {0};

	memcpy(&out, k->body, k->n == sizeof(out) ? sizeof(out) : 0);
	return out.checksum;
}

static int ask_state(struct kit *k)
{
	return kit_ask(k, SHARE_STATE, 0, NULL, 0, NULL, 0);
}

/* 0: there is none. */
static uint64_t look_up(struct kit *k, uint64_t parent, const char *name)
{
	return kit_ask(k, FUSE_LOOKUP, parent, NULL, 0, name, strlen(name) + 1) == 0 ? kit_node(k)
										     : 0;
}

static int get_attributes(struct kit *k, uint64_t node)
{
	struct fuse_getattr_in in = {0};

	return kit_ask(k, FUSE_GETATTR, node, &in, sizeof(in), NULL, 0);
}

/* Of the node; 0: none. */
static uint64_t inode(struct kit *k, uint64_t node)
{
	struct fuse_attr_out out = {0};

	if (get_attributes(k, node) == 0)
		memcpy(&out, k->body, sizeof(out));
	return out.attr.ino;
}

static uint64_t inode_of(const struct kit *k, const char *name)
{
	struct stat st = {0};

	(void)fstatat(k->dir, name, &st, AT_SYMLINK_NOFOLLOW);
	return st.st_ino;
}

/* 0: it cannot be opened. */
static uint64_t open_node(struct kit *k, uint64_t node, uint32_t opcode, uint32_t flags)
{
	struct fuse_open_in in = {.flags = flags};

	return kit_ask(k, opcode, node, &in, sizeof(in), NULL, 0) == 0 ? kit_handle(k, 0) : 0;
}

static int write_at(struct kit *k, uint64_t fh, uint64_t at, const char *text)
{
	struct fuse_write_in in = {.fh = fh, .offset = at, .size = (uint32_t)strlen(text)};

	return kit_ask(k, FUSE_WRITE, ROOT, &in, sizeof(in), text, strlen(text));
}

/* Whether the file holds this, by an open file of the guest's. */
static bool reads(struct kit *k, uint64_t fh, const char *text)
{
	struct fuse_read_in in = {.fh = fh, .size = 100};

	return kit_ask(k, FUSE_READ, ROOT, &in, sizeof(in), NULL, 0) == 0 && k->n == strlen(text) &&
	       memcmp(k->body, text, k->n) == 0;
}

/* Whether the host finds this in the file. */
static bool holds(const struct kit *k, const char *name, const char *text)
{
	AUTO_CLOSE int fd = openat(k->dir, name, O_RDONLY | O_CLOEXEC);
	char found[100];

	ssize_t n = fd < 0 ? -1 : read(fd, found, sizeof(found));
	return n == (ssize_t)strlen(text) && memcmp(found, text, strlen(text)) == 0;
}

static void forget(struct kit *k, uint64_t node, uint64_t n)
{
	struct fuse_forget_in in = {.nlookup = n};

	kit_tell(k, FUSE_FORGET, node, &in, sizeof(in));
}

TEST(the_guests_numbers_are_the_same_files_afterwards)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int state = state_file();

	EXPECT_EQ(kit_start(&k, ALL), 0);
	EXPECT_EQ(mkdirat(k.dir, "folder", 0755), 0);
	kit_put(&k, "one", "first");
	kit_put(&k, "folder/two", "second");
	EXPECT_EQ(symlinkat("nowhere", k.dir, "link"), 0);
	uint64_t free_one = look_up(&k, ROOT, "one");
	uint64_t folder = look_up(&k, ROOT, "folder");
	uint64_t two = look_up(&k, folder, "two");
	uint64_t link = look_up(&k, ROOT, "link");
	uint64_t gone = open_node(&k, two, FUSE_OPEN, O_RDONLY);
	uint64_t fh = open_node(&k, two, FUSE_OPEN, O_RDWR);
	uint64_t dir = open_node(&k, folder, FUSE_OPENDIR, O_RDONLY);
	struct fuse_release_in release = {.fh = gone};
	kit_tell(&k, FUSE_RELEASE, two, &release, sizeof(release));
	forget(&k, free_one, 1);
	EXPECT_EQ(save(&k, state), 0);
	uint32_t sum = checksum(&k);
	EXPECT(kit_stop(&k));

	EXPECT_EQ(kit_go_on(&k, state), 0);
	EXPECT_EQ(ask_state(&k), 0);
	EXPECT_EQ(checksum(&k), sum);
	EXPECT(reads(&k, fh, "second"));
	EXPECT_EQ(fcntl(k.file, F_GETFL) & O_ACCMODE, O_RDWR); /* for the monitor, which has none */
	EXPECT(reads(&k, fh, "second"));
	EXPECT_EQ(k.file, -1);
	EXPECT_EQ(inode(&k, two), inode_of(&k, "folder/two"));
	EXPECT_EQ(inode(&k, folder), inode_of(&k, "folder"));
	EXPECT_EQ(inode(&k, link), inode_of(&k, "link"));
	EXPECT_EQ(kit_ask(&k, FUSE_READLINK, link, NULL, 0, NULL, 0), 0);
	EXPECT_EQ(get_attributes(&k, free_one), ESTALE);
	EXPECT_EQ(write_at(&k, fh, 6, "+"), 0);
	EXPECT(holds(&k, "folder/two", "second+"));
	EXPECT(!reads(&k, gone, "second+"));
	struct fuse_read_in list = {.fh = dir, .size = 4096};
	EXPECT_EQ(ASK(&k, FUSE_READDIR, folder, list, ""), 0);
	EXPECT(memmem(k.body, k.n, "two", 3));
	/* who is known already keeps its number, who is new gets a free one */
	EXPECT_EQ(look_up(&k, folder, "two"), two);
	uint64_t one = look_up(&k, ROOT, "one");
	EXPECT(one != two && one != folder && one != link && one != ROOT);
	uint64_t again = open_node(&k, one, FUSE_OPEN, O_RDONLY);
	EXPECT(again != fh && again != dir);
	/* and what was looked up twice is forgotten twice */
	forget(&k, two, 1);
	EXPECT_EQ(look_up(&k, ROOT, "link"), link);
	EXPECT_EQ(get_attributes(&k, two), 0);
	EXPECT(kit_stop(&k));
}

/* The names in the folder from `*at` on, or -1; `*at` is where the next ones are. */
static int list(struct kit *k, uint64_t folder, uint64_t dir, uint64_t *at)
{
	struct fuse_read_in in = {.fh = dir, .offset = *at, .size = 4096};
	int names = 0;

	if (ASK(k, FUSE_READDIR, folder, in, "") != 0)
		return -1;
	for (size_t i = 0; i + FUSE_NAME_OFFSET <= k->n; names++) {
		struct fuse_dirent e;
		memcpy(&e, k->body + i, FUSE_NAME_OFFSET);
		*at = e.off;
		i += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + e.namelen);
	}
	return names;
}

/* On ext4 this fails where a share does not see to it. */
TEST(a_listing_that_was_at_its_end_begins_again)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int state = state_file();
	uint64_t at = 0;

	EXPECT_EQ(kit_start(&k, ALL), 0);
	EXPECT_EQ(mkdirat(k.dir, "folder", 0755), 0);
	kit_put(&k, "folder/one", "1");
	kit_put(&k, "folder/two", "2");
	uint64_t folder = look_up(&k, ROOT, "folder");
	uint64_t dir = open_node(&k, folder, FUSE_OPENDIR, O_RDONLY);
	EXPECT_EQ(list(&k, folder, dir, &at), 4); /* with . and .. */
	EXPECT_EQ(save(&k, state), 0);
	EXPECT(kit_stop(&k));

	EXPECT_EQ(kit_go_on(&k, state), 0);
	EXPECT_EQ(list(&k, folder, dir, &at), 0);
	at = 0;
	EXPECT_EQ(list(&k, folder, dir, &at), 4);
	EXPECT(kit_stop(&k));
}

TEST(a_file_is_found_by_the_name_it_has_by_now)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int state = state_file();

	EXPECT_EQ(kit_start(&k, ALL), 0);
	EXPECT_EQ(mkdirat(k.dir, "folder", 0755), 0);
	kit_put(&k, "file", "x");
	kit_put(&k, "hard", "y");
	uint64_t node = look_up(&k, ROOT, "file");
	uint64_t fh = open_node(&k, node, FUSE_OPEN, O_RDWR);
	uint64_t hard = look_up(&k, ROOT, "hard");
	uint64_t hard_fh = open_node(&k, hard, FUSE_OPEN, O_RDONLY);
	EXPECT_EQ(renameat(k.dir, "file", k.dir, "folder/else"), 0);
	kit_put(&k, "file", "another");
	EXPECT_EQ(linkat(k.dir, "hard", k.dir, "harder", 0), 0);
	EXPECT_EQ(look_up(&k, ROOT, "harder"), hard);
	EXPECT_EQ(unlinkat(k.dir, "hard", 0), 0);
	EXPECT_EQ(save(&k, state), 0);

	EXPECT_EQ(kit_go_on(&k, state), 0);
	EXPECT_EQ(inode(&k, node), inode_of(&k, "folder/else"));
	EXPECT_EQ(inode(&k, hard), inode_of(&k, "harder"));
	EXPECT(reads(&k, hard_fh, "y"));
	EXPECT_EQ(write_at(&k, fh, 0, "z"), 0);
	EXPECT(holds(&k, "folder/else", "z"));
	EXPECT(holds(&k, "file", "another"));
	EXPECT(kit_stop(&k));
}

TEST(what_has_gone_is_stale_until_it_is_forgotten)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int state = state_file();

	EXPECT_EQ(kit_start(&k, ALL), 0);
	kit_put(&k, "file", "x");
	EXPECT_EQ(mkdirat(k.dir, "folder", 0755), 0);
	kit_put(&k, "later", "x");
	kit_put(&k, "kind", "x");
	uint64_t file = look_up(&k, ROOT, "file");
	uint64_t folder = look_up(&k, ROOT, "folder");
	uint64_t later = look_up(&k, ROOT, "later");
	uint64_t kind = look_up(&k, ROOT, "kind");
	EXPECT_EQ(unlinkat(k.dir, "file", 0), 0);
	EXPECT_EQ(unlinkat(k.dir, "folder", AT_REMOVEDIR), 0);
	EXPECT_EQ(save(&k, state), 0);
	EXPECT(kit_stop(&k));
	EXPECT_EQ(unlinkat(k.dir, "later", 0), 0); /* while the machine is a file */
	EXPECT_EQ(unlinkat(k.dir, "kind", 0), 0);
	EXPECT_EQ(mkdirat(k.dir, "kind", 0755), 0);

	for (int again = 0; again < 2; again++) {
		EXPECT_EQ(kit_go_on(&k, state), 0);
		EXPECT_EQ(get_attributes(&k, file), ESTALE);
		EXPECT_EQ(get_attributes(&k, later), ESTALE);
		EXPECT_EQ(get_attributes(&k, kind), ESTALE);
		EXPECT_EQ(ASK_NAME(&k, FUSE_LOOKUP, folder, "x"), ESTALE);
		struct fuse_open_in in = {.flags = O_RDONLY};
		EXPECT_EQ(ASK(&k, FUSE_OPEN, file, in, ""), ESTALE);
		/* their numbers are nobody else's */
		for (int i = 0; i < 100; i++) {
			char name[16];
			(void)snprintf(name, sizeof(name), "new-%d", i);
			kit_put(&k, name, "x");
			uint64_t n = look_up(&k, ROOT, name);
			EXPECT(n != 0 && n != file && n != folder && n != later && n != kind);
		}
		EXPECT_EQ(save(&k, state), 0); /* and so they are in the next one */
		EXPECT(kit_stop(&k));
	}
	EXPECT_EQ(kit_go_on(&k, state), 0);
	forget(&k, file, 1);
	EXPECT_EQ(get_attributes(&k, ROOT), 0);
	bool given = false; /* once it is forgotten */
	for (int i = 0; i < 400 && !given; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "more-%d", i);
		kit_put(&k, name, "x");
		given = look_up(&k, ROOT, name) == file;
	}
	EXPECT(given);
	EXPECT(kit_stop(&k));
}

TEST(what_is_open_and_removed_is_not_written_down)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int state = state_file();

	EXPECT_EQ(kit_start(&k, ALL), 0);
	kit_put(&k, "file", "only here");
	EXPECT_EQ(mkdirat(k.dir, "folder", 0755), 0);
	uint64_t node = look_up(&k, ROOT, "file");
	uint64_t fh = open_node(&k, node, FUSE_OPEN, O_RDWR);
	uint64_t folder = look_up(&k, ROOT, "folder");
	EXPECT_EQ(unlinkat(k.dir, "file", 0), 0);
	kit_put(&k, "file", "not that one");
	kit_put(&k, "file (deleted)", "nor that"); /* which is how the kernel calls it now */
	EXPECT_EQ(save(&k, state), EBUSY);
	EXPECT(strstr((char *)k.body, "/file' is open and has been removed"));
	/* the share goes on */
	EXPECT(reads(&k, fh, "only here"));
	struct fuse_release_in release = {.fh = fh};
	EXPECT_EQ(ASK(&k, FUSE_RELEASE, node, release, ""), 0);
	EXPECT_EQ(save(&k, state), 0);
	EXPECT(open_node(&k, folder, FUSE_OPENDIR, O_RDONLY) != 0);
	EXPECT_EQ(unlinkat(k.dir, "folder", AT_REMOVEDIR), 0);
	EXPECT_EQ(save(&k, state), EBUSY);
	EXPECT(strstr((char *)k.body, "folder '"));
	EXPECT(kit_stop(&k));
}

TEST(what_was_said_before_is_done_before)
{
	enum { N = 150 };
	AUTO_KIT struct kit k;
	AUTO_CLOSE int state = state_file();

	EXPECT_EQ(kit_start(&k, ALL), 0);
	for (int round = 0; round < 20; round++) {
		uint64_t fh[N];
		kit_put(&k, "file", "x");
		uint64_t node = look_up(&k, ROOT, "file");
		for (int i = 0; i < N; i++) {
			fh[i] = open_node(&k, node, FUSE_OPEN, O_RDWR);
			EXPECT(fh[i] != 0);
		}
		EXPECT_EQ(unlinkat(k.dir, "file", 0), 0);
		for (int i = 0; i < N; i++) {
			struct fuse_release_in release = {.fh = fh[i]};
			kit_tell(&k, FUSE_RELEASE, node, &release, sizeof(release));
		}
		EXPECT_EQ(save(&k, state), 0); /* not one of them is open */
	}
	EXPECT(kit_stop(&k));
}

TEST(a_state_that_is_asked_for_wrongly_is_not_written)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int state = state_file();
	AUTO_CLOSE int pipe_end = open("/dev/null", O_WRONLY | O_CLOEXEC);
	const int two[] = {state, state};

	EXPECT_EQ(kit_start(&k, ALL), 0);
	EXPECT_EQ(ask_state(&k), ENOENT); /* it was made from none */
	EXPECT_EQ(save_as(&k, k.sent, NULL, 0), EINVAL);
	EXPECT_EQ(save_as(&k, k.sent, &pipe_end, 1), EINVAL);
	EXPECT_EQ(save_as(&k, k.sent, two, 2), EMFILE);
	EXPECT_EQ(kit_ask(&k, SHARE_SAVE, 0, NULL, 0, NULL, 0), EINVAL);
	EXPECT_EQ(kit_ask(&k, SHARE_OPCODES, 0, NULL, 0, NULL, 0), ENOSYS);
	EXPECT_EQ(save_as(&k, k.sent + 1, &state, 1), ETIMEDOUT);
	EXPECT_EQ(save(&k, state), 0);
	EXPECT(kit_stop(&k));
	EXPECT_EQ(kit_go_on(&k, state), 0);
	EXPECT_EQ(get_attributes(&k, ROOT), 0);
	EXPECT_EQ(ask_state(&k), EBUSY); /* it has gone on from there */
}

static int count_files(const struct kit *k)
{
	char path[64];
	int n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", k->pid);
	DIR *dir = opendir(path);
	while (dir && readdir(dir))
		n++;
	if (dir)
		(void)closedir(dir);
	return n;
}

TEST(files_that_come_with_other_messages_do_not_stay)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int file = state_file();
	struct {
		struct fuse_in_header head;
		struct fuse_getattr_in in;
	} m = {.head = {.len = sizeof(m), .opcode = FUSE_GETATTR, .unique = 1, .nodeid = ROOT}};
	uint8_t bytes[256];

	EXPECT_EQ(kit_start(&k, ALL), 0);
	EXPECT_EQ(save(&k, file), 0);
	int before = count_files(&k);
	EXPECT(before > 0);
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(fd_send(k.wire, &m, sizeof(m), &file, 1, 0), sizeof(m));
		EXPECT(recv(k.wire, bytes, sizeof(bytes), 0) > 0);
		EXPECT_EQ(fd_send(k.wire, &m, 20, &file, 1, 0), 20); /* no message at all */
		EXPECT(recv(k.wire, bytes, sizeof(bytes), 0) > 0);
		k.sent += 2;
	}
	EXPECT_EQ(save(&k, file), 0); /* so that all of them are done with */
	EXPECT(count_files(&k) <= before);
	EXPECT(kit_stop(&k));
}

TEST(a_session_begins_where_it_was)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int state = state_file();
	struct fuse_init_in init = {.major = FUSE_KERNEL_VERSION, .minor = 38, .flags = ALL};

	EXPECT_EQ(kit_folder(&k), 0);
	EXPECT_EQ(kit_go_on(&k, -1), 0);
	EXPECT_EQ(save(&k, state), 0);
	EXPECT_EQ(kit_go_on(&k, state), 0);
	EXPECT_EQ(get_attributes(&k, ROOT), EIO); /* it has not begun */
	EXPECT_EQ(kit_ask(&k, FUSE_INIT, 0, &init, offsetof(struct fuse_init_in, flags2), NULL, 0),
		  0);
	EXPECT_EQ(save(&k, state), 0);
	EXPECT_EQ(kit_go_on(&k, state), 0);
	EXPECT_EQ(get_attributes(&k, ROOT), 0);
	EXPECT_EQ(kit_ask(&k, FUSE_INIT, 0, &init, offsetof(struct fuse_init_in, flags2), NULL, 0),
		  EIO); /* nor does it begin twice */
	EXPECT(kit_stop(&k));
}

TEST(a_file_is_opened_again_as_it_was_and_keeps_what_it_holds)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int state = state_file();
	struct fuse_create_in create = {.flags = O_WRONLY | O_CREAT | O_TRUNC | O_SYNC,
					.mode = S_IFREG | 0600};

	EXPECT_EQ(kit_start(&k, ALL), 0);
	kit_put(&k, "read", "content");
	uint64_t only = open_node(&k, look_up(&k, ROOT, "read"), FUSE_OPEN, O_RDONLY);
	EXPECT_EQ(ASK(&k, FUSE_CREATE, ROOT, create, "made"), 0);
	uint64_t made = kit_handle(&k, sizeof(struct fuse_entry_out));
	EXPECT_EQ(write_at(&k, made, 0, "kept"), 0);
	EXPECT_EQ(save(&k, state), 0);
	EXPECT_EQ(kit_go_on(&k, state), 0);
	EXPECT(reads(&k, only, "content"));
	EXPECT_EQ(write_at(&k, only, 0, "x"), EBADF);
	EXPECT(!reads(&k, made, "kept")); /* it may be written only */
	EXPECT_EQ(write_at(&k, made, 4, " too"), 0);
	EXPECT(holds(&k, "made", "kept too"));
	EXPECT(kit_stop(&k));
}

TEST(the_same_state_does_for_a_copy_of_the_folder)
{
	AUTO_KIT struct kit k;
	AUTO_KIT struct kit copy;
	AUTO_CLOSE int state = state_file();

	EXPECT_EQ(kit_start(&k, ALL), 0);
	kit_put(&k, "file", "one");
	uint64_t node = look_up(&k, ROOT, "file");
	uint64_t fh = open_node(&k, node, FUSE_OPEN, O_RDWR);
	EXPECT_EQ(save(&k, state), 0);
	EXPECT_EQ(kit_folder(&copy), 0);
	kit_put(&copy, "file", "one");
	EXPECT_EQ(kit_go_on(&k, state), 0);
	EXPECT_EQ(kit_go_on(&copy, state), 0);
	EXPECT_EQ(write_at(&k, fh, 3, "!"), 0);
	EXPECT_EQ(write_at(&copy, fh, 3, "?"), 0);
	EXPECT(holds(&k, "file", "one!"));
	EXPECT(holds(&copy, "file", "one?"));
	EXPECT_EQ(inode(&copy, node), inode_of(&copy, "file"));
	EXPECT(kit_stop(&copy)); /* whose process has the other's socket too */
	EXPECT(kit_stop(&k));
}

/* --- states that lie --- */

static const struct state_form form = {"hullshar", 1, "share"};

/* A record of a state. */
struct record {
	uint64_t number, lookups;
	uint32_t how; /* its type, or flags */
	const char *path;
	size_t n; /* of the path; 0: as long as it is */
	bool is_dir;
};

struct lie {
	const char *words; /* of the complaint; NULL: it is taken */
	struct record nodes[2], handles[2]; /* those with a path */
	uint64_t count; /* of each, when it is not so many */
	const void *hello;
	size_t n_hello;
};

static void put_path(struct buf *b, const struct record *r)
{
	size_t n = r->n ? r->n : strlen(r->path);

	buf_le32(b, (uint32_t)n);
	buf_add(b, r->path, n);
}

static void put_records(struct buf *b, uint32_t kind, const struct record *r, uint64_t count)
{
	size_t part = state_part(b, kind, 0);

	buf_le64(b, count ? count : (uint64_t)((r[0].path != NULL) + (r[1].path != NULL)));
	for (int i = 0; i < 2 && r[i].path; i++) {
		buf_le64(b, r[i].number);
		if (kind == 2)
			buf_le64(b, r[i].lookups);
		else
			state_put_flag(b, r[i].is_dir);
		buf_le32(b, r[i].how);
		put_path(b, &r[i]);
	}
	state_end_part(b, part);
}

/* A file with such a state. */
static int write_lie(const struct lie *l)
{
	AUTO_BUF struct buf b = BUF_INIT;

	state_begin(&b, &form);
	size_t part = state_part(&b, 1, 0);
	buf_add(&b, l->hello ? l->hello : "", l->n_hello);
	state_end_part(&b, part);
	put_records(&b, 2, l->nodes, l->count);
	put_records(&b, 3, l->handles, l->count);
	(void)state_seal(&b);
	int fd = state_file();
	return fd >= 0 && write(fd, b.data, b.len) == (ssize_t)b.len ? fd : -1;
}

/* Whether the share that is made from it says so and ends, or serves. */
static bool judged(struct kit *k, int state, const char *words)
{
	if (kit_go_on(k, state) < 0)
		return false;
	bool serves = ask_state(k) == 0;
	bool sound = kit_stop(k);
	const char *said = kit_complaint(k);
	if (words ? !serves && strstr(said, words) : serves && sound)
		return true;
	printf("# said: %s\n", said);
	return false;
}

static char long_path[8192];

TEST(a_state_that_lies_makes_no_share)
{
	static const uint8_t nothing[64];
	static const struct fuse_in_header lookup = {.len = sizeof(lookup), .opcode = FUSE_LOOKUP};
	static const struct lie lies[] = {
		{.words = NULL, .nodes = {{2, 1, S_IFREG, "file"}, {9, 1, S_IFREG, "file"}}},
		{.words = NULL, .nodes = {{2, 1, 0, ""}}},
		{.words = NULL,
		 .handles = {{1, 0, O_RDWR, "file"}, {2, .path = "", .is_dir = true}}},
		{.words = "file 2 cannot", .nodes = {{2, 1, S_IFREG, ".."}}},
		{.words = "file 2 cannot", .nodes = {{2, 1, S_IFREG, "a/../file"}}},
		{.words = "file 2 cannot", .nodes = {{2, 1, S_IFREG, "/etc/passwd"}}},
		{.words = "file 2 cannot", .nodes = {{2, 1, S_IFREG, "./file"}}},
		{.words = "file 2 cannot", .nodes = {{2, 1, S_IFREG, "a//b"}}},
		{.words = "file 2 cannot", .nodes = {{2, 1, S_IFREG, "fi\0le", 5}}},
		{.words = "file 2 cannot", .nodes = {{2, 1, S_IFREG, long_path}}},
		{.words = "file 2 cannot", .nodes = {{2, 1, 0, "file"}}},
		{.words = "file 2 cannot", .nodes = {{2, 1, S_IFREG, ""}}},
		{.words = "file 2 cannot", .nodes = {{2, 1, 0x12345, "file"}}},
		{.words = "file 2 cannot", .nodes = {{2, 0, S_IFREG, "file"}}},
		{.words = "number 2: given twice",
		 .nodes = {{2, 1, S_IFREG, "file"}, {2, 1, S_IFDIR, "folder"}}},
		{.words = "number 1: given twice", .nodes = {{1, 1, S_IFREG, "file"}}},
		{.words = "number 0: ", .nodes = {{0, 1, S_IFREG, "file"}}},
		{.words = "number 18446744073709551615: ",
		 .nodes = {{UINT64_MAX, 1, S_IFREG, "file"}}},
		{.words = "number 4194304: ", .handles = {{1 << 22, 0, O_RDONLY, "file"}}},
		{.words = "number 5: given twice",
		 .handles = {{5, 0, O_RDONLY, "file"}, {5, 0, O_RDWR, "file"}}},
		{.words = "open file 5 cannot", .handles = {{5, 0, O_RDWR | O_TRUNC, "file"}}},
		{.words = "open file 5 cannot", .handles = {{5, 0, O_RDWR, "../file"}}},
		{.words = "open file 'absent' again: No such",
		 .handles = {{5, 0, O_RDWR, "absent"}}},
		{.words = "'folder' was an open file", .handles = {{5, 0, O_RDWR, "folder"}}},
		{.words = "'pipe' was an open file", .handles = {{5, 0, O_RDWR, "pipe"}}},
		{.words = "'file' was an open folder",
		 .handles = {{5, 0, 0, "file", .is_dir = true}}},
		{.words = "open file 'link/passwd' again", .handles = {{5, 0, 0, "link/passwd"}}},
		{.words = "'self' was an open file", .handles = {{5, 0, 0, "self"}}},
		{.words = "cannot be as", .nodes = {{2, 1, S_IFREG, "file"}}, .count = UINT64_MAX},
		{.words = "cannot be as", .count = 1},
		{.words = "cannot have begun so", .hello = nothing, .n_hello = sizeof(nothing)},
		{.words = "cannot have begun so", .hello = &lookup, .n_hello = sizeof(lookup)},
		{.words = "cannot have begun so", .hello = &lookup, .n_hello = 3},
		{.words = "cannot have begun so", .hello = long_path, .n_hello = 4000},
	};
	AUTO_KIT struct kit k;

	memset(long_path, 'x', sizeof(long_path) - 1);
	EXPECT_EQ(kit_folder(&k), 0);
	kit_put(&k, "file", "x");
	EXPECT_EQ(mkdirat(k.dir, "folder", 0755), 0);
	EXPECT_EQ(mkfifoat(k.dir, "pipe", 0600), 0);
	EXPECT_EQ(symlinkat("/etc", k.dir, "link"), 0);
	EXPECT_EQ(symlinkat("file", k.dir, "self"), 0);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		AUTO_CLOSE int state = write_lie(&lies[i]);
		EXPECT(state >= 0);
		if (!judged(&k, state, lies[i].words))
			FAIL("the state %zu: %s", i, lies[i].words ? lies[i].words : "is right");
	}
}

TEST(a_link_put_in_the_way_leads_nowhere)
{
	const struct lie l = {.nodes = {{7, 1, S_IFREG, "folder/passwd"}, {8, 1, S_IFLNK, "self"}}};
	AUTO_CLOSE int state = write_lie(&l);
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_folder(&k), 0);
	EXPECT_EQ(symlinkat("/etc", k.dir, "folder"), 0);
	EXPECT_EQ(symlinkat("/etc/passwd", k.dir, "self"), 0);
	EXPECT(judged(&k, state, NULL));
	struct fuse_init_in init = {.major = FUSE_KERNEL_VERSION, .minor = 38, .flags = ALL};
	EXPECT_EQ(kit_go_on(&k, state), 0);
	EXPECT_EQ(kit_ask(&k, FUSE_INIT, 0, &init, offsetof(struct fuse_init_in, flags2), NULL, 0),
		  0);
	EXPECT_EQ(get_attributes(&k, 7), ESTALE);
	EXPECT_EQ(inode(&k, 8), inode_of(&k, "self"));
	EXPECT_EQ(open_node(&k, 8, FUSE_OPEN, O_RDONLY), 0);
}

TEST(a_state_that_was_changed_or_is_none_makes_no_share)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int state = state_file();
	AUTO_CLOSE int none = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct stat st;
	char last;

	EXPECT_EQ(kit_start(&k, ALL), 0);
	kit_put(&k, "file", "x");
	EXPECT(look_up(&k, ROOT, "file") != 0);
	EXPECT_EQ(save(&k, state), 0);
	EXPECT_EQ(fstat(state, &st), 0);
	EXPECT_EQ(pread(state, &last, 1, st.st_size - 1), 1);
	last ^= 1;
	EXPECT_EQ(pwrite(state, &last, 1, st.st_size - 1), 1);
	EXPECT(judged(&k, state, "checksum"));
	EXPECT_EQ(ftruncate(state, st.st_size - 1), 0);
	EXPECT(judged(&k, state, "not whole"));
	EXPECT_EQ(ftruncate(state, 1 << 20), 0);
	EXPECT(judged(&k, state, "not whole"));
	EXPECT_EQ(ftruncate(state, 0), 0);
	EXPECT(judged(&k, state, "no state of a share"));
	EXPECT_EQ(ftruncate(state, (off_t)1 << 40), 0);
	EXPECT(judged(&k, state, "no state of a share"));
	EXPECT(judged(&k, none, "no state of a share"));
}
