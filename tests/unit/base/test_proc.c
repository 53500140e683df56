/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/buf.h"
#include "base/proc.h"
#include "kit.h"

/* A child that waits to be killed. */
static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)pause();
		_exit(0);
	}
	return pid;
}

TEST(a_process_is_known_by_pid_start_and_boot)
{
	struct err err = ERR_INIT;
	struct proc_id id, again;

	EXPECT_EQ(proc_identify(getpid(), &id, &err), 0);
	EXPECT_EQ(id.pid, getpid());
	EXPECT(id.start > 0);
	EXPECT_EQ(strlen(id.boot), BOOT_ID_TEXT - 1);
	EXPECT_EQ(proc_identify(getpid(), &again, &err), 0);
	EXPECT(again.start == id.start);
	EXPECT_STR(again.boot, id.boot);
	EXPECT(proc_alive(&id));
}

TEST(a_name_with_brackets_and_blanks_does_not_confuse)
{
	struct err err = ERR_INIT;
	struct proc_id before, after;

	EXPECT_EQ(proc_identify(getpid(), &before, &err), 0);
	EXPECT_EQ(prctl(PR_SET_NAME, ") Z 1 2) 3"), 0);
	int r = proc_identify(getpid(), &after, &err);
	bool alive = proc_alive(&before);
	EXPECT_EQ(prctl(PR_SET_NAME, "test"), 0);
	EXPECT_EQ(r, 0);
	EXPECT(after.start == before.start);
	EXPECT(alive);
}

TEST(nobody_is_gone)
{
	static const pid_t nobody[] = {0, -1, INT_MAX};

	for (size_t i = 0; i < 3; i++) {
		struct err err = ERR_INIT;
		struct proc_id id = {.pid = nobody[i]};
		EXPECT_EQ(proc_identify(nobody[i], &id, &err), -ESRCH);
		EXPECT(strstr(err.msg, "is gone") != NULL);
		EXPECT(!proc_alive(&id));
		err = ERR_INIT;
		EXPECT_EQ(proc_open(&id, &err), -ESRCH);
	}
}

TEST(the_pid_of_another_start_or_boot_is_a_stranger)
{
	struct err err = ERR_INIT;
	struct proc_id id;

	EXPECT_EQ(proc_identify(getpid(), &id, &err), 0);
	id.start--;
	EXPECT(!proc_alive(&id));
	EXPECT_EQ(proc_open(&id, &err), -ESRCH);
	id.start++;
	id.boot[0] = id.boot[0] == 'a' ? 'b' : 'a';
	err = ERR_INIT;
	EXPECT(!proc_alive(&id));
	EXPECT_EQ(proc_open(&id, &err), -ESRCH);
}

TEST(a_pidfd_signals_that_process)
{
	struct err err = ERR_INIT;
	struct proc_id id;
	pid_t pid = sleeper();

	EXPECT_EQ(proc_identify(pid, &id, &err), 0);
	AUTO_CLOSE int fd = proc_open(&id, &err);
	EXPECT(fd >= 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0), 0);
	int status = 0;
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(WTERMSIG(status), SIGUSR1);
	EXPECT(!proc_alive(&id));
}

TEST(a_zombie_does_not_run_but_is_not_gone)
{
	struct err err = ERR_INIT;
	struct proc_id id;
	siginfo_t info;
	pid_t pid = sleeper();

	EXPECT_EQ(proc_identify(pid, &id, &err), 0);
	EXPECT(proc_alive(&id));
	(void)kill(pid, SIGKILL);
	EXPECT_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	EXPECT(!proc_alive(&id));
	AUTO_CLOSE int fd = proc_open(&id, &err);
	EXPECT(fd >= 0);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
}

TEST(a_process_written_down_is_read_back)
{
	struct err err = ERR_INIT;
	struct proc_id id, back;
	char text[PROC_ID_TEXT], line[PROC_ID_TEXT + 1];

	EXPECT_EQ(proc_identify(getpid(), &id, &err), 0);
	proc_id_format(&id, text);
	EXPECT_EQ(proc_id_parse(text, &back, &err), 0);
	EXPECT(back.pid == id.pid && back.start == id.start);
	EXPECT_STR(back.boot, id.boot);
	(void)snprintf(line, sizeof(line), "%s\n", text);
	EXPECT_EQ(proc_id_parse(line, &back, &err), 0);
}

#define BOOT "01234567-89ab-cdef-0123-456789abcdef"

TEST(what_does_not_name_a_process_is_refused)
{
	static const char *const bad[] = {"",
					  "\n",
					  "1",
					  "1 2",
					  "1 2 ",
					  "0 2 " BOOT,
					  "-1 2 " BOOT,
					  "+1 2 " BOOT,
					  " 1 2 " BOOT,
					  "2147483648 2 " BOOT,
					  "1 18446744073709551616 " BOOT,
					  "1 -2 " BOOT,
					  "1 x " BOOT,
					  "1 2 " BOOT "0",
					  "1 2 0123",
					  "1 2 " BOOT " ",
					  "1 2 " BOOT "\n\n",
					  "1  2 " BOOT,
					  "1 2 0123456G-89ab-cdef-0123-456789abcdef"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		struct proc_id id = {.pid = 77};
		EXPECT_EQ(proc_id_parse(bad[i], &id, &err), -EINVAL);
		EXPECT(strstr(err.msg, "does not name a process") != NULL);
		EXPECT_EQ(id.pid, 77);
	}
}

static const char *const true_argv[] = {"true", NULL};

TEST(a_child_s_status_is_counted_as_a_shell_does)
{
	static const struct {
		const char *script;
		int want;
	} cases[] = {{"exit 0", 0},
		     {"exit 7", 7},
		     {"exit 255", 255},
		     {"kill -9 $$", 137},
		     {"kill -TERM $$", 143}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = ERR_INIT;
		const char *argv[] = {"sh", "-c", cases[i].script, NULL};
		pid_t pid =
			proc_spawn(&(struct spawn){.argv = argv, .in = -1, .out = -1, .err = -1},
				   &err);
		EXPECT(pid > 0);
		EXPECT_EQ(proc_wait(pid, &err), cases[i].want);
	}
}

TEST(a_program_that_cannot_start_is_told_by_name_and_leaves_no_child)
{
	static const struct {
		const char *name;
		int code;
	} bad[] = {{"/no/such/program", ENOENT},
		   {"no-such-program-anywhere", ENOENT},
		   {"/etc/passwd", EACCES},
		   {"/", EACCES}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		const char *argv[] = {bad[i].name, NULL};
		char want[128];
		(void)snprintf(want, sizeof(want), "start '%s': %s", bad[i].name,
			       strerror(bad[i].code));
		EXPECT_EQ(proc_spawn(&(struct spawn){.argv = argv, .in = -1, .out = -1, .err = -1},
				     &err),
			  -bad[i].code);
		EXPECT_STR(err.msg, want);
	}
	EXPECT_EQ(waitpid(-1, NULL, WNOHANG), -1);
	EXPECT_EQ(errno, ECHILD);
}

TEST(waiting_for_a_stranger_is_an_error)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(proc_wait(1, &err), -ECHILD);
}

TEST(a_child_gets_the_descriptors_named_and_no_other)
{
	struct err err = ERR_INIT;
	int p[2];

	EXPECT_EQ(pipe2(p, O_CLOEXEC), 0);
	int kept = fcntl(p[1], F_DUPFD_CLOEXEC, 9);
	int leaked = fcntl(p[1], F_DUPFD, 30); /* as if whoever started us had left it open */
	EXPECT(kept == 9 && leaked >= 30);
	const char *argv[] = {"ls", "/proc/self/fd", NULL};
	pid_t pid = proc_spawn(&(struct spawn){.argv = argv,
					       .in = -1,
					       .out = p[1],
					       .err = -1,
					       .keep = &kept,
					       .n_keep = 1},
			       &err);
	EXPECT(pid > 0);
	EXPECT_EQ(proc_wait(pid, &err), 0);
	(void)close(p[1]);
	(void)close(kept);
	(void)close(leaked);
	char text[64] = "";
	EXPECT(read(p[0], text, sizeof(text) - 1) > 0);
	(void)close(p[0]);
	EXPECT_STR(text, "0\n1\n2\n3\n9\n"); /* 3: the folder that ls reads */
}

TEST(the_streams_may_be_given_crosswise)
{
	struct err err = ERR_INIT;
	int out[2], back[2] = {-1, -1};
	char text[16] = "";

	EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
	EXPECT_EQ(pipe2(back, O_CLOEXEC), 0);
	int saved[3];
	for (int i = 0; i < 3; i++)
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 40);
	/* ours: 0 is where the child's errors go, 1 its output, 2 its input */
	bool crossed = dup2(back[1], 0) == 0 && dup2(out[1], 1) == 1 && dup2(saved[0], 2) == 2;
	const char *argv[] = {"sh", "-c", "echo out; echo err >&2", NULL};
	pid_t pid = proc_spawn(&(struct spawn){.argv = argv, .in = 2, .out = 1, .err = 0}, &err);
	for (int i = 0; i < 3; i++) {
		(void)dup2(saved[i], i);
		(void)close(saved[i]);
	}
	(void)close(out[1]);
	(void)close(back[1]);
	EXPECT(crossed && pid > 0);
	EXPECT_EQ(proc_wait(pid, &err), 0);
	EXPECT_EQ(read(out[0], text, 15), 4);
	EXPECT_STR(text, "out\n");
	memset(text, 0, sizeof(text));
	EXPECT_EQ(read(back[0], text, 15), 4);
	EXPECT_STR(text, "err\n");
	(void)close(out[0]);
	(void)close(back[0]);
}

TEST(a_child_has_default_signals_and_none_blocked)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	struct sigaction old;
	sigset_t set, before;

	EXPECT_EQ(sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &old), 0);
	EXPECT_EQ(sigemptyset(&set), 0);
	EXPECT_EQ(sigaddset(&set, SIGUSR1), 0);
	EXPECT_EQ(sigprocmask(SIG_BLOCK, &set, &before), 0);
	const char *argv[] = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL};
	int r = proc_run(argv, NULL, &out, &err);
	sigset_t after;
	EXPECT_EQ(sigprocmask(SIG_SETMASK, &before, &after), 0);
	EXPECT_EQ(sigaction(SIGPIPE, &old, NULL), 0);
	EXPECT_EQ(r, 0);
	EXPECT_STR(out.data, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	EXPECT(sigismember(&after, SIGUSR1) == 1); /* ours is as it was */
}

TEST(a_new_session_is_the_child_s_own)
{
	struct err err = ERR_INIT;
	int p[2];
	char text[32] = "";

	EXPECT_EQ(pipe2(p, O_CLOEXEC), 0);
	const char *argv[] = {"sh", "-c", "cut -d ' ' -f 6 /proc/$$/stat", NULL};
	pid_t pid = proc_spawn(&(struct spawn){.argv = argv,
					       .in = -1,
					       .out = p[1],
					       .err = -1,
					       .new_session = true},
			       &err);
	(void)close(p[1]);
	EXPECT(pid > 0);
	EXPECT_EQ(proc_wait(pid, &err), 0);
	EXPECT(read(p[0], text, sizeof(text) - 1) > 0);
	(void)close(p[0]);
	EXPECT_EQ(atoi(text), pid);
}

TEST(a_command_is_fed_and_its_output_taken)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	const char *argv[] = {"tr", "a-z", "A-Z", NULL};

	buf_str(&out, "> ");
	EXPECT_EQ(proc_run(argv, "words\n", &out, &err), 0);
	EXPECT_STR(out.data, "> WORDS\n");
	EXPECT_EQ(proc_run(true_argv, NULL, NULL, &err), 0);
}

TEST(more_than_the_pipes_hold_goes_through_both_ways_at_once)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	enum { SIZE = 1000000 };
	AUTO_FREE char *text = malloc(SIZE + 1);
	const char *argv[] = {"cat", NULL};

	EXPECT(text != NULL);
	memset(text, 'x', SIZE);
	text[SIZE] = '\0';
	EXPECT_EQ(proc_run(argv, text, &out, &err), 0);
	EXPECT_EQ(out.len, SIZE);
	EXPECT_STR(out.data, text);
}

TEST(a_command_that_does_not_read_its_input_is_no_failure)
{
	struct err err = ERR_INIT;
	enum { SIZE = 1000000 };
	AUTO_FREE char *text = malloc(SIZE + 1);

	EXPECT(text != NULL);
	memset(text, 'x', SIZE);
	text[SIZE] = '\0';
	EXPECT_EQ(proc_run(true_argv, text, NULL, &err), 0);
}

static void complains(const char *script, const char *want)
{
	struct err err = ERR_INIT;
	const char *argv[] = {"sh", "-c", script, NULL};

	EXPECT_EQ(proc_run(argv, NULL, NULL, &err), -EIO);
	EXPECT_STR(err.msg, want);
}

TEST(a_failing_command_is_told_by_its_last_line_and_status)
{
	complains("echo first >&2; echo 'the reason' >&2; exit 3",
		  "sh: the reason (exit status 3)");
	complains("echo 'the reason' >&2; echo >&2; echo >&2; exit 3",
		  "sh: the reason (exit status 3)");
	complains("exit 4", "sh: no reason given (exit status 4)");
	complains("kill -9 $$", "sh: no reason given (exit status 137)");
}

TEST(a_command_that_is_not_there_is_told)
{
	struct err err = ERR_INIT;
	const char *argv[] = {"/no/such", NULL};

	EXPECT_EQ(proc_run(argv, "in", NULL, &err), -ENOENT);
	EXPECT_STR(err.msg, "start '/no/such': No such file or directory");
}

TEST(running_commands_leaves_no_descriptor_open_and_sigpipe_as_it_was)
{
	struct err err = ERR_INIT;
	struct sigaction before, after;
	const char *argv[] = {"/no/such", NULL};

	EXPECT_EQ(sigaction(SIGPIPE, NULL, &before), 0);
	int n = descriptors();
	for (int i = 0; i < 5; i++) {
		err = ERR_INIT;
		EXPECT_EQ(proc_run(true_argv, "in", NULL, &err), 0);
		EXPECT(proc_run(argv, "in", NULL, &err) < 0);
	}
	EXPECT_EQ(descriptors(), n);
	EXPECT_EQ(sigaction(SIGPIPE, NULL, &after), 0);
	EXPECT(before.sa_handler == after.sa_handler);
}

TEST(a_program_is_found_beside_this_one_or_told_missing)
{
	struct err err = ERR_INIT;
	AUTO_FREE char *path = NULL;
	char self[PATH_MAX];

	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	EXPECT(n > 0);
	self[n] = '\0';
	EXPECT_EQ(program_path(strrchr(self, '/') + 1, &path, &err), 0);
	EXPECT_STR(path, self);
	char *none = NULL;
	EXPECT_EQ(program_path("no-such-program", &none, &err), -ENOENT);
	EXPECT(none == NULL);
	EXPECT(strstr(err.msg, "program 'no-such-program' is not beside '") != NULL);
}

static int fails_as_told(void *ctx, struct err *err)
{
	return err_set(err, ENOTTY, "%s", (const char *)ctx);
}

static int succeeds(void *ctx, struct err *err)
{
	(void)err;
	*(int *)ctx = 1; /* the caller's stays as it is */
	return 0;
}

static int is_killed(void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	return raise(SIGKILL);
}

TEST(a_function_is_called_in_a_child_that_says_how_it_failed)
{
	struct err err = ERR_INIT, word = ERR_INIT;
	char text[] = "why";
	int touched = 0;

	int n = descriptors();
	EXPECT_EQ(proc_call(succeeds, &touched, &word, &err), 1);
	EXPECT_EQ(word.code, 0);
	EXPECT_EQ(touched, 0);
	EXPECT_EQ(proc_call(fails_as_told, text, &word, &err), 1);
	EXPECT_EQ(word.code, ENOTTY);
	EXPECT_STR(word.msg, "why");
	EXPECT_EQ(proc_call(is_killed, NULL, &word, &err), 0);
	EXPECT_EQ(descriptors(), n);
}
