/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper is told beside the plan. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/err.h"
#include "engine/build.h"
#include "image/image.h"

enum { STOP_TIMEOUT_MS = 10000, LOG_MAX = 10 << 20, LOG_FILES = 3, RESTARTS_MAX = 1000000 };

int restart_parse(const char *text, uint32_t *ret_policy, uint32_t *ret_max, struct err *err)
{
	const char *rest;
	int64_t max = 0;

	*ret_max = 0;
	if (!text || !*text || strcmp(text, "no") == 0) {
		*ret_policy = RESTART_NO;
		return 0;
	}
	if (strcmp(text, "always") == 0) {
		*ret_policy = RESTART_ALWAYS;
		return 0;
	}
	if (strcmp(text, "unless-stopped") == 0) {
		*ret_policy = RESTART_UNLESS_STOPPED;
		return 0;
	}
	if (!str_prefix(text, "on-failure", &rest) || (*rest && *rest != ':'))
		return err_set(
			err, EINVAL,
			"--restart: '%s' is none of no, on-failure[:N], always, unless-stopped",
			text);
	if (*rest) {
		int r = parse_int(rest + 1, 0, RESTARTS_MAX, "--restart", &max, err);
		if (r < 0)
			return r;
	}
	*ret_policy = RESTART_ON_FAILURE;
	*ret_max = (uint32_t)max;
	return 0;
}

static int stop_signal(const struct build *b, struct err *err)
{
	const char *from_image = b->image->config.stop_signal;
	int sig = b->options->stop_signal ? b->options->stop_signal : SIGTERM;

	if (!b->options->stop_signal && from_image && *from_image) {
		int r = parse_signal(from_image, &sig, err);
		if (r < 0)
			return err_wrap(err, "the image's stop signal");
	}
	b->orders->stop_signal = (uint32_t)sig;
	return 0;
}

int build_orders(const struct build *b, struct err *err)
{
	const struct run_options *o = b->options;
	struct keeper_orders *k = b->orders;

	k->open_stdin = o->interactive;
	k->stdin_once = o->interactive && !o->detach;
	k->stop_timeout_ms = o->stop_timeout_ms == OPTION_UNSET ? STOP_TIMEOUT_MS
								: o->stop_timeout_ms;
	k->log_max = o->log_max == OPTION_UNSET ? LOG_MAX : o->log_max;
	k->log_files = LOG_FILES;
	int r = stop_signal(b, err);
	if (r == 0)
		r = restart_parse(o->restart, &k->restart, &k->restart_max, err);
	if (r == 0 && k->restart != RESTART_NO && o->auto_remove)
		r = err_set(err, EINVAL, "--rm and --restart contradict each other");
	return r;
}
