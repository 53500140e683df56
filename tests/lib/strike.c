/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strike WHOM N[=ERRNO] PROGRAM [ARG…]: runs PROGRAM and, when one process is about to make its Nth
 * system call, kills it (SIGKILL), or lets that call fail with the number ERRNO. WHOM is 0 for
 * PROGRAM itself, K for the Kth process that it and its children make, or @PID for one that is
 * there already. Whoever executes another program is counted no further. When PROGRAM is killed,
 * its children are let go with it gone; else PROGRAM is waited for.
 *
 * Exit status: 0 struck (on standard output the call's number, and PROGRAM's end as a shell counts
 * it), 3 there was no such call, 4 PROGRAM did not end within a minute, 1 for a failure of its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRACED_MAX = 64, PATIENCE_S = 60, STRUCK = 0, FAILED = 1, NO_CALL = 3, HANGS = 4 };

struct traced {
	pid_t pid;
	int number; /* -1: one that was there already */
	bool counts; /* its calls are counted: it is past the execve of PROGRAM */
	bool gone, failing; /* failing: inside of the call that was struck */
	long calls;
};

struct hunt {
	struct traced all[TRACED_MAX];
	int n, next_number;
	int whom; /* -1: one that was there already */
	long at;
	int failure; /* errno; 0: kill */
	pid_t program;
	bool struck;
};

_Noreturn static void fail(const char *what)
{
	(void)fprintf(stderr, "strike: %s: %s\n", what, strerror(errno));
	exit(FAILED);
}

static void out_of_patience(int sig)
{
	_exit(HANGS); /* the kernel lets go of the traced */
}

static struct traced *add(struct hunt *h, pid_t pid, int number)
{
	if (h->n == TRACED_MAX) {
		errno = E2BIG;
		fail("processes");
	}
	h->all[h->n] = (struct traced){.pid = pid, .number = number, .counts = number != 0};
	return &h->all[h->n++];
}

/* A child stops once by itself, before or after its parent's event: it is numbered when first heard
 * of. */
static struct traced *find(struct hunt *h, pid_t pid)
{
	for (int i = 0; i < h->n; i++) {
		if (h->all[i].pid == pid && !h->all[i].gone)
			return &h->all[i];
	}
	return add(h, pid, h->next_number++);
}

static void seize(pid_t pid)
{
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE |
		       PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;

	if (ptrace(PTRACE_SEIZE, pid, NULL, options) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
		fail("trace");
}

/* Starts the program, which waits until it is traced. */
static void launch(struct hunt *h, char **argv)
{
	int gate[2];
	char c;

	if (pipe(gate) < 0)
		fail("pipe");
	h->program = fork();
	if (h->program < 0)
		fail("fork");
	if (h->program == 0) {
		(void)close(gate[1]);
		if (read(gate[0], &c, 1) < 0)
			_exit(127);
		(void)close(gate[0]);
		execvp(argv[0], argv);
		_exit(127);
	}
	seize(h->program);
	add(h, h->program, 0);
	(void)close(gate[0]);
	(void)close(gate[1]);
}

/* Replaces the number of the call that t is about to make, or what the last one answers. */
static void put_register(const struct traced *t, bool answer, long value)
{
#ifdef __x86_64__
	size_t at = answer ? offsetof(struct user, regs.rax) : offsetof(struct user, regs.orig_rax);
	if (ptrace(PTRACE_POKEUSER, t->pid, at, value) < 0)
		fail("change a call");
#else
	errno = ENOSYS; /* registers have other names there */
	fail("change a call");
#endif
}

/* Returns true when t is not to be let go on. */
static bool strike(struct hunt *h, struct traced *t, long long call)
{
	h->struck = true;
	(void)printf("%lld\n", call);
	(void)fflush(stdout);
	if (h->failure) {
		put_register(t, false, -1); /* no such call */
		t->failing = true;
		return false;
	}
	if (kill(t->pid, SIGKILL) < 0)
		fail("kill");
	if (t->pid == h->program)
		exit(STRUCK);
	return true;
}

/* But for those that no kernel lets fail so. */
static bool may_fail(unsigned long long call)
{
	return call != SYS_brk && call != SYS_close && call != SYS_getpid && call != SYS_exit &&
	       call != SYS_exit_group && call != SYS_rt_sigreturn && call != SYS_rt_sigaction &&
	       call != SYS_rt_sigprocmask;
}

/* A stop of t before or after a system call. Returns true when t is not to be let go on. */
static bool on_call(struct hunt *h, struct traced *t)
{
	struct __ptrace_syscall_info info = {.op = PTRACE_SYSCALL_INFO_NONE};

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof(info), &info) < 0)
		return false;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		if (t->failing)
			put_register(t, true, -h->failure);
		t->failing = false;
		return false;
	}
	if (!t->counts || h->struck || t->number != h->whom || ++t->calls < h->at)
		return false;
	if (h->failure && !may_fail(info.entry.nr))
		return false;
	return strike(h, t, (long long)info.entry.nr);
}

/* Lets t go on after the stop `status`. */
static void on_stop(struct hunt *h, struct traced *t, int status)
{
	int sig = WSTOPSIG(status);
	int event = status >> 16;
	int give = 0;

	if (sig == (SIGTRAP | 0x80)) {
		if (on_call(h, t))
			return;
	} else if (event == PTRACE_EVENT_EXEC) {
		if (t->number != 0) {
			(void)ptrace(PTRACE_DETACH, t->pid, 0, 0);
			t->gone = true;
			return;
		}
		t->counts = true;
	} else if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		(void)ptrace(PTRACE_LISTEN, t->pid, 0, 0);
		return;
	} else if (event == 0) {
		give = sig;
	}
	if (ptrace(PTRACE_SYSCALL, t->pid, 0, give) < 0 && errno != ESRCH)
		fail("go on");
}

static void follow(struct hunt *h)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		struct traced *t = find(h, pid);
		if (WIFSTOPPED(status)) {
			on_stop(h, t, status);
			continue;
		}
		t->gone = true;
		if (pid == h->program && h->struck)
			(void)printf("%d\n", WIFEXITED(status) ? WEXITSTATUS(status)
							       : 128 + WTERMSIG(status));
		if (pid == h->program)
			return;
	}
}

int main(int argc, char **argv)
{
	struct hunt h = {.next_number = 1};
	char *end;

	if (argc < 4) {
		(void)fprintf(stderr, "usage: strike WHOM N[=ERRNO] PROGRAM [ARG…]\n");
		return FAILED;
	}
	h.at = strtol(argv[2], &end, 10);
	h.failure = *end == '=' ? (int)strtol(end + 1, NULL, 10) : 0;
	(void)sigaction(SIGALRM, &(struct sigaction){.sa_handler = out_of_patience}, NULL);
	(void)alarm(PATIENCE_S);
	if (argv[1][0] == '@') {
		h.whom = -1;
		seize((pid_t)strtol(argv[1] + 1, NULL, 10));
		add(&h, (pid_t)strtol(argv[1] + 1, NULL, 10), -1);
	} else {
		h.whom = (int)strtol(argv[1], NULL, 10);
	}
	launch(&h, argv + 3);
	follow(&h);
	return h.struck ? STRUCK : NO_CALL;
}
