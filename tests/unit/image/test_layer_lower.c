/* SPDX-License-Identifier: Apache-2.0 */
/* Layers that say something only together with what lies below them. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "kit.h"

__attribute__((constructor)) static void skip_unless_root(void)
{
	need_root();
}

/* A folder of the host plays the layers below. */
static int open_lower(void *ctx, const char *path, int *ret, struct err *err)
{
	struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
			       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	int fd = (int)syscall(SYS_openat2, *(int *)ctx, path, &how, sizeof(how));

	if (fd < 0 && errno == ENOENT)
		return LAYER_ABSENT;
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return LAYER_OTHER;
	if (fd < 0)
		return err_sys(err, "open '%s'", path);
	*ret = fd;
	return 0;
}

/* Makes the layer of the tar over the folder `below`, and mounts it: the root, or -1. */
static int layer_over(struct buf *tar, int below, struct layer_info *info, struct err *err)
{
	AUTO_CLOSE int file = scratch_file();
	struct layer_lower lower = {&below, open_lower};

	tar_end(tar);
	if (layer_of_bytes(tar->data, tar->len, file, NULL, &lower, info, err) < 0) {
		printf("# %s\n", err->msg);
		return -1;
	}
	return fsck_agrees(file) ? mount_layer(file) : -1;
}

TEST(a_folder_that_is_only_named_takes_after_the_one_below)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int below = scratch_folder();
	struct layer_info info;
	struct err err = ERR_INIT;
	struct stat st;
	char value[8];

	EXPECT_EQ(mkdirat(below, "etc", 0700) | mkdirat(below, "etc/app", 0711), 0);
	EXPECT_EQ(fchownat(below, "etc/app", 70001, 5, 0), 0);
	set_mtime(below, "etc/app", 1234567890, 42);
	AUTO_CLOSE int app = openat(below, "etc/app", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(fsetxattr(app, "user.k", "v", 1, 0), 0);
	EXPECT_EQ(fsetxattr(app, "trusted.overlay.opaque", "y", 1, 0), 0);
	tar_file(&tar, "etc/app/conf", "c");
	tar_file(&tar, "new/conf", "c");
	AUTO_CLOSE int root = layer_over(&tar, below, &info, &err);
	EXPECT(root >= 0);
	EXPECT(info.needs_lower);
	EXPECT_EQ(fstatat(root, "etc/app", &st, 0), 0);
	EXPECT_EQ(st.st_mode, S_IFDIR | 0711);
	EXPECT_EQ(st.st_uid, 70001);
	EXPECT_EQ(st.st_gid, 5);
	EXPECT_EQ(st.st_mtim.tv_sec, 1234567890);
	EXPECT_EQ(st.st_mtim.tv_nsec, 42);
	AUTO_CLOSE int got = openat(root, "etc/app", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(fgetxattr(got, "user.k", value, sizeof(value)), 1);
	EXPECT(fgetxattr(got, "trusted.overlay.opaque", value, sizeof(value)) < 0);
	EXPECT_EQ(fstatat(root, "etc", &st, 0), 0);
	EXPECT_EQ(st.st_mode, S_IFDIR | 0700);
	EXPECT_EQ(fstatat(root, "new", &st, 0), 0);
	EXPECT_EQ(st.st_mode, S_IFDIR | 0755);
}

TEST(a_hard_link_into_the_layers_below_brings_the_file_along)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int below = scratch_folder();
	struct layer_info info;
	struct err err = ERR_INIT;
	struct stat a, b;

	EXPECT_EQ(mkdirat(below, "bin", 0755) | put_file(below, "bin/tool", "tool\n", 5, 04711), 0);
	EXPECT_EQ(fchownat(below, "bin/tool", 3, 4, 0) | fchmodat(below, "bin/tool", 04711, 0), 0);
	tar_member(&tar, "one", '1', 0, "bin/tool", NULL, 0);
	tar_member(&tar, "two", '1', 0, "/bin/tool", NULL, 0);
	AUTO_CLOSE int root = layer_over(&tar, below, &info, &err);
	EXPECT(root >= 0);
	EXPECT(info.needs_lower);
	EXPECT(holds(root, "one", "tool\n", 5));
	EXPECT_EQ(fstatat(root, "one", &a, 0) | fstatat(root, "two", &b, 0), 0);
	EXPECT_EQ(a.st_mode, S_IFREG | 04711);
	EXPECT_EQ(a.st_uid, 3);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT_EQ(a.st_nlink, 3);
	EXPECT_EQ(fstatat(root, "bin/tool", &b, 0), 0); /* else it would stay another file */
	EXPECT_EQ(a.st_ino, b.st_ino);
}

/* Makes the layer of the tar over the folder `below` (-1: over nothing), which must fail so. */
static void refused(struct buf *tar, int below, const char *why)
{
	AUTO_CLOSE int file = scratch_file();
	struct layer_lower lower = {&below, open_lower};
	struct layer_info info;
	struct err err = ERR_INIT;

	tar_end(tar);
	EXPECT(layer_of_bytes(tar->data, tar->len, file, NULL, below < 0 ? NULL : &lower, &info,
			      &err) < 0);
	if (!strstr(err.msg, why))
		FAIL("\"%s\" does not say \"%s\"", err.msg, why);
	EXPECT(mount_layer(file) < 0);
}

TEST(a_hard_link_to_what_is_nowhere_is_refused)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int below = scratch_folder();

	tar_member(&tar, "one", '1', 0, "bin/tool", NULL, 0);
	refused(&tar, below, "hard link to 'bin/tool': neither in this layer nor");
}

TEST(a_hard_link_to_a_later_entry_is_refused)
{
	AUTO_BUF struct buf tar = BUF_INIT;

	tar_member(&tar, "one", '1', 0, "two", NULL, 0);
	tar_file(&tar, "two", "x");
	refused(&tar, -1, "hard link to 'two': neither in this layer nor");
}

TEST(a_hard_link_never_follows_a_link_of_the_layers_below)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int below = scratch_folder();

	EXPECT_EQ(symlinkat("/etc/passwd", below, "l"), 0);
	tar_member(&tar, "one", '1', 0, "l", NULL, 0);
	refused(&tar, below, "hard link to 'l', which is no regular file in the layers below");
	buf_clear(&tar);
	EXPECT_EQ(mkdirat(below, "d", 0755) | put_file(below, "d/f", "", 0, 0644), 0);
	EXPECT_EQ(symlinkat("d", below, "m"), 0);
	tar_member(&tar, "one", '1', 0, "m/f", NULL, 0);
	refused(&tar, below, "'m' is only named, and a link or file in the layers below");
}

TEST(i2_nothing_is_written_through_a_link_of_the_layers_below)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int below = scratch_folder();
	struct layer_info info;
	struct err err = ERR_INIT;

	EXPECT_EQ(symlinkat("usr/lib", below, "lib") | mkdirat(below, "usr", 0755), 0);
	EXPECT_EQ(mkdirat(below, "usr/lib", 0755) | put_file(below, "file", "", 0, 0644), 0);
	tar_file(&tar, "lib/x", "");
	refused(&tar, below, "'lib' is only named, and a link or file in the layers below");
	buf_clear(&tar);
	tar_file(&tar, "file/x", "");
	refused(&tar, below, "'file' is only named, and a link or file in the layers below");
	buf_clear(&tar);
	/* a folder that is an entry itself takes the link's place, as in docker */
	tar_member(&tar, "lib/", '5', 0755, NULL, NULL, 0);
	tar_file(&tar, "lib/x", "own");
	AUTO_CLOSE int root = layer_over(&tar, below, &info, &err);
	EXPECT(holds(root, "lib/x", "own", 3));
}

TEST(a_hard_link_to_a_folder_below_is_refused)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int below = scratch_folder();

	EXPECT_EQ(mkdirat(below, "d", 0755), 0);
	tar_member(&tar, "one", '1', 0, "d", NULL, 0);
	refused(&tar, below, "hard link to 'd', which is no regular file in the layers below");
}

TEST(what_this_layer_hides_is_not_taken_from_below)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int below = scratch_folder();
	struct layer_info info;
	struct err err = ERR_INIT;
	struct stat st;

	EXPECT_EQ(mkdirat(below, "o", 0700) | mkdirat(below, "o/sub", 0700), 0);
	EXPECT_EQ(mkdirat(below, "w", 0700), 0);
	tar_member(&tar, "o/", '5', 0751, NULL, NULL, 0);
	tar_file(&tar, "o/.wh..wh..opq", "");
	tar_file(&tar, "o/sub/f", "");
	tar_file(&tar, ".wh.w", "");
	tar_file(&tar, "w/f", "");
	AUTO_CLOSE int root = layer_over(&tar, below, &info, &err);
	EXPECT(root >= 0);
	EXPECT(!info.needs_lower);
	EXPECT_EQ(fstatat(root, "o/sub", &st, 0), 0);
	EXPECT_EQ(st.st_mode, S_IFDIR | 0755);
	EXPECT_EQ(fstatat(root, "w", &st, 0), 0);
	EXPECT_EQ(st.st_mode, S_IFDIR | 0755);
	AUTO_CLOSE int w = openat(root, "w", O_RDONLY | O_CLOEXEC);
	char value[4];
	EXPECT_EQ(fgetxattr(w, "trusted.overlay.opaque", value, sizeof(value)), 1);
}

TEST(the_same_tar_over_other_layers_gets_another_uuid)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	uint8_t uuid[2][16], chain[LAYER_DIGEST] = {0};

	tar_file(&tar, "only/named", "x");
	tar_end(&tar);
	for (int i = 0; i < 2; i++) {
		AUTO(auto_layer_free) struct layer *layer = NULL;
		AUTO_CLOSE int file = scratch_file();
		AUTO_CLOSE int in = scratch_file();
		struct err err = ERR_INIT;
		EXPECT_EQ(pwrite(in, tar.data, tar.len, 0), tar.len);
		EXPECT_EQ(layer_new(file, NULL, &layer, &err), 0);
		EXPECT_EQ(layer_read_tar(layer, layer_read_fd, &in, &err), 0);
		EXPECT(layer_info(layer)->needs_lower);
		chain[5] = (uint8_t)i;
		EXPECT_EQ(layer_finish(layer, NULL, chain, &err), 0);
		EXPECT_EQ(pread(file, uuid[i], 16, 1024 + 48), 16);
	}
	EXPECT(memcmp(uuid[0], uuid[1], 16) != 0);
}
