/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interleave [-u TEXT] ROUNDS PAUSE-MS NAME COMMAND… [-- NAME COMMAND…]…
 *
 * Times whole commands, one of each in every round, so that a drift of the machine hits all alike,
 * with a pause before each, as in life. The first round warms up and does not count. Prints a line
 * per command: name, minimum, median and maximum in milliseconds, CPU time (median), largest
 * resident size in KiB, and median and minimum as ratios to the first command's (the latter is the
 * one to look at on a host that others use). A command that fails ends everything: its time would
 * mean nothing. With -u what is timed is how long a command takes until it has written TEXT, upon
 * which it is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS_MAX = 32, ROUNDS_MAX = 10000 };

struct command {
	char *name;
	char **argv;
	double *ms;
	double *cpu_ms;
	long rss_kib;
};

static double now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static double time_ms(const struct timeval *tv)
{
	return (double)tv->tv_sec * 1e3 + (double)tv->tv_usec / 1e3;
}

/* Splits argv at "--" into commands; returns how many, 0 when the words are off. */
static int split(char **argv, struct command *commands)
{
	int n = 0;

	while (*argv) {
		if (n == COMMANDS_MAX || !argv[1] || strcmp(argv[1], "--") == 0)
			return 0;
		commands[n].name = argv[0];
		commands[n].argv = ++argv;
		n++;
		while (*argv && strcmp(*argv, "--") != 0)
			argv++;
		if (*argv)
			*argv++ = NULL;
	}
	return n;
}

/* Whether TEXT comes from fd, which is read until then or to its end. */
static bool comes(int fd, const char *text)
{
	static char heard[1 << 16];
	size_t n = 0;

	for (ssize_t r; (r = read(fd, heard + n, sizeof(heard) - 1 - n)) > 0;) {
		n += (size_t)r;
		heard[n] = '\0';
		if (strstr(heard, text))
			return true;
		if (n > sizeof(heard) / 2) /* what has been looked at may go */
			n = 0;
	}
	return false;
}

static bool note(struct command *c, long round, double ms, const struct rusage *ru)
{
	if (round < 0)
		return true;
	c->ms[round] = ms;
	c->cpu_ms[round] = time_ms(&ru->ru_utime) + time_ms(&ru->ru_stime);
	c->rss_kib = ru->ru_maxrss > c->rss_kib ? ru->ru_maxrss : c->rss_kib;
	return true;
}

/* Runs it until it has written the text. */
static bool run_until(struct command *c, long round, const char *text)
{
	posix_spawn_file_actions_t actions;
	struct rusage ru;
	pid_t pid;
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC) < 0 || posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
	    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], 1) != 0)
		return false;
	double start = now_ms();
	int r = posix_spawnp(&pid, c->argv[0], &actions, NULL, c->argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(pipe_fds[1]);
	bool came = r == 0 && comes(pipe_fds[0], text);
	double ms = now_ms() - start;
	(void)close(pipe_fds[0]);
	if (r == 0) {
		(void)kill(pid, SIGKILL);
		(void)wait4(pid, NULL, 0, &ru);
	}
	if (!came)
		(void)fprintf(stderr, "interleave: %s: never said '%s'\n", c->name, text);
	return came && note(c, round, ms, &ru);
}

/* Runs it once with its output thrown away; round -1 does not count. */
static bool run_once(struct command *c, long round)
{
	posix_spawn_file_actions_t actions;
	struct rusage ru;
	pid_t pid;
	int status;

	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) != 0)
		return false;
	double start = now_ms();
	int r = posix_spawnp(&pid, c->argv[0], &actions, NULL, c->argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (r != 0 || wait4(pid, &status, 0, &ru) != pid || status != 0) {
		(void)fprintf(stderr, "interleave: %s: %s\n", c->name,
			      r ? strerrordesc_np(r) : "failed");
		return false;
	}
	return note(c, round, now_ms() - start, &ru);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void report(struct command *commands, int n, size_t rounds)
{
	double least = 0;

	(void)printf("%-28s %9s %9s %9s %9s %9s %7s %7s\n", "", "min ms", "median", "max", "cpu ms",
		     "max KiB", "ratio", "of min");
	for (int i = 0; i < n; i++) {
		struct command *c = &commands[i];
		qsort(c->ms, rounds, sizeof(double), by_size);
		qsort(c->cpu_ms, rounds, sizeof(double), by_size);
		least = i == 0 ? c->ms[0] : least;
		(void)printf("%-28s %9.2f %9.2f %9.2f %9.2f %9ld %7.2f %7.2f\n", c->name, c->ms[0],
			     c->ms[rounds / 2], c->ms[rounds - 1], c->cpu_ms[rounds / 2],
			     c->rss_kib, c->ms[rounds / 2] / commands[0].ms[rounds / 2],
			     c->ms[0] / least);
	}
}

int main(int argc, char **argv)
{
	struct command commands[COMMANDS_MAX] = {{0}};
	const char *until = NULL;

	if (argc > 2 && strcmp(argv[1], "-u") == 0) {
		until = argv[2];
		argv += 2;
		argc -= 2;
	}
	long rounds = argc > 4 ? strtol(argv[1], NULL, 10) : 0;
	long pause_ms = argc > 4 ? strtol(argv[2], NULL, 10) : -1;
	int n = rounds > 0 && rounds <= ROUNDS_MAX && pause_ms >= 0 ? split(argv + 3, commands) : 0;

	if (n == 0) {
		(void)fprintf(
			stderr,
			"usage: interleave [-u TEXT] ROUNDS PAUSE-MS NAME COMMAND… [-- NAME COMMAND…]…\n");
		return 2;
	}
	for (int i = 0; i < n; i++) {
		commands[i].ms = calloc((size_t)rounds, sizeof(double));
		commands[i].cpu_ms = calloc((size_t)rounds, sizeof(double));
		if (!commands[i].ms || !commands[i].cpu_ms)
			return 1;
	}
	const struct timespec pause = {.tv_sec = pause_ms / 1000,
				       .tv_nsec = pause_ms % 1000 * 1000000};
	for (long round = -1; round < rounds; round++) {
		for (int i = 0; i < n; i++) {
			(void)nanosleep(&pause, NULL);
			if (!(until ? run_until(&commands[i], round, until)
				    : run_once(&commands[i], round)))
				return 1;
		}
	}
	report(commands, n, (size_t)rounds);
	return 0;
}
