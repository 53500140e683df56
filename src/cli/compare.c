/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "cli/commands.h"
#include "cli/run_options.h"
#include "compare/compare.h"
#include "engine/engine.h"
#include "image/image.h"

struct compare_args {
	int64_t rounds;
	bool no_warm_up, quiet;
	const char *format, *report, *load, *profile, *kernel;
	uint64_t duration_ms, timeout_ms;
	struct strv env, volumes;
	struct limit_options limits;
};

static const struct compare_args defaults = {.rounds = 5,
					     .duration_ms = 5000,
					     .timeout_ms = 120000};

static const struct option own_options[] = {
	{"rounds", 'n', OPTION_INT, "N", "how often each is run (5)",
	 offsetof(struct compare_args, rounds)},
	{"no-warm-up", 0, OPTION_FLAG, NULL, "count the first round too",
	 offsetof(struct compare_args, no_warm_up)},
	{"format", 0, OPTION_STRING, "FORMAT", "json, or table (the default)",
	 offsetof(struct compare_args, format)},
	{"report", 0, OPTION_STRING, "FILE", "write a page with plots, too",
	 offsetof(struct compare_args, report)},
	{"load", 0, OPTION_STRING, "URL-PATH", "it is a server: put it under load at this path",
	 offsetof(struct compare_args, load)},
	{"duration", 0, OPTION_DURATION, "TIME", "how long each load lasts (5s)",
	 offsetof(struct compare_args, duration_ms)},
	{"profile", 0, OPTION_STRING, "LIST",
	 "run built-in probes instead: start,cpu,memory,disk,syscall",
	 offsetof(struct compare_args, profile)},
	{"timeout", 0, OPTION_DURATION, "TIME", "how long one run may take (2m)",
	 offsetof(struct compare_args, timeout_ms)},
	{"kernel", 0, OPTION_STRING, "NAME", "the machines' kernel",
	 offsetof(struct compare_args, kernel)},
	{"env", 'e', OPTION_LIST, "KEY=VALUE", "set a variable",
	 offsetof(struct compare_args, env)},
	{"volume", 'v', OPTION_LIST, "HOST:PATH[:ro]", "show a host's file or folder inside",
	 offsetof(struct compare_args, volumes)},
	{"quiet", 'q', OPTION_FLAG, NULL, "no progress on standard error",
	 offsetof(struct compare_args, quiet)},
};

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

static bool interrupted(void *ctx)
{
	return caught != 0;
}

/* On a terminal one line that changes, else a line for each. */
static void progress(void *ctx, const char *line)
{
	const bool *terminal = ctx;

	fprintf(stderr, *terminal ? "\r\033[K%s" : "%s\n", line);
	(void)fflush(stderr);
}

/* The first TCP port that the image exposes; 0: none. */
static int first_port(struct engine *e, const char *image, uint32_t *ret, struct err *err)
{
	struct image found = {0};

	int r = image_find(engine_store(e), image, &found, err);
	for (size_t i = 0; r == 0 && *ret == 0 && i < found.config.exposed.n; i++) {
		char *end;
		unsigned long port = strtoul(found.config.exposed.v[i], &end, 10);
		if (port > 0 && port < 65536 && (*end == '\0' || strcmp(end, "/tcp") == 0))
			*ret = (uint32_t)port;
	}
	image_done(&found);
	return r;
}

static int write_report(const struct comparison *c, const char *path, struct err *err)
{
	AUTO_BUF struct buf page = BUF_INIT;

	comparison_html(c, &page);
	int r = buf_check(&page, err);
	if (r == 0)
		r = file_replace(AT_FDCWD, path, page.data, page.len, 0644, err);
	return r;
}

static int print(const struct comparison *c, bool json, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	if (json)
		comparison_json(c, &text);
	else
		comparison_text(c, &text);
	int r = buf_check(&text, err);
	if (r == 0)
		(void)fwrite(text.data, 1, text.len, stdout); /* main() judges ferror() */
	return r;
}

static void catch_signals(void)
{
	const struct sigaction action = {.sa_handler = on_signal};

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
}

static int check(const struct compare_args *a, struct err *err)
{
	if (a->format && strcmp(a->format, "json") != 0 && strcmp(a->format, "table") != 0)
		return err_set(err, EINVAL, "--format: '%s' is neither json nor table", a->format);
	if (a->rounds < 1 || a->rounds > 1000)
		return err_set(err, EINVAL, "-n: not between 1 and 1000");
	return 0;
}

static int compare(struct call *call, struct err *err)
{
	const struct compare_args *a = call->options;
	AUTO(comparison_done) struct comparison result = {0};
	bool terminal = isatty(STDERR_FILENO);
	struct engine *e = NULL;
	struct compare_options o = {.image = call->operands[0],
				    .command = call->operands + 1,
				    .n_command = call->n - 1,
				    .kernel = a->kernel,
				    .env = a->env,
				    .volumes = a->volumes,
				    .limits = a->limits,
				    .rounds = (uint32_t)a->rounds,
				    .no_warm_up = a->no_warm_up,
				    .timeout_ms = a->timeout_ms,
				    .profile = a->profile,
				    .load = a->load,
				    .duration_ms = a->duration_ms,
				    .progress = a->quiet ? NULL : progress,
				    .interrupted = interrupted,
				    .ctx = &terminal};

	int r = check(a, err);
	if (r == 0)
		r = call_engine(call, &e, err);
	if (r == 0 && a->load)
		r = first_port(e, o.image, &o.port, err);
	if (r < 0)
		return r;
	catch_signals();
	r = compare_run(e, &o, &result, err);
	if (terminal && !a->quiet)
		fputs("\r\033[K", stderr);
	if (r == 0)
		r = print(&result, a->format && strcmp(a->format, "json") == 0, err);
	if (r == 0 && a->report)
		r = write_report(&result, a->report, err);
	return r;
}

const struct command command_compare = {
	.names = {"compare"},
	.operands = "IMAGE [-- COMMAND [ARG...]]",
	.summary = "Run an image as container and as machine and tell what each cost",
	.example = "hull compare -n 3 debian -- true\n"
		   "hull compare --load / --report web.html web\n"
		   "hull compare --profile start,cpu,memory,disk,syscall debian",
	.groups = {OPTION_GROUP(own_options, 0),
		   OPTION_GROUP(limit_option_table, offsetof(struct compare_args, limits))},
	.size = sizeof(struct compare_args),
	.defaults = &defaults,
	.min = 1,
	.max = OPERANDS_ANY,
	.run = compare,
};
