/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/path.h"
#include "kit.h"

/* A root with a way out of every kind: out/ is beside it. */
static bool hostile(const struct folder *f)
{
	char outside[128];

	(void)snprintf(outside, sizeof(outside), "%s/secret", f->path);
	return put(f->fd, "secret", "outside") && mkdirat(f->fd, "root", 0755) == 0 &&
	       mkdirat(f->fd, "root/etc", 0755) == 0 && put(f->fd, "root/etc/passwd", "inside") &&
	       put(f->fd, "root/secret", "inside") &&
	       symlinkat("../../../../secret", f->fd, "root/up") == 0 &&
	       symlinkat("/secret", f->fd, "root/absolute") == 0 &&
	       symlinkat(outside, f->fd, "root/host") == 0 &&
	       symlinkat("/etc", f->fd, "root/folder") == 0 &&
	       symlinkat("loop", f->fd, "root/loop") == 0 &&
	       symlinkat("/proc/self/root", f->fd, "root/magic") == 0;
}

static int root_of(const struct folder *f)
{
	return openat(f->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static bool reads(int fd, const char *want)
{
	char text[16] = "";

	return fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0 && strcmp(text, want) == 0;
}

TEST(links_and_dots_stay_inside_the_root)
{
	static const char *const ways[] = {
		"up", "absolute", "/secret", "../../secret", "etc/../../../secret", "/./secret"};
	FOLDER(f);

	EXPECT(hostile(&f));
	AUTO_CLOSE int root = root_of(&f);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct err err = ERR_INIT;
		AUTO_CLOSE int fd = path_open_in(root, ways[i], O_RDONLY, 0, &err);
		EXPECT(reads(fd, "inside"));
		EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	}
}

TEST(a_link_to_a_path_of_the_host_finds_nothing)
{
	struct err err = ERR_INIT;
	FOLDER(f);

	EXPECT(hostile(&f));
	AUTO_CLOSE int root = root_of(&f);
	EXPECT_EQ(path_open_in(root, "host", O_RDONLY, 0, &err), -ENOENT);
	EXPECT_STR(err.msg, "open 'host': No such file or directory");
	err = ERR_INIT;
	EXPECT_EQ(path_open_in(root, "loop", O_RDONLY, 0, &err), -ELOOP);
}

TEST(a_magic_link_is_refused)
{
	struct err err = ERR_INIT;

	AUTO_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	EXPECT_EQ(path_open_in(root, "/proc/self/exe", O_RDONLY, 0, &err), -ELOOP);
}

TEST(a_file_is_made_inside)
{
	struct err err = ERR_INIT;
	FOLDER(f);

	EXPECT(hostile(&f));
	AUTO_CLOSE int root = root_of(&f);
	AUTO_CLOSE int fd = path_open_in(root, "folder/new", O_WRONLY | O_CREAT | O_EXCL, 0640,
					 &err);
	EXPECT(fd >= 0);
	EXPECT_EQ(faccessat(f.fd, "root/etc/new", F_OK, 0), 0);
}

TEST(folders_are_made_with_their_parents_through_links_inside)
{
	struct err err = ERR_INIT;
	FOLDER(f);

	EXPECT(hostile(&f));
	AUTO_CLOSE int root = root_of(&f);
	AUTO_CLOSE int fd = path_mkdir_in(root, "/folder/a//b/c/", 0750, &err);
	EXPECT(fd >= 0);
	struct stat made, found;
	EXPECT_EQ(fstat(fd, &made), 0);
	EXPECT_EQ(fstatat(f.fd, "root/etc/a/b/c", &found, 0), 0);
	EXPECT_EQ(made.st_ino, found.st_ino);
	EXPECT_EQ(made.st_mode & 07777, 0750);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

TEST(a_folder_that_is_there_is_opened_whatever_its_name)
{
	static const char *const names[] = {"/", "", "etc", "folder", "../../etc", "/etc/."};
	FOLDER(f);

	EXPECT(hostile(&f));
	AUTO_CLOSE int root = root_of(&f);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct err err = ERR_INIT;
		AUTO_CLOSE int fd = path_mkdir_in(root, names[i], 0755, &err);
		EXPECT(names[i][0] == '\0' ? fd >= 0 || fd == -ENOENT : fd >= 0);
	}
}

TEST(no_folder_is_made_where_a_file_or_a_dangling_link_is)
{
	struct err err = ERR_INIT;
	FOLDER(f);

	EXPECT(hostile(&f));
	AUTO_CLOSE int root = root_of(&f);
	EXPECT_EQ(path_mkdir_in(root, "etc/passwd", 0755, &err), -ENOTDIR);
	err = ERR_INIT;
	EXPECT_EQ(path_mkdir_in(root, "etc/passwd/x", 0755, &err), -ENOTDIR);
	err = ERR_INIT;
	EXPECT_EQ(path_mkdir_in(root, "host/x", 0755, &err), -ENOENT);
	EXPECT_EQ(faccessat(f.fd, "secret/x", F_OK, 0), -1);
}

TEST(a_name_or_path_that_is_too_long_is_refused)
{
	struct err err = ERR_INIT;
	char name[NAME_MAX + 2], path[PATH_MAX + 64];
	FOLDER(f);

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	EXPECT(path_mkdir_in(f.fd, name, 0755, &err) == -ENAMETOOLONG);
	err = ERR_INIT;
	memset(path, 'p', sizeof(path) - 1);
	for (size_t i = 0; i < sizeof(path); i += 100)
		path[i] = '/';
	path[sizeof(path) - 1] = '\0';
	EXPECT(path_mkdir_in(f.fd, path, 0755, &err) == -ENAMETOOLONG);
	err = ERR_INIT;
	EXPECT_EQ(path_mkdir_all(f.fd, path, 0755, &err), -ENAMETOOLONG);
}

TEST(mkdir_all_makes_what_lacks_and_is_content_with_what_is_there)
{
	struct err err = ERR_INIT;
	struct stat st;
	FOLDER(f);

	EXPECT_EQ(path_mkdir_all(f.fd, "a/b//c", 0700, &err), 0);
	EXPECT_EQ(path_mkdir_all(f.fd, "a/b/c/", 0700, &err), 0);
	EXPECT_EQ(path_mkdir_all(f.fd, "", 0700, &err), 0);
	EXPECT_EQ(path_mkdir_all(AT_FDCWD, "/", 0700, &err), 0);
	EXPECT_EQ(fstatat(f.fd, "a/b/c", &st, 0), 0);
	EXPECT(S_ISDIR(st.st_mode));
}

TEST(mkdir_all_does_not_take_a_file_for_a_folder)
{
	struct err err = ERR_INIT;
	FOLDER(f);

	EXPECT(put(f.fd, "file", ""));
	EXPECT_EQ(path_mkdir_all(f.fd, "file", 0700, &err), -ENOTDIR);
	err = ERR_INIT;
	EXPECT_EQ(path_mkdir_all(f.fd, "file/x", 0700, &err), -ENOTDIR);
}

TEST(removing_takes_all_and_follows_no_link)
{
	struct err err = ERR_INIT;
	FOLDER(f);

	EXPECT(hostile(&f));
	EXPECT_EQ(mkfifoat(f.fd, "root/fifo", 0600), 0);
	EXPECT_EQ(path_mkdir_all(f.fd, "keep/x", 0700, &err), 0);
	EXPECT_EQ(symlinkat("../keep", f.fd, "root/link"), 0);
	EXPECT_EQ(path_remove_all(f.fd, "root", &err), 0);
	EXPECT_EQ(faccessat(f.fd, "root", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	EXPECT_EQ(faccessat(f.fd, "keep/x", F_OK, 0), 0);
	EXPECT_EQ(faccessat(f.fd, "secret", F_OK, 0), 0);
}

TEST(removing_a_file_a_link_or_nothing_is_fine)
{
	struct err err = ERR_INIT;
	FOLDER(f);

	EXPECT(put(f.fd, "file", ""));
	EXPECT_EQ(symlinkat("file", f.fd, "link"), 0);
	EXPECT_EQ(path_remove_all(f.fd, "link", &err), 0);
	EXPECT_EQ(faccessat(f.fd, "file", F_OK, 0), 0);
	EXPECT_EQ(path_remove_all(f.fd, "file", &err), 0);
	EXPECT_EQ(path_remove_all(f.fd, "file", &err), 0);
	EXPECT_EQ(path_remove_all(f.fd, "no/such", &err), 0);
}

TEST(a_folder_of_thousands_is_removed)
{
	struct err err = ERR_INIT;
	char name[32];
	FOLDER(f);

	EXPECT_EQ(mkdirat(f.fd, "many", 0700), 0);
	for (int i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "many/%d", i);
		EXPECT(i % 10 ? put(f.fd, name, "") : mkdirat(f.fd, name, 0700) == 0);
	}
	EXPECT_EQ(path_remove_all(f.fd, "many", &err), 0);
	EXPECT_EQ(faccessat(f.fd, "many", F_OK, 0), -1);
}

TEST(a_tree_deeper_than_paths_and_descriptors_reach_is_removed)
{
	struct err err = ERR_INIT;
	struct rlimit before, few = {.rlim_cur = 100};
	FOLDER(f);

	EXPECT_EQ(mkdirat(f.fd, "deep", 0700), 0);
	int at = openat(f.fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; at >= 0 && i < 1200; i++) {
		int next = mkdirat(at, "d", 0700) == 0 && put(at, ".deep-0", "")
				   ? openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
				   : -1;
		(void)close(at);
		at = next;
	}
	EXPECT(at >= 0);
	(void)close(at);
	EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
	few.rlim_max = before.rlim_max;
	EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	int r = path_remove_all(f.fd, "deep", &err);
	EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
	EXPECT_EQ(r, 0);
	EXPECT_EQ(faccessat(f.fd, "deep", F_OK, 0), -1);
}

TEST(removing_does_not_cross_into_another_mount)
{
	FOLDER(f);

	EXPECT_EQ(mkdirat(f.fd, "tree", 0700), 0);
	EXPECT_EQ(mkdirat(f.fd, "tree/mnt", 0700), 0);
	pid_t child = fork();
	if (child == 0) { /* in a mount namespace of its own */
		struct err err = ERR_INIT;
		char mnt[128], inside[160];
		(void)snprintf(mnt, sizeof(mnt), "%s/tree/mnt", f.path);
		(void)snprintf(inside, sizeof(inside), "%s/file", mnt);
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("t", mnt, "tmpfs", 0, NULL) < 0 || !put(AT_FDCWD, inside, "kept"))
			_exit(77);
		int here = open(f.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		int r = path_remove_all(here, "tree", &err);
		_exit(r != -EXDEV || access(inside, F_OK) != 0);
	}
	int status = -1;
	EXPECT_EQ(waitpid(child, &status, 0), child);
	if (WEXITSTATUS(status) == 77) {
		printf("# not root: mounts not tried\n");
		return;
	}
	EXPECT_EQ(status, 0);
}

TEST(no_descriptor_is_left_open)
{
	FOLDER(f);
	int before = descriptors();

	EXPECT(hostile(&f));
	for (int i = 0; i < 3; i++) {
		struct err err = ERR_INIT;
		int fd = path_mkdir_in(f.fd, "root/a/b/c", 0700, &err);
		EXPECT(fd >= 0);
		(void)close(fd);
		EXPECT(path_mkdir_in(f.fd, "root/etc/passwd/x", 0700, &err) < 0);
		err = ERR_INIT;
		EXPECT_EQ(path_remove_all(f.fd, "root/a", &err), 0);
	}
	EXPECT_EQ(descriptors(), before);
}

static void joins(const char *a, const char *b, const char *want)
{
	AUTO_FREE char *got = path_join(a, b);

	EXPECT(got != NULL);
	EXPECT_STR(got, want);
}

TEST(paths_are_joined_by_one_slash_and_an_absolute_one_stands_alone)
{
	joins("a", "b", "a/b");
	joins("a/", "b", "a/b");
	joins("/", "b", "/b");
	joins("a", "/b", "/b");
	joins("", "b", "b");
	joins("a", "", "a/");
	joins("", "", "");
}

TEST(clean_paths_have_no_empty_and_no_dotted_parts)
{
	static const char *const clean[] = {"/", "/a", "/a/b", "/...", "/a.b/.c", "/..a"};
	static const char *const not_clean[] = {"",   "a",   "//",      "/a/", "/a//b",
						"/.", "/..", "/a/../b", "/a/."};

	for (size_t i = 0; i < sizeof(clean) / sizeof(clean[0]); i++)
		EXPECT(path_is_clean(clean[i], false));
	for (size_t i = 0; i < sizeof(not_clean) / sizeof(not_clean[0]); i++)
		EXPECT(!path_is_clean(not_clean[i], false));
	EXPECT(path_is_clean("a/b", true));
	EXPECT(path_is_clean("..a", true));
	EXPECT(!path_is_clean("", true));
	EXPECT(!path_is_clean("/a", true));
	EXPECT(!path_is_clean("a/..", true));
	EXPECT(!path_is_clean("..", true));
}
