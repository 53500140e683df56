/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-share, taken over: where it would begin to serve it runs taken_try(), and tells what came of
 * it on its channel. Without a filter when there is a file "bare" in the first folder it shares.
 */
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "taken.h"

#include "base/filter.h"
#include "share/share.h"

int __real_filter_set(const struct filter_rule *rules, size_t n, int code, struct err *err);
int __wrap_filter_set(const struct filter_rule *rules, size_t n, int code, struct err *err);
int __wrap_share_serve(int channel, bool confined, struct err *err);

static bool bare;

int __wrap_filter_set(const struct filter_rule *rules, size_t n, int code, struct err *err)
{
	bare = access("/0/bare", F_OK) == 0;
	return bare ? 0 : __real_filter_set(rules, n, code, err);
}

int __wrap_share_serve(int channel, bool confined, struct err *err)
{
	const char *reached = NULL;
	char line[128];

	if (confined && share_confine(err) < 0)
		return -1;
	size_t tried = taken_try(!bare, &reached);
	int n = snprintf(line, sizeof(line), "tried=%zu reached=%s", tried,
			 reached ? reached : "nothing");
	return write(channel, line, (size_t)n) == n ? 0 : -1;
}
