/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker hull-kernel tells on its standard output, in lines, how far it is ("step TEXT"), why
 * it failed ("error TEXT", the first one counts) or the kernel's name ("name TEXT"). It is in a
 * session of its own, so that a terminal's signals reach it only from here, and this program stays
 * until it has cleared away.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/str.h"
#include "machine/kernel.h"
#include "machine/vmlinux.h"

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP};

enum { N_SIGNALS = sizeof(stop_signals) / sizeof(stop_signals[0]) };

/* A signal handler has no context. */
static volatile sig_atomic_t worker;

static void pass_on(int sig)
{
	int saved = errno;

	(void)sig;
	(void)kill(worker, SIGTERM);
	errno = saved;
}

static void catch_signals(pid_t pid, struct sigaction old[N_SIGNALS])
{
	const struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};

	worker = pid;
	for (size_t i = 0; i < N_SIGNALS; i++) {
		(void)sigaction(stop_signals[i], NULL, &old[i]);
		if (old[i].sa_handler != SIG_IGN)
			(void)sigaction(stop_signals[i], &action, NULL);
	}
}

static void leave_signals(const struct sigaction old[N_SIGNALS])
{
	for (size_t i = 0; i < N_SIGNALS; i++)
		(void)sigaction(stop_signals[i], &old[i], NULL);
}

/* Reads what the worker says to its end; closes fd. */
static int listen_to(int fd, const struct kernel_plan *plan, char **name, struct err *err)
{
	AUTO_FREE char *line = NULL;
	size_t room = 0;
	int r = 0;

	FILE *f = fdopen(fd, "re");
	if (!f) {
		r = err_sys(err, "listen to hull-kernel");
		auto_close(&fd);
		return r;
	}
	while (getline(&line, &room, f) > 0) {
		const char *text;
		line[strcspn(line, "\n")] = '\0';
		if (str_prefix(line, "step ", &text)) {
			plan->say(text);
		} else if (str_prefix(line, "error ", &text) && r == 0) {
			r = err_set(err, EIO, "%s", text);
		} else if (str_prefix(line, "name ", &text) && kernel_release_ok(text) && !*name) {
			*name = strdup(text);
			r = *name ? r : err_set(err, ENOMEM, "out of memory");
		}
	}
	(void)fclose(f);
	return r;
}

static pid_t start(const char *root, const struct kernel_plan *plan, int out, struct err *err)
{
	AUTO_FREE char *program = NULL;
	char jobs[16];

	int r = program_path("hull-kernel", &program, err);
	if (r < 0)
		return r;
	(void)snprintf(jobs, sizeof(jobs), "%u", plan->jobs);
	const char *argv[] = {program,
			      "--build",
			      root,
			      plan->source ? plan->source : "",
			      plan->config ? plan->config : "",
			      plan->name ? plan->name : "",
			      jobs,
			      NULL};
	return proc_spawn(&(struct spawn){.argv = argv,
					  .in = -1,
					  .out = out,
					  .err = STDERR_FILENO,
					  .new_session = true},
			  err);
}

int kernel_build(const char *root, const struct kernel_plan *plan, char **name, struct err *err)
{
	struct sigaction old[N_SIGNALS];
	AUTO_FREE char *said = NULL;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	pid_t pid = start(root, plan, ends[1], err);
	auto_close(&ends[1]);
	if (pid < 0) {
		auto_close(&ends[0]);
		return pid;
	}
	catch_signals(pid, old);
	int r = listen_to(ends[0], plan, &said, err);
	int status = proc_wait(pid, err);
	leave_signals(old);
	if (r < 0 || status < 0)
		return r < 0 ? r : status;
	if (status > 0 || !said)
		return err_set(err, EIO, "hull-kernel ended without a word (exit status %d)",
			       status);
	*name = TAKE_PTR(said);
	return 0;
}
