/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of the host becomes the layer that the tar of it would be. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/proc.h"
#include "kit.h"

__attribute__((constructor)) static void skip_unless_root(void)
{
	need_root();
}

/* A socket in the folder. */
static int put_socket(int dir, const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTO_CLOSE int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dir, name);
	return bind(s, (const struct sockaddr *)&addr, sizeof(addr));
}

TEST(a_folder_of_everything_reads_back_the_same)
{
	AUTO_CLOSE int zoo = zoo_new();
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;

	EXPECT_EQ(zoo_xattrs(zoo), 0);
	EXPECT_EQ(put_socket(zoo, "socket"), 0);
	if (layer_of_folder(zoo, file, NULL, &info, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT(fsck_agrees(file));
	AUTO_CLOSE int root = mount_layer(file);
	EXPECT(root >= 0);
	EXPECT(same_tree(zoo, root));
}

TEST(the_tar_of_a_folder_gives_the_same_layer_and_other_programs_read_it)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_BUF struct buf list = BUF_INIT;
	AUTO_CLOSE int zoo = zoo_new();
	AUTO_CLOSE int a = scratch_file();
	AUTO_CLOSE int b = scratch_file();
	AUTO_CLOSE int packed = scratch_file();
	struct layer_info x, y;
	struct err err = ERR_INIT;

	EXPECT_EQ(zoo_xattrs(zoo), 0);
	EXPECT_EQ(put_socket(zoo, "socket"), 0);
	char deep[300] = "sub/";
	memset(deep + 4, 'n', 250);
	EXPECT_EQ(put_file(zoo, deep, "long", 4, 0644), 0);
	EXPECT_EQ(layer_of_folder(zoo, a, &tar, &x, &err), 0);
	if (layer_of(&tar, b, &y, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT_EQ(memcmp(x.diff_id, y.diff_id, LAYER_DIGEST), 0);
	EXPECT_EQ(x.tar_bytes, tar.len);
	EXPECT(same_bytes(a, b));

	EXPECT_EQ(write(packed, tar.data, tar.len), tar.len);
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), packed);
	const char *argv[] = {"tar", "--numeric-owner", "-tvf", path, NULL};
	if (proc_run(argv, NULL, &list, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT(strstr(list.data, "-rwsr-xr-x 70000/4000000000") != NULL);
	EXPECT(strstr(list.data, deep) != NULL);
	EXPECT(strstr(list.data, "sub/odd-again link to a-odd") != NULL);
}

TEST(two_copies_of_a_folder_give_the_same_bytes)
{
	AUTO_CLOSE int zoo = zoo_new();
	AUTO_CLOSE int other = scratch_folder();
	AUTO_CLOSE int a = scratch_file();
	AUTO_CLOSE int b = scratch_file();
	struct layer_info x, y;
	struct err err = ERR_INIT;
	char from[64], to[64];

	EXPECT_EQ(zoo_xattrs(zoo), 0);
	(void)snprintf(from, sizeof(from), "/proc/%d/fd/%d/.", getpid(), zoo);
	(void)snprintf(to, sizeof(to), "/proc/%d/fd/%d/", getpid(), other);
	const char *argv[] = {"cp", "-a", from, to, NULL};
	EXPECT_EQ(proc_run(argv, NULL, NULL, &err), 0);
	EXPECT_EQ(layer_of_folder(zoo, a, NULL, &x, &err), 0);
	EXPECT_EQ(layer_of_folder(other, b, NULL, &y, &err), 0);
	EXPECT(same_bytes(a, b));

	AUTO_CLOSE int c = scratch_file();
	EXPECT_EQ(put_file(other, "one-more", "", 0, 0644), 0);
	EXPECT_EQ(layer_of_folder(other, c, NULL, &y, &err), 0);
	EXPECT(memcmp(x.diff_id, y.diff_id, LAYER_DIGEST) != 0);
	EXPECT(!same_bytes(a, c));
}

TEST(holes_of_a_folders_files_stay_holes)
{
	AUTO_CLOSE int dir = scratch_folder();
	AUTO_CLOSE int file = scratch_file();
	AUTO_CLOSE int f = openat(dir, "sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	struct layer_info info;
	struct err err = ERR_INIT;
	struct stat st;

	EXPECT_EQ(ftruncate(f, 300000000), 0);
	EXPECT_EQ(pwrite(f, "x", 1, 200000000), 1);
	EXPECT_EQ(layer_of_folder(dir, file, NULL, &info, &err), 0);
	EXPECT_EQ(info.image_bytes, 2 << 20);
	EXPECT_EQ(fstat(file, &st), 0);
	EXPECT(st.st_blocks * 512 < 200000);
	AUTO_CLOSE int root = mount_layer(file);
	EXPECT(same_tree(dir, root));
}

/* Makes a layer of the folder, which must fail with that text. */
static void refused(int dir, const char *why)
{
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;

	EXPECT(layer_of_folder(dir, file, NULL, &info, &err) < 0);
	if (!strstr(err.msg, why))
		FAIL("\"%s\" does not say \"%s\"", err.msg, why);
}

TEST(names_that_mean_a_deletion_are_refused)
{
	AUTO_CLOSE int dir = scratch_folder();

	EXPECT_EQ(mkdirat(dir, "sub", 0755) | put_file(dir, "sub/.wh.x", "", 0, 0644), 0);
	refused(dir, "'sub': it holds a name that begins with '.wh.'");
}

TEST(marks_of_the_overlay_file_system_are_refused)
{
	AUTO_CLOSE int dir = scratch_folder();

	EXPECT_EQ(mkdirat(dir, "sub", 0755) | mknodat(dir, "sub/w", S_IFCHR | 0600, 0), 0);
	refused(dir, "'sub/w': device 0/0");
	EXPECT_EQ(unlinkat(dir, "sub/w", 0), 0);
	AUTO_CLOSE int sub = openat(dir, "sub", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(fsetxattr(sub, "trusted.overlay.opaque", "y", 1, 0), 0);
	refused(dir, "'sub': attribute 'trusted.overlay.opaque'");
}

TEST(links_of_a_folder_are_never_followed)
{
	AUTO_CLOSE int dir = scratch_folder();
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;

	EXPECT_EQ(symlinkat("/", dir, "up") | symlinkat(".", dir, "loop"), 0);
	EXPECT_EQ(layer_of_folder(dir, file, NULL, &info, &err), 0);
	EXPECT_EQ(info.entries, 3);
}

TEST(what_is_mounted_in_a_folder_is_left_out)
{
	AUTO_CLOSE int dir = scratch_folder();
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;
	struct stat st;
	char path[64];

	EXPECT_EQ(mkdirat(dir, "mnt", 0755) | mkdirat(dir, "plain", 0755), 0);
	EXPECT_EQ(unshare(CLONE_NEWNS), 0);
	EXPECT_EQ(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	/* by its name: the descriptor still is of the old mount namespace */
	char name[PATH_MAX] = "";
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	EXPECT(readlink(path, name, sizeof(name) - 1) > 0);
	AUTO_CLOSE int again = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/mnt", again);
	EXPECT_EQ(mount("none", path, "tmpfs", 0, "mode=0711"), 0);
	EXPECT_EQ(put_file(again, "mnt/secret", "x", 1, 0644), 0);
	int r = layer_of_folder(again, file, NULL, &info, &err);
	EXPECT_EQ(umount2(path, MNT_DETACH), 0);
	if (r < 0)
		FAIL("%s", err.msg);
	AUTO_CLOSE int root = mount_layer(file);
	EXPECT_EQ(fstatat(root, "mnt", &st, 0), 0);
	EXPECT(fstatat(root, "mnt/secret", &st, 0) < 0);
	EXPECT_EQ(errno, ENOENT);
}
