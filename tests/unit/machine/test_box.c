/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "machine/box.h"
#include "machine/trace.h"

static char folder[40];

static int enter(void *ctx, struct err *err)
{
	static const char *const files[1][2] = {{"/proc/self/cmdline", "given"}};

	(void)ctx;
	return box_enter_root(folder, files, 1, err);
}

static int enter_empty(void *ctx, struct err *err)
{
	(void)ctx;
	return box_enter_empty(folder, err);
}

static int refuse(void *ctx, struct err *err)
{
	(void)ctx;
	return err_set(err, EXDEV, "the preparation said no");
}

/* Runs a shell command line in a box; what it prints, and its status. */
static int run(box_fn *prepare, bool powerless, const char *command, struct buf *out,
	       struct err *err)
{
	AUTO_STRV struct strv argv = {0};
	int pipe_fds[2];
	char chunk[512];

	(void)snprintf(folder, sizeof(folder), "/tmp/hull-box-XXXXXX");
	if (!mkdtemp(folder) || pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_sys(err, "prepare");
	int r = strv_add(&argv, "/bin/sh", err);
	if (r == 0)
		r = strv_add(&argv, "-c", err);
	if (r == 0)
		r = strv_add(&argv, command, err);
	AUTO_CLOSE int program = prepare == enter_empty ? open("/bin/busybox", O_RDONLY | O_CLOEXEC)
							: 0;
	if (program < 0)
		return err_sys(err, "open busybox");
	struct box box = {.argv = &argv,
			  .program = program,
			  .err = pipe_fds[1],
			  .prepare = prepare,
			  .powerless = powerless};
	AUTO_CLOSE int pidfd = -1;
	pid_t pid = r < 0 ? r : box_spawn(&box, &pidfd, err);
	if (program > 0)
		(void)close(program);
	(void)close(pipe_fds[1]);
	ssize_t n;
	while (pid > 0 && (n = read(pipe_fds[0], chunk, sizeof(chunk))) > 0)
		buf_add(out, chunk, (size_t)n);
	(void)close(pipe_fds[0]);
	(void)rmdir(folder);
	return pid < 0 ? pid : pid_reap(pid, err);
}

TEST(a_box_shows_nothing_but_programs_and_what_was_given)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	EXPECT_EQ(run(enter, true, "echo /* /hull/* /dev/* /etc/*", &out, &err), 0);
	EXPECT_STR(err.msg, "");
	EXPECT(strstr(out.data, "/hull/given /dev/null /dev/urandom /etc/ld.so.cache\n") != NULL);
	EXPECT(strstr(out.data, "/home") == NULL);
	EXPECT(strstr(out.data, "/tmp") == NULL);
	EXPECT(strstr(out.data, "/proc") == NULL);
}

TEST(an_empty_box_has_nothing_and_takes_nothing)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	EXPECT_EQ(run(enter_empty, true, "exec 2>&1; echo /* /.??*; (echo >/x) && echo wrote", &out,
		      &err),
		  1);
	EXPECT_STR(err.msg, "");
	EXPECT(strstr(out.data, "/* /.??*\n") == out.data);
	EXPECT(strstr(out.data, "wrote") == NULL);
}

TEST(nothing_in_a_box_can_be_written)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	EXPECT_EQ(run(enter, true,
		      "exec 2>/dev/null; for f in /x /usr/x /hull/x /dev/x /etc/x /hull/given; do "
		      "(echo >$f) && echo wrote $f; done; echo done",
		      &out, &err),
		  0);
	EXPECT_STR(out.data, "done\n");
}

TEST(a_boxed_program_is_nobody_and_first_of_its_kind)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	EXPECT_EQ(run(enter, true, "echo $$ $(id -u) $(id -g) $(id -G)", &out, &err), 0);
	EXPECT_STR(out.data, "1 65534 65534 65534\n");
}

TEST(a_box_has_a_network_of_its_own_that_is_empty)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	EXPECT_EQ(run(NULL, false, "mount -t sysfs s /sys && ls /sys/class/net", &out, &err), 0);
	EXPECT_STR(out.data, "lo\n");
}

TEST(a_failed_preparation_is_told_in_its_own_words)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	EXPECT_EQ(run(refuse, false, ":", &out, &err), -EXDEV);
	EXPECT_STR(err.msg, "the preparation said no");
}

TEST(a_program_that_is_not_there_is_named)
{
	AUTO_STRV struct strv argv = {0};
	AUTO_CLOSE int pidfd = -1;
	struct err err = ERR_INIT;

	EXPECT_EQ(strv_add(&argv, "/no/such/program", &err), 0);
	EXPECT_EQ(box_spawn(&(struct box){.argv = &argv, .err = -1}, &pidfd, &err), -ENOENT);
	EXPECT(strstr(err.msg, "/no/such/program") != NULL);
}

TEST(a_missing_source_is_named)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(box_bind(-1, "/no/such/source", "/tmp", false, true, &err), -ENOENT);
	EXPECT_STR(err.msg, "open '/no/such/source': No such file or directory");
}
