/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 for programs that do not want to be it. It stays what it was forked from, with the
 * workload's identity and capabilities: not dumpable, so that nobody inside reaches its program
 * through /proc/1/exe; and nothing open.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container/box.h"

/* Reaps all that ended; ends with the child. */
static void reap(int child)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == child)
			_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	}
}

void init_main(int child)
{
	sigset_t all;

	(void)close_range(0, ~0U, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)prctl(PR_SET_NAME, "hull-init", 0, 0, 0);
	(void)sigfillset(&all); /* blocked since before the fork */
	for (;;) {
		int sig = sigwaitinfo(&all, NULL);
		if (sig < 0 && errno != EINTR)
			_exit(126);
		if (sig == SIGCHLD)
			reap(child);
		else if (sig > 0)
			(void)kill(child, sig);
	}
}
