/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/archive_format.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"

static char here[PATH_MAX];
static struct err err;

/* A new empty folder, as root for both ends. */
static int room(void)
{
	(void)snprintf(here, sizeof(here), "/tmp/hull-archive.XXXXXX");
	err = ERR_INIT;
	return mkdtemp(here) ? open(here, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

static void room_done(int *fd)
{
	struct err ignored = ERR_INIT;
	AUTO_CLOSE int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	auto_close(fd);
	if (path_remove_all(tmp, here + strlen("/tmp/"), &ignored) < 0)
		printf("# %s stays\n", here);
}

#define ROOM AUTO(room_done) int root = room()

static bool make(int root, const char *path, const char *content)
{
	return file_replace(root, path, content, strlen(content), 0640, &err) == 0;
}

/* Whether the file holds that content. */
static bool holds(int root, const char *path, const char *content)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err missing = ERR_INIT;

	return file_read(root, path, 1 << 20, &text, &missing) == 0 &&
	       text.len == strlen(content) &&
	       (text.len == 0 || memcmp(text.data, content, text.len) == 0);
}

/* Archives `from` and unpacks it at `to`, both inside root: through a file, so that one end after
 * the other has its turn. */
static int copy(int root, const char *from, const char *to)
{
	AUTO_CLOSE int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	err = ERR_INIT;
	int r = archive_write(root, from, fd, false, &err);
	if (r == 0 && lseek(fd, 0, SEEK_SET) == 0)
		r = archive_read(fd, root, to, false, &err);
	return r;
}

TEST(a_tree_comes_back_as_it_was)
{
	ROOM;
	char link[64] = "";
	struct stat st;

	EXPECT(path_mkdir_all(root, "from/a/b", 0755, &err) == 0);
	EXPECT(make(root, "from/a/b/file", "content"));
	EXPECT(make(root, "from/empty", ""));
	EXPECT(symlinkat("../x", root, "from/link") == 0);
	EXPECT(fchmodat(root, "from/a/b/file", 0751, 0) == 0);
	EXPECT_EQ(copy(root, "/from", "/to"), 0);
	EXPECT(holds(root, "to/a/b/file", "content"));
	EXPECT(holds(root, "to/empty", ""));
	EXPECT(fstatat(root, "to/a/b/file", &st, 0) == 0);
	EXPECT_EQ(st.st_mode & 07777, 0751);
	EXPECT(readlinkat(root, "to/link", link, sizeof(link) - 1) == 4);
	EXPECT_STR(link, "../x");
}

/* What `from` is as a stream; the caller releases *ret. */
static int stream_of(int root, const char *from, bool whole, struct buf *ret)
{
	char name[] = "/tmp/hull-archive.XXXXXX";
	AUTO_CLOSE int fd = mkostemp(name, O_CLOEXEC);

	err = ERR_INIT;
	int r = archive_write(root, from, fd, whole, &err);
	if (r == 0)
		r = file_read(AT_FDCWD, name, 1 << 20, ret, &err);
	(void)unlink(name);
	return r;
}

TEST(a_whole_root_keeps_hard_links_and_attributes)
{
	ROOM;
	AUTO_BUF struct buf whole = BUF_INIT;
	AUTO_BUF struct buf part = BUF_INIT;
	static const char attribute[] = " SCHILY.xattr.user.hull=a\0b\n";

	EXPECT(path_mkdir_all(root, "from", 0755, &err) == 0);
	EXPECT(make(root, "from/one", "linked content"));
	EXPECT(linkat(root, "from/one", root, "from/two", 0) == 0);
	AUTO_CLOSE int fd = openat(root, "from/one", O_RDONLY | O_CLOEXEC);
	bool attributes = fsetxattr(fd, "user.hull", "a\0b", 3, 0) == 0;
	EXPECT_EQ(stream_of(root, "/from/.", true, &whole), 0);
	EXPECT_EQ(stream_of(root, "/from/.", false, &part), 0);

	/* once and once more, or by the other name */
	const char *first = memmem(whole.data, whole.len, "linked content", 14);
	EXPECT(first);
	size_t behind = (size_t)(whole.data + whole.len - first) - 14;
	EXPECT(!memmem(first + 14, behind, "linked content", 14));
	first = memmem(part.data, part.len, "linked content", 14);
	EXPECT(first);
	EXPECT(memmem(first + 14, (size_t)(part.data + part.len - first) - 14, "linked content",
		      14));

	bool found = memmem(whole.data, whole.len, attribute, sizeof(attribute) - 1) != NULL;
	EXPECT_EQ(found, attributes); /* not every file system has them */
	EXPECT(!memmem(part.data, part.len, "SCHILY", 6));
}

TEST(a_folder_takes_the_tree_as_a_member)
{
	ROOM;

	EXPECT(path_mkdir_all(root, "from", 0755, &err) == 0);
	EXPECT(path_mkdir_all(root, "to", 0755, &err) == 0);
	EXPECT(make(root, "from/file", "x"));
	EXPECT_EQ(copy(root, "/from", "/to"), 0);
	EXPECT(holds(root, "to/from/file", "x"));
}

TEST(a_dot_at_the_end_means_the_content)
{
	ROOM;

	EXPECT(path_mkdir_all(root, "from", 0755, &err) == 0);
	EXPECT(path_mkdir_all(root, "to", 0755, &err) == 0);
	EXPECT(make(root, "from/file", "x"));
	EXPECT_EQ(copy(root, "/from/.", "/to"), 0);
	EXPECT(holds(root, "to/file", "x"));
	EXPECT_EQ(copy(root, "/from/.", "/new"), 0);
	EXPECT(holds(root, "new/file", "x"));
}

TEST(a_file_may_get_another_name_and_replaces_what_is_there)
{
	ROOM;

	EXPECT(make(root, "one", "first") && make(root, "two", "second, longer"));
	EXPECT_EQ(copy(root, "/one", "/two"), 0);
	EXPECT(holds(root, "two", "first"));
}

TEST(names_longer_than_a_header_survive)
{
	ROOM;
	char name[200] = "from/";

	memset(name + 5, 'n', 150);
	EXPECT(path_mkdir_all(root, "from", 0755, &err) == 0);
	EXPECT(make(root, name, "x"));
	EXPECT_EQ(copy(root, "/from", "/to"), 0);
	memcpy(name, "to///", 5);
	EXPECT(holds(root, name, "x"));
}

TEST(the_folder_it_goes_to_must_exist)
{
	ROOM;

	EXPECT(make(root, "one", "x"));
	EXPECT_EQ(copy(root, "/one", "/no/such"), -ENOENT);
	EXPECT_EQ(copy(root, "/none", "/two"), -ENOENT);
}

/* --- streams from strangers --- */

static struct buf stream;

static void add(const char *name, char type, const char *link, const char *content)
{
	struct tar_block b = {.type = type, .magic = "ustar"};
	static const char zeros[TAR_BLOCK];
	size_t n = strlen(content);

	memcpy(b.name, name, strnlen(name, sizeof(b.name)));
	memcpy(b.link, link, strnlen(link, sizeof(b.link)));
	(void)snprintf(b.mode, sizeof(b.mode), "0644");
	(void)snprintf(b.size, sizeof(b.size), "%o", (unsigned)n & 07777777);
	(void)snprintf(b.sum, sizeof(b.sum), "%06o", tar_sum(&b));
	buf_add(&stream, &b, sizeof(b));
	buf_add(&stream, content, n);
	buf_add(&stream, zeros, (TAR_BLOCK - n % TAR_BLOCK) % TAR_BLOCK);
}

/* Unpacks what was added (and an end) at /to, and forgets it. */
static int unpack(int root, bool whole)
{
	static const char end[2 * TAR_BLOCK];
	AUTO_CLOSE int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	err = ERR_INIT;
	if (whole)
		buf_add(&stream, end, sizeof(end));
	int r = write_all(fd, stream.data, stream.len, "stream", &err);
	buf_done(&stream);
	if (r == 0 && lseek(fd, 0, SEEK_SET) == 0)
		r = archive_read(fd, root, "/to", false, &err);
	return r;
}

TEST(no_link_of_the_stream_is_followed)
{
	ROOM;

	EXPECT(path_mkdir_all(root, "secret", 0755, &err) == 0);
	EXPECT(path_mkdir_all(root, "to", 0755, &err) == 0);
	add("t", '5', "", "");
	add("t/link", '2', "../../secret", "");
	add("t/link/file", '0', "", "bad");
	EXPECT(unpack(root, true) < 0);
	EXPECT(!holds(root, "secret/file", "bad"));
}

TEST(a_file_in_place_of_a_link_replaces_the_link)
{
	ROOM;

	EXPECT(make(root, "secret", "mine"));
	EXPECT(path_mkdir_all(root, "to", 0755, &err) == 0);
	add("t", '5', "", "");
	add("t/link", '2', "../../secret", "");
	add("t/link", '0', "", "new");
	EXPECT_EQ(unpack(root, true), 0);
	EXPECT(holds(root, "secret", "mine"));
	EXPECT(holds(root, "to/t/link", "new"));
}

TEST(names_that_lead_out_are_refused)
{
	static const char *const bad[] = {"../x", "t/../../x", "/x"};

	for (size_t i = 0; i < 3; i++) {
		ROOM;
		EXPECT(path_mkdir_all(root, "to", 0755, &err) == 0);
		add("t", '5', "", "");
		add(bad[i], '0', "", "bad");
		EXPECT_EQ(unpack(root, true), -EBADMSG);
		EXPECT(faccessat(root, "x", F_OK, 0) < 0);
	}
}

TEST(a_stream_holds_one_tree)
{
	ROOM;

	EXPECT(path_mkdir_all(root, "to", 0755, &err) == 0);
	add("t", '0', "", "x");
	add(".bashrc", '0', "", "bad");
	EXPECT_EQ(unpack(root, true), -EBADMSG);
	EXPECT(!holds(root, "to/.bashrc", "bad"));
}

TEST(a_hard_link_to_outside_is_refused)
{
	ROOM;

	EXPECT(make(root, "secret", "mine"));
	EXPECT(path_mkdir_all(root, "to", 0755, &err) == 0);
	add("t", '5', "", "");
	add("t/x", '1', "../secret", "");
	EXPECT_EQ(unpack(root, true), -EBADMSG);
}

TEST(damaged_streams_are_told)
{
	ROOM;

	EXPECT(path_mkdir_all(root, "to", 0755, &err) == 0);
	add("t", '0', "", "x");
	EXPECT_EQ(unpack(root, false), -EBADMSG);
	add("t", '0', "", "x");
	stream.data[0] = 'u';
	EXPECT_EQ(unpack(root, true), -EBADMSG);
	EXPECT_STR(err.msg, "the archive is damaged: a header's sum is wrong");
	add("t", 'Z', "", "");
	EXPECT_EQ(unpack(root, true), -EBADMSG);
	EXPECT_EQ(unpack(root, true), -EBADMSG);
	EXPECT_STR(err.msg, "the archive is empty");
}
