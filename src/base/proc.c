/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"

/* A decimal number at *text that is followed by `end`, which is skipped. */
static bool number(const char **text, char end, uint64_t *ret)
{
	char *stop;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	unsigned long long v = strtoull(*text, &stop, 10);
	if (errno != 0 || *stop != end)
		return false;
	*text = stop + 1;
	*ret = v;
	return true;
}

/* Field 3 and field 22 of /proc/PID/stat; the name in field 2 may hold anything, so count from its
 * last ')'. */
static int read_stat(pid_t pid, char *ret_state, uint64_t *ret_start, struct err *err)
{
	char path[64];
	AUTO_BUF struct buf text = BUF_INIT;

	struct err unread = ERR_INIT; /* most often in other words: it is gone */

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int r = file_read(AT_FDCWD, path, 8192, &text, &unread);
	if (r == -ENOENT || r == -ESRCH)
		return err_set(err, ESRCH, "process %d is gone", pid);
	if (r < 0)
		return err_set(err, unread.code, "%s", unread.msg);
	const char *p = text.data ? strrchr(text.data, ')') : NULL;
	char state = '\0';
	if (p && p[1] == ' ')
		state = p[2];
	for (int field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	if (!p || !number(&p, ' ', ret_start))
		return err_set(err, ESRCH, "process %d is gone", pid);
	*ret_state = state;
	return 0;
}

static int read_boot_id(char boot[BOOT_ID_TEXT], struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	int r = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256, &text, err);
	if (r < 0)
		return r;
	if (text.len < BOOT_ID_TEXT - 1)
		return err_set(err, EIO, "the kernel's boot id is cut short");
	memcpy(boot, text.data, BOOT_ID_TEXT - 1);
	boot[BOOT_ID_TEXT - 1] = '\0';
	return 0;
}

int proc_identify(pid_t pid, struct proc_id *ret, struct err *err)
{
	struct proc_id id = {.pid = pid};
	char state;

	int r = read_stat(pid, &state, &id.start, err);
	if (r == 0)
		r = read_boot_id(id.boot, err);
	if (r == 0)
		*ret = id;
	return r;
}

void proc_id_format(const struct proc_id *id, char text[PROC_ID_TEXT])
{
	(void)snprintf(text, PROC_ID_TEXT, "%d %" PRIu64 " %s", id->pid, id->start, id->boot);
}

int proc_id_parse(const char *text, struct proc_id *ret, struct err *err)
{
	struct proc_id id = {0};
	const char *p = text;
	uint64_t pid = 0;

	bool ok = number(&p, ' ', &pid) && pid > 0 && pid <= INT_MAX && number(&p, ' ', &id.start);
	size_t n = ok ? strspn(p, "0123456789abcdef-") : 0;
	if (n != BOOT_ID_TEXT - 1 || (p[n] != '\0' && strcmp(p + n, "\n") != 0))
		return err_set(err, EINVAL, "'%.64s' does not name a process", text);
	id.pid = (pid_t)pid;
	memcpy(id.boot, p, n);
	*ret = id;
	return 0;
}

int proc_open(const struct proc_id *id, struct err *err)
{
	struct proc_id now = {0};
	struct err gone = ERR_INIT; /* said in our own words */

	AUTO_CLOSE int fd = id->pid > 0 ? (int)syscall(SYS_pidfd_open, id->pid, 0) : -1;
	if (fd < 0 || proc_identify(id->pid, &now, &gone) < 0 || now.start != id->start ||
	    strcmp(now.boot, id->boot) != 0)
		return err_set(err, ESRCH, "process %d is gone", id->pid);
	return TAKE_FD(fd);
}

bool proc_alive(const struct proc_id *id)
{
	struct err ignored = ERR_INIT; /* gone, for whatever reason */
	struct proc_id now = {.boot = ""};
	char state = 'X';

	if (id->pid <= 0 || read_stat(id->pid, &state, &now.start, &ignored) < 0 ||
	    now.start != id->start || state == 'Z' || state == 'X')
		return false;
	return read_boot_id(now.boot, &ignored) == 0 && strcmp(now.boot, id->boot) == 0;
}

int program_path(const char *name, char **ret, struct err *err)
{
	char self[PATH_MAX];

	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return err_sys(err, "read /proc/self/exe");
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	static const char *const ways[] = {"", "../libexec/hull/"};
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		AUTO_FREE char *path = NULL;
		if (asprintf(&path, "%s/%s%s", self, ways[i], name) < 0)
			return err_set(err, ENOMEM, "out of memory");
		if (access(path, X_OK) == 0) {
			*ret = TAKE_PTR(path);
			return 0;
		}
	}
	return err_set(err, ENOENT, "program '%s' is not beside '%s', nor in ../libexec/hull", name,
		       self);
}

void proc_default_signals(void)
{
	const struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} by_default = {0};
	const uint64_t none = 0;

	for (int sig = 1; sig < NSIG; sig++)
		(void)syscall(SYS_rt_sigaction, sig, &by_default, NULL, sizeof(none));
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

/* In the child: puts the three streams in place and lets `keep` survive. Only async-signal-safe
 * calls. */
static void child_setup(const struct spawn *s)
{
	int std[3] = {s->in, s->out, s->err};

	for (int i = 0; i < 3; i++) {
		if (std[i] < 0)
			std[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		else if (std[i] < 3) /* out of the way of the others */
			std[i] = fcntl(std[i], F_DUPFD_CLOEXEC, 3);
	}
	for (int i = 0; i < 3; i++) {
		if (std[i] < 0 || dup2(std[i], i) < 0)
			_exit(126);
	}
	/* whatever whoever started us left open, and our own without O_CLOEXEC */
	(void)syscall(SYS_close_range, 3, UINT_MAX, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < s->n_keep; i++)
		(void)fcntl(s->keep[i], F_SETFD, 0);
	if (s->new_session)
		(void)setsid();
	proc_default_signals();
}

/* execvp() takes char *const[] but does not write to the strings (POSIX, exec rationale). */
static char *const *exec_args(const char *const *argv)
{
	union {
		const char *const *in;
		char *const *out;
	} args = {.in = argv};

	return args.out;
}

/* In the child of a vfork(): becomes the program, or writes why not to `tell`. */
static _Noreturn void child_exec(const struct spawn *s, int tell)
{
	tell = fcntl(tell, F_DUPFD_CLOEXEC, 3); /* the streams come below */
	child_setup(s);
	char *const *env = s->env ? exec_args(s->env) : environ;
	if (s->file)
		(void)execve(s->file, exec_args(s->argv), env);
	else
		(void)execvpe(s->argv[0], exec_args(s->argv), env);
	int failed = errno;
	if (write(tell, &failed, sizeof(failed)) < 0)
		_exit(126);
	_exit(127);
}

/*
 * vfork semantics: hull's processes may be large (SQLite), and the child only execs. What it says
 * of a failed exec comes over a pipe, not through shared memory: sanitizers make vfork() a fork().
 */
pid_t proc_spawn(const struct spawn *s, struct err *err)
{
	int ends[2];
	int failed = 0;
	sigset_t all;
	sigset_t old;
	const char *name = s->file ? s->file : s->argv[0];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	AUTO_CLOSE int told = ends[0];
	AUTO_CLOSE int tell = ends[1];
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): the child only
				sets up descriptors and execs */
	if (pid == 0)
		child_exec(s, tell); /* NOLINT(clang-analyzer-unix.Vfork): plain system calls on
					the child's own descriptors and signals */
	int code = errno;
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return err_set(err, code, "start '%s': %s", name, strerrordesc_np(code));
	auto_close(&tell);
	if (read(told, &failed, sizeof(failed)) == sizeof(failed)) {
		(void)waitpid(pid, NULL, 0);
		return err_set(err, failed, "start '%s': %s", name, strerrordesc_np(failed));
	}
	return pid;
}

int proc_wait(pid_t pid, struct err *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_sys(err, "wait for process %d", pid);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int proc_call(proc_fn *fn, void *ctx, struct err *ret, struct err *err)
{
	struct err word = ERR_INIT;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	AUTO_CLOSE int from = ends[0];
	AUTO_CLOSE int to = ends[1];
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(err, "start a process");
	if (pid == 0) {
		struct err gone = ERR_INIT; /* nobody waits any more */
		(void)!fn(ctx, &word);
		(void)!write_all(to, &word, sizeof(word), "an answer", &gone);
		_exit(0);
	}
	auto_close(&to);
	ssize_t n = read_upto(from, &word, sizeof(word), "an answer", err);
	int status = proc_wait(pid, err);
	if (n < 0 || status < 0)
		return n < 0 ? (int)n : status;
	if ((size_t)n != sizeof(word) || !memchr(word.msg, '\0', sizeof(word.msg)))
		return 0;
	*ret = word;
	return 1;
}

struct pump {
	int fds[3]; /* ours: its input, output, error */
	const char *input;
	size_t input_left;
	struct buf *out;
	struct buf *complaint;
};

static void pump_read(int *fd, struct buf *to)
{
	char chunk[4096];

	ssize_t n = read(*fd, chunk, sizeof(chunk));
	if (n > 0 && to)
		buf_add(to, chunk, (size_t)n);
	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		auto_close(fd);
}

/* At most PIPE_BUF bytes, which a pipe that polls writable takes without blocking: the other side
 * may be waiting for us to read. */
static void pump_write(struct pump *p)
{
	size_t len = p->input_left < PIPE_BUF ? p->input_left : PIPE_BUF;
	ssize_t n = len ? write(p->fds[0], p->input, len) : 0;

	if (n > 0) {
		p->input += n;
		p->input_left -= (size_t)n;
	}
	if (p->input_left == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		auto_close(&p->fds[0]);
}

static void pump_all(struct pump *p)
{
	while (p->fds[0] >= 0 || p->fds[1] >= 0 || p->fds[2] >= 0) {
		struct pollfd pfd[3] = {{.fd = p->fds[0], .events = POLLOUT},
					{.fd = p->fds[1], .events = POLLIN},
					{.fd = p->fds[2], .events = POLLIN}};
		if (poll(pfd, 3, -1) < 0 && errno != EINTR)
			return;
		if (pfd[0].revents)
			pump_write(p);
		if (pfd[1].revents)
			pump_read(&p->fds[1], p->out);
		if (pfd[2].revents)
			pump_read(&p->fds[2], p->complaint);
	}
}

/* held: -1 for none. */
static int run(const char *const *argv, const char *input, struct buf *out, int held,
	       struct err *err)
{
	int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
	AUTO_BUF struct buf complaint = BUF_INIT;
	pid_t pid = -1;
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			r = err_sys(err, "create pipe");
	}
	if (r == 0) {
		pid = proc_spawn(&(struct spawn){.argv = argv,
						 .in = pipes[0][0],
						 .out = pipes[1][1],
						 .err = pipes[2][1],
						 .keep = &held,
						 .n_keep = held >= 0},
				 err);
		r = pid < 0 ? pid : 0;
	}
	auto_close(&pipes[0][0]);
	auto_close(&pipes[1][1]);
	auto_close(&pipes[2][1]);
	struct pump p = {{pipes[0][1], pipes[1][0], pipes[2][0]},
			 input ? input : "",
			 input ? strlen(input) : 0,
			 out,
			 &complaint};
	if (r == 0) {
		struct sigaction old;
		(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &old);
		pump_all(&p);
		(void)sigaction(SIGPIPE, &old, NULL);
		r = proc_wait(pid, err);
	}
	for (int i = 0; i < 3; i++)
		auto_close(&p.fds[i]);
	if (r > 0)
		return err_set(err, EIO, "%s: %s (exit status %d)", argv[0],
			       buf_last_line(&complaint, "no reason given"), r);
	return r < 0 ? r : (out ? buf_check(out, err) : 0);
}

int proc_run(const char *const *argv, const char *input, struct buf *out, struct err *err)
{
	return run(argv, input, out, -1, err);
}

int proc_run_holding(const char *const *argv, const char *input, int held, struct err *err)
{
	return run(argv, input, NULL, held, err);
}
