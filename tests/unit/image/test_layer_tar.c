/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel reads out of a mounted layer is what went into the tar. */
#include "../test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "kit.h"

__attribute__((constructor)) static void skip_unless_root(void)
{
	need_root();
}

static void compare_with_tar(int zoo, const char *command)
{
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;

	if (layer_of_command(command, zoo, file, &info, &err) < 0)
		FAIL("%s: %s", command, err.msg);
	EXPECT(!info.needs_lower);
	EXPECT(info.has_root);
	EXPECT(fsck_agrees(file));
	AUTO_CLOSE int root = mount_layer(file);
	EXPECT(root >= 0);
	EXPECT(same_tree(zoo, root));
}

TEST(a_pax_tar_of_everything_reads_back_the_same)
{
	AUTO_CLOSE int zoo = zoo_new();
	EXPECT(zoo >= 0);
	compare_with_tar(zoo, "tar --format=posix --pax-option=delete=atime,delete=ctime -c .");
}

TEST(extended_attributes_read_back_the_same)
{
	AUTO_CLOSE int zoo = zoo_new();
	EXPECT(zoo >= 0);
	EXPECT_EQ(zoo_xattrs(zoo), 0);
	compare_with_tar(zoo, "tar --format=posix --xattrs '--xattrs-include=*' -c .");
}

TEST(a_gnu_tar_of_everything_reads_back_the_same)
{
	AUTO_CLOSE int zoo = zoo_new();
	EXPECT(zoo >= 0);
	for (const char *const *name =
		     (const char *const[]){"empty", "big", "link", "sub/deep", NULL};
	     *name; name++)
		set_mtime(zoo, *name, 1500000000, 0);
	/* GNU's form has no fractions of seconds */
	compare_with_tar(zoo, "find . -exec touch -h -d @1500000000 {} + && tar --format=gnu -c .");
}

TEST(compressed_tars_read_back_the_same)
{
	AUTO_CLOSE int zoo = zoo_new();
	EXPECT(zoo >= 0);
	compare_with_tar(zoo, "tar --format=posix -c . | gzip -1");
	if (!test_failed)
		compare_with_tar(zoo, "tar --format=posix -c . | zstd -q");
	if (!test_failed)
		compare_with_tar(zoo, "tar --format=posix -c . | xz -1");
}

TEST(sparse_files_read_back_the_same_in_each_form_and_stay_small)
{
	static const char *const forms[] = {"--format=gnu", "--format=posix --sparse-version=0.0",
					    "--format=posix --sparse-version=0.1",
					    "--format=posix --sparse-version=1.0", NULL};
	AUTO_CLOSE int dir = scratch_folder();
	AUTO_CLOSE int f = openat(dir, "sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	EXPECT_EQ(ftruncate(f, 40000001), 0);
	for (off_t at = 0; at < 39000000; at += 3900001)
		EXPECT_EQ(pwrite(f, "hello", 5, at), 5);
	AUTO_CLOSE int g = openat(dir, "hole", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	EXPECT_EQ(ftruncate(g, 123456789), 0);
	for (const char *const *form = forms; *form; form++) {
		AUTO_CLOSE int file = scratch_file();
		struct layer_info info;
		struct err err = ERR_INIT;
		char command[200];

		(void)snprintf(command, sizeof(command),
			       "touch -d @1500000000 . sparse hole && tar -S %s -c .", *form);
		if (layer_of_command(command, dir, file, &info, &err) < 0)
			FAIL("%s: %s", *form, err.msg);
		EXPECT(info.tar_bytes < 1 << 20);
		EXPECT(info.image_bytes <= 4 << 20);
		EXPECT(fsck_agrees(file));
		AUTO_CLOSE int root = mount_layer(file);
		EXPECT(root >= 0);
		EXPECT(same_tree(dir, root));
	}
}

TEST(zeros_in_a_tar_become_holes)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;
	enum { N = 16 << 20 };
	AUTO_FREE char *content = calloc(1, N);

	memset(content + N / 2 + 10, 'm', 6);
	tar_member(&tar, "f", '0', 0644, NULL, content, N);
	tar_end(&tar);
	EXPECT_EQ(layer_of(&tar, file, &info, &err), 0);
	EXPECT(info.image_bytes <= 2 << 20);
	AUTO_CLOSE int root = mount_layer(file);
	EXPECT(holds(root, "f", content, N));
	struct stat st;
	EXPECT_EQ(fstatat(root, "f", &st, 0), 0);
	EXPECT_EQ(st.st_size, N);
	EXPECT_EQ(fstat(file, &st), 0);
	EXPECT(st.st_blocks * 512 < 1 << 20);
	EXPECT(fsck_agrees(file));
}

TEST(a_file_of_more_than_4_gib_reads_back_the_same)
{
	AUTO_CLOSE int dir = scratch_folder();
	AUTO_CLOSE int file = scratch_file();
	AUTO_CLOSE int f = openat(dir, "large", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	struct layer_info info;
	struct err err = ERR_INIT;
	char got[8] = "";
	const off_t size = 5000000000;

	EXPECT_EQ(ftruncate(f, size), 0);
	EXPECT_EQ(pwrite(f, "first", 5, 0), 5);
	EXPECT_EQ(pwrite(f, "behind", 6, 4294967296 + 77), 6);
	EXPECT_EQ(pwrite(f, "last", 4, size - 4), 4);
	EXPECT_EQ(layer_of_command("tar -S --format=posix -c .", dir, file, &info, &err), 0);
	AUTO_CLOSE int root = mount_layer(file);
	AUTO_CLOSE int large = openat(root, "large", O_RDONLY | O_CLOEXEC);
	struct stat st;
	EXPECT_EQ(fstat(large, &st), 0);
	EXPECT_EQ(st.st_size, size);
	EXPECT_EQ(pread(large, got, 5, 0), 5);
	EXPECT_EQ(memcmp(got, "first", 5), 0);
	EXPECT_EQ(pread(large, got, 6, 4294967296 + 77), 6);
	EXPECT_EQ(memcmp(got, "behind", 6), 0);
	EXPECT_EQ(pread(large, got, 8, size - 4), 4);
	EXPECT_EQ(memcmp(got, "last", 4), 0);
	EXPECT_EQ(pread(large, got, 1, 4294967296), 1);
	EXPECT_EQ(got[0], 0);
	EXPECT(info.image_bytes <= 4 << 20);
}

TEST(hard_links_share_one_inode)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;
	struct stat a, b;

	tar_member(&tar, "d/", '5', 0755, NULL, NULL, 0);
	tar_file(&tar, "d/a", "text");
	tar_member(&tar, "b", '1', 0644, "./d/a", NULL, 0);
	tar_member(&tar, "c", '1', 0644, "b", NULL, 0);
	tar_end(&tar);
	EXPECT_EQ(layer_of(&tar, file, &info, &err), 0);
	EXPECT(!info.needs_lower);
	AUTO_CLOSE int root = mount_layer(file);
	EXPECT_EQ(fstatat(root, "d/a", &a, 0) | fstatat(root, "c", &b, 0), 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT_EQ(a.st_nlink, 3);
	EXPECT(holds(root, "b", "text", 4));
}

TEST(whiteouts_and_opaque_folders_are_what_overlayfs_reads)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;
	struct stat st;
	char value[8];

	tar_member(&tar, "d/", '5', 0755, NULL, NULL, 0);
	tar_file(&tar, "d/.wh.gone", "");
	tar_member(&tar, "o/", '5', 0700, NULL, NULL, 0);
	tar_file(&tar, "o/.wh..wh..opq", "");
	tar_end(&tar);
	EXPECT_EQ(layer_of(&tar, file, &info, &err), 0);
	EXPECT(fsck_agrees(file));
	AUTO_CLOSE int root = mount_layer(file);
	EXPECT_EQ(fstatat(root, "d/gone", &st, AT_SYMLINK_NOFOLLOW), 0);
	EXPECT(S_ISCHR(st.st_mode));
	EXPECT_EQ(st.st_rdev, 0);
	EXPECT(fstatat(root, "d/.wh.gone", &st, 0) < 0);
	AUTO_CLOSE int o = openat(root, "o", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(fgetxattr(o, "trusted.overlay.opaque", value, sizeof(value)), 1);
	EXPECT_EQ(value[0], 'y');
	EXPECT_EQ(fgetxattr(o, "user.overlay.opaque", value, sizeof(value)), 1);
	AUTO_CLOSE int d = openat(root, "d", O_RDONLY | O_CLOEXEC);
	EXPECT(fgetxattr(d, "trusted.overlay.opaque", value, sizeof(value)) < 0);
}

TEST(i5_of_entries_with_one_name_the_last_wins_whatever_its_type)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;
	struct stat st;
	char value[8];

	tar_file(&tar, "file-file", "first");
	tar_member(&tar, "hard", '1', 0, "file-file", NULL, 0);
	tar_file(&tar, "file-file", "second");
	tar_member(&tar, "dir-file", '5', 0755, NULL, NULL, 0);
	tar_file(&tar, "dir-file/below", "x");
	tar_file(&tar, "dir-file", "file");
	tar_file(&tar, "file-dir", "x");
	tar_member(&tar, "file-dir", '5', 0711, NULL, NULL, 0);
	tar_file(&tar, "file-dir/below", "x");
	tar_member(&tar, "dir-link", '5', 0755, NULL, NULL, 0);
	tar_file(&tar, "dir-link/below", "x");
	tar_member(&tar, "dir-link", '2', 0777, "/etc", NULL, 0);
	tar_member(&tar, "link-dir", '2', 0777, "/etc", NULL, 0);
	tar_member(&tar, "link-dir/", '5', 0755, NULL, NULL, 0);
	tar_file(&tar, "link-dir/passwd", "mine");
	tar_member(&tar, "dir-dir/", '5', 0700, NULL, NULL, 0);
	tar_file(&tar, "dir-dir/kept", "x");
	tar_member(&tar, "dir-dir/", '5', 0755, NULL, NULL, 0);
	tar_member(&tar, "./", '5', 0711, NULL, NULL, 0);
	tar_end(&tar);
	if (layer_of(&tar, file, &info, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT(!info.needs_lower);
	EXPECT(fsck_agrees(file));
	AUTO_CLOSE int root = mount_layer(file);
	EXPECT(holds(root, "file-file", "second", 6));
	EXPECT(holds(root, "hard", "first", 5));
	EXPECT_EQ(fstatat(root, "hard", &st, 0), 0);
	EXPECT_EQ(st.st_nlink, 1);
	EXPECT(holds(root, "dir-file", "file", 4));
	EXPECT(holds(root, "file-dir/below", "x", 1));
	EXPECT_EQ(readlinkat(root, "dir-link", value, sizeof(value)), 4);
	EXPECT(holds(root, "link-dir/passwd", "mine", 4));
	EXPECT(holds(root, "dir-dir/kept", "x", 1));
	EXPECT_EQ(fstatat(root, "dir-dir", &st, 0), 0);
	EXPECT_EQ(st.st_mode & 07777, 0755);
	EXPECT_EQ(fstatat(root, ".", &st, 0), 0);
	EXPECT_EQ(st.st_mode & 07777, 0711);
	/* the file hid what is below, and so does the folder in its place */
	AUTO_CLOSE int dir = openat(root, "file-dir", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(fgetxattr(dir, "trusted.overlay.opaque", value, sizeof(value)), 1);
	AUTO_CLOSE int merged = openat(root, "dir-dir", O_RDONLY | O_CLOEXEC);
	EXPECT(fgetxattr(merged, "trusted.overlay.opaque", value, sizeof(value)) < 0);
}

TEST(i7_names_of_255_bytes_of_any_value_read_back_the_same)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;
	char name[256] = "", link[4096] = "";

	for (int i = 0; i < 255; i++)
		name[i] = (char)(i + 1 == '/' ? 'x' : i + 1);
	memset(link, 'l', 4095);
	tar_pax(&tar, "path", name, 255);
	tar_file(&tar, "x", "found");
	tar_pax(&tar, "linkpath", link, 4095);
	tar_member(&tar, "link", '2', 0777, "", NULL, 0);
	tar_end(&tar);
	EXPECT_EQ(layer_of(&tar, file, &info, &err), 0);
	AUTO_CLOSE int root = mount_layer(file);
	EXPECT(holds(root, name, "found", 5));
	char got[4097];
	EXPECT_EQ(readlinkat(root, "link", got, sizeof(got)), 4095);
	EXPECT_EQ(memcmp(got, link, 4095), 0);
	EXPECT(fsck_agrees(file));
}

/* Makes a layer of each committed input of the fuzzer, and mounts it when there is one. */
TEST(what_the_fuzzers_corpus_makes_can_be_mounted)
{
	AUTO_CLOSE int corpus = open(CORPUS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fdopendir(fcntl(corpus, F_DUPFD_CLOEXEC, 0));
	int made = 0;

	EXPECT(dir != NULL);
	for (const struct dirent *d; (d = readdir(dir));) {
		AUTO_CLOSE int in = openat(corpus, d->d_name, O_RDONLY | O_CLOEXEC);
		AUTO_CLOSE int file = scratch_file();
		AUTO(auto_layer_free) struct layer *layer = NULL;
		struct err err = ERR_INIT;
		if (layer_new(file, NULL, &layer, &err) < 0 ||
		    layer_read_tar(layer, layer_read_fd, &in, &err) < 0 ||
		    layer_finish(layer, NULL, NULL, &err) < 0)
			continue;
		AUTO_CLOSE int root = mount_layer(file);
		if (root < 0 || !fsck_agrees(file)) {
			printf("# %s\n", d->d_name);
			made = -1000;
		}
		made++;
	}
	(void)closedir(dir);
	EXPECT(made >= 10);
}

TEST(overlayfs_hides_what_a_layer_deletes_replaces_or_covers)
{
	AUTO_BUF struct buf base = BUF_INIT;
	AUTO_BUF struct buf top = BUF_INIT;
	AUTO_CLOSE int base_file = scratch_file();
	AUTO_CLOSE int top_file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;
	struct stat st;

	for (const char *const *dir = (const char *const[]){"opaque", "again", "merged", NULL};
	     *dir; dir++) {
		char name[64];
		tar_member(&base, *dir, '5', 0755, NULL, NULL, 0);
		(void)snprintf(name, sizeof(name), "%s/old", *dir);
		tar_file(&base, name, "old");
	}
	tar_end(&base);
	tar_member(&top, "opaque", '5', 0755, NULL, NULL, 0);
	tar_file(&top, "opaque/.wh..wh..opq", "");
	tar_file(&top, "opaque/new", "new");
	tar_file(&top, ".wh.again", "");
	tar_member(&top, "again", '5', 0755, NULL, NULL, 0);
	tar_file(&top, "again/new", "new");
	tar_member(&top, "merged", '5', 0711, NULL, NULL, 0);
	tar_file(&top, "merged/new", "new");
	tar_end(&top);
	EXPECT_EQ(layer_of(&base, base_file, &info, &err), 0);
	EXPECT_EQ(layer_of(&top, top_file, &info, &err), 0);
	AUTO_CLOSE int lower = mount_layer(base_file);
	AUTO_CLOSE int upper = mount_layer(top_file);
	AUTO_CLOSE int root = mount_overlay((const int[]){upper, lower}, 2);
	EXPECT(root >= 0);
	EXPECT(holds(root, "opaque/new", "new", 3));
	EXPECT(fstatat(root, "opaque/old", &st, 0) < 0);
	EXPECT(holds(root, "again/new", "new", 3));
	EXPECT(fstatat(root, "again/old", &st, 0) < 0);
	EXPECT(holds(root, "merged/new", "new", 3));
	EXPECT(holds(root, "merged/old", "old", 3));
	EXPECT_EQ(fstatat(root, "merged", &st, 0), 0);
	EXPECT_EQ(st.st_mode & 07777, 0711);
}

TEST(a_full_disk_is_one_clear_failure)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_FREE char *noise = malloc(1 << 20);
	AUTO_CLOSE int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	struct layer_info info;
	struct err err = ERR_INIT;

	EXPECT_EQ(fsconfig(fs, FSCONFIG_SET_STRING, "size", "256k", 0), 0);
	EXPECT_EQ(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	AUTO_CLOSE int small = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	AUTO_CLOSE int file = openat(small, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT(file >= 0);
	memset(noise, 'n', 1 << 20);
	tar_member(&tar, "f", '0', 0644, NULL, noise, 1 << 20);
	tar_end(&tar);
	EXPECT_EQ(layer_of(&tar, file, &info, &err), -ENOSPC);
	EXPECT_STR(err.msg, "write 'the layer file': No space left on device");
	EXPECT(mount_layer(file) < 0);
}

TEST(a_hundred_layers_make_one_tree)
{
	enum { N = 100 };
	int lowers[N];
	struct err err = ERR_INIT;
	struct stat st;

	for (int i = 0; i < N; i++) {
		AUTO_BUF struct buf tar = BUF_INIT;
		AUTO_CLOSE int file = scratch_file();
		struct layer_info info;
		char name[32];

		tar_member(&tar, "dir/", '5', 0755, NULL, NULL, 0);
		(void)snprintf(name, sizeof(name), "dir/f%d", i);
		tar_file(&tar, name, name);
		tar_file(&tar, "top", name);
		(void)snprintf(name, sizeof(name), "dir/.wh.f%d", i - 50);
		if (i >= 50)
			tar_file(&tar, name, "");
		tar_end(&tar);
		EXPECT_EQ(layer_of(&tar, file, &info, &err), 0);
		lowers[N - 1 - i] = mount_layer(file);
		EXPECT(lowers[N - 1 - i] >= 0);
	}
	AUTO_CLOSE int root = mount_overlay(lowers, N);
	for (int i = 0; i < N; i++)
		auto_close(&lowers[i]);
	EXPECT(root >= 0);
	EXPECT(holds(root, "top", "dir/f99", 7));
	EXPECT(holds(root, "dir/f50", "dir/f50", 7));
	EXPECT(fstatat(root, "dir/f49", &st, 0) < 0);
	EXPECT_EQ(errno, ENOENT);
	EXPECT(fstatat(root, "dir/f0", &st, 0) < 0);
}

TEST(a_folder_of_100000_names_is_found_and_listed_whole)
{
	enum { N = 100000 };
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;
	char name[64];
	struct stat st;
	int listed = 0;

	tar_member(&tar, "d/", '5', 0755, NULL, NULL, 0);
	for (int i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "d/%08x-file", (unsigned int)i * 2654435761U);
		tar_file(&tar, name, "");
	}
	tar_end(&tar);
	EXPECT_EQ(layer_of(&tar, file, &info, &err), 0);
	EXPECT_EQ(info.entries, N + 1);
	AUTO_CLOSE int root = mount_layer(file);
	for (int i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "d/%08x-file", (unsigned int)i * 2654435761U);
		if (fstatat(root, name, &st, 0) < 0)
			FAIL("%s is not found", name);
	}
	DIR *dir = fdopendir(openat(root, "d", O_RDONLY | O_CLOEXEC));
	EXPECT(dir != NULL);
	while (readdir(dir))
		listed++;
	(void)closedir(dir);
	EXPECT_EQ(listed, N + 2);
	EXPECT(fsck_agrees(file));
}

TEST(the_same_tar_gives_the_same_bytes)
{
	AUTO_CLOSE int zoo = zoo_new();
	AUTO_CLOSE int a = scratch_file();
	AUTO_CLOSE int b = scratch_file();
	struct layer_info x, y;
	struct err err = ERR_INIT;

	EXPECT_EQ(zoo_xattrs(zoo), 0);
	const char *command = "tar --format=posix --pax-option=delete=atime,delete=ctime "
			      "--xattrs '--xattrs-include=*' -c .";
	EXPECT_EQ(layer_of_command(command, zoo, a, &x, &err), 0);
	(void)snprintf(err.msg, sizeof(err.msg), "%s | gzip", command);
	char zipped[300];
	(void)snprintf(zipped, sizeof(zipped), "%s | gzip", command);
	EXPECT_EQ(layer_of_command(zipped, zoo, b, &y, &err), 0);
	EXPECT(same_bytes(a, b));
	EXPECT_EQ(memcmp(x.diff_id, y.diff_id, LAYER_DIGEST), 0);
	EXPECT(memcmp(x.blob, y.blob, LAYER_DIGEST) != 0);
	EXPECT_EQ(x.image_bytes % (2 << 20), 0);
}
