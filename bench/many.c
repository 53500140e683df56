/* SPDX-License-Identifier: Apache-2.0 */
/*
 * many COUNT AT-ONCE COMMAND… : runs the command COUNT times, AT-ONCE of them at a time, "{}" in
 * its words being the number of the run; prints the milliseconds that one took in the first hundred
 * and in the last, as the clock on the wall counts (hundred / 100), and what the whole took. What
 * grows with the number of lives that have been shows as a ratio above 1. A command that fails ends
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORDS_MAX = 24, SAMPLE = 100 };

static double now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static bool start(char **argv, long number)
{
	char words[WORDS_MAX][512];
	char *filled[WORDS_MAX + 1];
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int n = 0;

	for (; argv[n] && n < WORDS_MAX; n++) {
		const char *at = strstr(argv[n], "{}");
		filled[n] = argv[n];
		if (!at)
			continue;
		(void)snprintf(words[n], sizeof(words[n]), "%.*s%ld%s", (int)(at - argv[n]),
			       argv[n], number, at + 2);
		filled[n] = words[n];
	}
	filled[n] = NULL;
	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) != 0)
		return false;
	int r = posix_spawnp(&pid, filled[0], &actions, NULL, filled, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (r != 0)
		(void)fprintf(stderr, "many: %s: %s\n", filled[0], strerrordesc_np(r));
	return r == 0;
}

static bool end_one(void)
{
	int status;

	while (wait(&status) < 0) {
		if (errno != EINTR)
			return false;
	}
	if (status != 0)
		(void)fprintf(stderr, "many: one failed\n");
	return status == 0;
}

int main(int argc, char **argv)
{
	long count = argc > 3 ? strtol(argv[1], NULL, 10) : 0;
	long at_once = argc > 3 ? strtol(argv[2], NULL, 10) : 0;

	if (count < SAMPLE || at_once < 1) {
		(void)fputs("usage: many COUNT AT-ONCE COMMAND…, at least 100\n", stderr);
		return 2;
	}
	double *ended = calloc((size_t)count, sizeof(double));
	if (!ended)
		return 1;
	double began = now_ms();
	long started = 0;
	for (long done = 0; done < count; done++) {
		for (; started < count && started < done + at_once; started++) {
			if (!start(argv + 3, started))
				return 1;
		}
		if (!end_one())
			return 1;
		ended[done] = now_ms();
	}
	double first = (ended[SAMPLE - 1] - began) / SAMPLE;
	double last = (ended[count - 1] - (count > SAMPLE ? ended[count - SAMPLE - 1] : began)) /
		      SAMPLE;
	(void)printf("%6ld  %2ld at a time: %8.2f ms each in the first hundred, %8.2f in the last "
		     "(%.2f)\n",
		     count, at_once, first, last, last / first);
	free(ended);
	return 0;
}
