/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/io.h"
#include "kit.h"

TEST(a_pipe_takes_all_bytes_though_its_reader_is_slow)
{
	struct err err = ERR_INIT;
	static char out[300000], in[300000];
	int p[2];

	memset(out, 'x', sizeof(out));
	EXPECT_EQ(pipe2(p, O_CLOEXEC), 0);
	pid_t child = fork();
	if (child == 0) {
		(void)close(p[0]);
		_exit(write_all(p[1], out, sizeof(out), "pipe", &err) != 0);
	}
	(void)close(p[1]);
	EXPECT_EQ(read_upto(p[0], in, sizeof(in), "pipe", &err), sizeof(in));
	EXPECT_EQ(memcmp(in, out, sizeof(in)), 0);
	EXPECT_EQ(read_upto(p[0], in, 1, "pipe", &err), 0);
	(void)close(p[0]);
	int status = -1;
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
}

TEST(bytes_are_written_where_they_belong)
{
	AUTO_CLOSE int fd = memfd_create("file", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	char in[8] = "";

	EXPECT_EQ(pwrite_all(fd, "abc", 3, 4, "file", &err), 0);
	EXPECT_EQ(pread(fd, in, sizeof(in), 0), 7);
	EXPECT_EQ(memcmp(in, "\0\0\0\0abc", 7), 0);
	EXPECT_EQ(pwrite_all(-1, "abc", 3, 4, "file", &err), -EBADF);
	EXPECT_STR(err.msg, "write 'file': Bad file descriptor");
}

TEST(reading_stops_at_the_end_of_the_file_and_says_how_far_it_came)
{
	struct err err = ERR_INIT;
	char bytes[10];
	FOLDER(f);

	EXPECT(put(f.fd, "a", "12345"));
	AUTO_CLOSE int fd = openat(f.fd, "a", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(read_upto(fd, bytes, 3, "a", &err), 3);
	EXPECT_EQ(read_upto(fd, bytes, sizeof(bytes), "a", &err), 2);
	EXPECT_EQ(memcmp(bytes, "45", 2), 0);
}

TEST(a_failing_read_or_write_names_its_target)
{
	struct err err = ERR_INIT;
	char c;

	EXPECT_EQ(read_upto(-1, &c, 1, "the wire", &err), -EBADF);
	EXPECT_STR(err.msg, "read 'the wire': Bad file descriptor");
	err = ERR_INIT;
	EXPECT_EQ(write_all(-1, &c, 1, "the wire", &err), -EBADF);
	EXPECT_STR(err.msg, "write 'the wire': Bad file descriptor");
}

TEST(nothing_to_write_is_no_system_call)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(write_all(-1, NULL, 0, "nowhere", &err), 0);
}

TEST(a_file_is_read_whole_behind_what_the_buffer_holds)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	FOLDER(f);

	EXPECT(put(f.fd, "a", "content"));
	buf_str(&b, "before ");
	EXPECT_EQ(file_read(f.fd, "a", 100, &b, &err), 0);
	EXPECT_STR(b.data, "before content");
}

TEST(files_of_one_step_and_around_it_come_whole)
{
	FOLDER(f);

	for (size_t n = 16383; n <= 16385; n++) {
		struct err err = ERR_INIT;
		AUTO_BUF struct buf b = BUF_INIT;
		AUTO_FREE char *text = malloc(n + 1);
		EXPECT(text != NULL);
		memset(text, 'z', n);
		text[n] = '\0';
		EXPECT(put(f.fd, "a", text));
		EXPECT_EQ(file_read(f.fd, "a", n, &b, &err), 0);
		EXPECT_EQ(b.len, n);
		EXPECT_EQ(b.data[n], '\0');
	}
}

TEST(a_file_larger_than_allowed_is_refused_and_the_buffer_is_as_it_was)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	FOLDER(f);

	buf_str(&b, "as it was");
	EXPECT(put(f.fd, "a", "12345"));
	EXPECT_EQ(file_read(f.fd, "a", 4, &b, &err), -EFBIG);
	EXPECT_STR(err.msg, "'a' is larger than 4 bytes");
	EXPECT_STR(b.data, "as it was");
	EXPECT_EQ(b.len, 9);
}

TEST(a_fifo_a_folder_and_a_device_are_refused_at_once)
{
	static const char *const odd[] = {"fifo", "folder", "/dev/zero"};
	FOLDER(f);

	EXPECT_EQ(mkfifoat(f.fd, "fifo", 0600), 0);
	EXPECT_EQ(mkdirat(f.fd, "folder", 0700), 0);
	for (size_t i = 0; i < 3; i++) {
		struct err err = ERR_INIT;
		AUTO_BUF struct buf b = BUF_INIT;
		EXPECT_EQ(file_read(f.fd, odd[i], 100, &b, &err), -EINVAL);
		EXPECT(strstr(err.msg, "is not a regular file") != NULL);
	}
}

TEST(a_file_that_is_not_there_is_named)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	FOLDER(f);

	EXPECT_EQ(file_read(f.fd, "gone", 100, &b, &err), -ENOENT);
	EXPECT_STR(err.msg, "open 'gone': No such file or directory");
}

TEST(files_of_procfs_have_no_size_and_are_read_all_the_same)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf b = BUF_INIT;

	EXPECT_EQ(file_read(AT_FDCWD, "/proc/self/status", 65536, &b, &err), 0);
	EXPECT(strstr(b.data, "Pid:") != NULL);
}

TEST(replacing_gives_the_new_bytes_the_new_mode_and_leaves_nothing_else)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	struct stat st;
	FOLDER(f);

	EXPECT(put(f.fd, "a", "old"));
	EXPECT_EQ(file_replace(f.fd, "a", "new\0bytes", 9, 0600, &err), 0);
	EXPECT_EQ(file_read(f.fd, "a", 100, &b, &err), 0);
	EXPECT_EQ(b.len, 9);
	EXPECT_EQ(fstatat(f.fd, "a", &st, 0), 0);
	EXPECT_EQ(st.st_mode & 07777, 0600);
	EXPECT_EQ(unlinkat(f.fd, "a", 0), 0);
	EXPECT_EQ(rmdir(f.path), 0); /* empty: no temporary file is left */
	EXPECT_EQ(mkdir(f.path, 0700), 0);
}

TEST(a_reader_with_the_old_file_open_keeps_reading_the_old_bytes)
{
	struct err err = ERR_INIT;
	char bytes[8] = "";
	FOLDER(f);

	EXPECT(put(f.fd, "a", "old"));
	AUTO_CLOSE int fd = openat(f.fd, "a", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(file_replace(f.fd, "a", "new", 3, 0644, &err), 0);
	EXPECT_EQ(read_upto(fd, bytes, 7, "a", &err), 3);
	EXPECT_STR(bytes, "old");
}

TEST(a_replacement_that_fails_leaves_no_temporary_file)
{
	struct err err = ERR_INIT;
	FOLDER(f);

	EXPECT_EQ(mkdirat(f.fd, "folder", 0700), 0);
	EXPECT_EQ(mkdirat(f.fd, "folder/x", 0700), 0);
	EXPECT(file_replace(f.fd, "folder", "text", 4, 0644, &err) < 0);
	EXPECT(strstr(err.msg, "rename") != NULL);
	EXPECT_EQ(unlinkat(f.fd, "folder/x", AT_REMOVEDIR), 0);
	EXPECT_EQ(unlinkat(f.fd, "folder", AT_REMOVEDIR), 0);
	EXPECT_EQ(rmdir(f.path), 0);
	EXPECT_EQ(mkdir(f.path, 0700), 0);
}

TEST(a_name_without_room_for_a_temporary_one_is_refused)
{
	struct err err = ERR_INIT;
	char name[300];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	EXPECT_EQ(file_replace(AT_FDCWD, name, "", 0, 0644, &err), -ENAMETOOLONG);
}

TEST(putting_writes_into_an_existing_file_only)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf b = BUF_INIT;
	FOLDER(f);

	EXPECT_EQ(file_put(f.fd, "a", "text", &err), -ENOENT);
	EXPECT_STR(err.msg, "open 'a': No such file or directory");
	err = ERR_INIT;
	EXPECT(put(f.fd, "a", "xxxxxx"));
	EXPECT_EQ(file_put(f.fd, "a", "text", &err), 0);
	EXPECT_EQ(file_read(f.fd, "a", 100, &b, &err), 0);
	EXPECT_STR(b.data, "textxx"); /* as one writes to procfs: no truncation */
}

TEST(putting_follows_no_link_and_passes_on_the_kernel_s_refusal)
{
	struct err err = ERR_INIT;
	FOLDER(f);

	EXPECT(put(f.fd, "a", "x"));
	EXPECT_EQ(symlinkat("a", f.fd, "link"), 0);
	EXPECT_EQ(file_put(f.fd, "link", "text", &err), -ELOOP);
	err = ERR_INIT;
	EXPECT_EQ(file_put(AT_FDCWD, "/proc/self/oom_score_adj", "words", &err), -EINVAL);
	EXPECT_STR(err.msg, "write 'words' to '/proc/self/oom_score_adj': Invalid argument");
}

static void on_alarm(int sig)
{
	(void)sig;
}

TEST(a_signal_in_the_middle_is_not_the_end)
{
	struct err err = ERR_INIT;
	int s[2];
	char bytes[4];

	EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	struct sigaction old;
	struct sigaction act = {.sa_handler = on_alarm};
	EXPECT_EQ(sigaction(SIGALRM, &act, &old), 0);
	pid_t child = fork();
	if (child == 0) {
		(void)usleep(50000);
		(void)kill(getppid(), SIGALRM);
		(void)usleep(50000);
		_exit(write(s[1], "done", 4) != 4);
	}
	EXPECT_EQ(read_upto(s[0], bytes, 4, "socket", &err), 4);
	EXPECT_EQ(sigaction(SIGALRM, &old, NULL), 0);
	EXPECT_EQ(waitpid(child, NULL, 0), child);
	(void)close(s[0]);
	(void)close(s[1]);
}
