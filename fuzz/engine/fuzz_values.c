/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as each value that the command line takes: it is refused with a reason, or within its
 * bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/build.h"
#include "engine/detach.h"
#include "engine/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void numbers(const char *text)
{
	struct err err = ERR_INIT;
	int64_t number = 0;
	uint64_t v = 0;
	int sig = 0;

	if (parse_int(text, -5, 100, "n", &number, &err) == 0)
		require(number >= -5 && number <= 100);
	err = ERR_INIT;
	if (parse_size(text, "n", &v, &err) == 0)
		require(v <= INT64_MAX);
	err = ERR_INIT;
	require((parse_nano(text, "n", &v, &err) == 0) == (err.code == 0));
	err = ERR_INIT;
	require((parse_duration_ms(text, "n", &v, &err) == 0) == (err.code == 0));
	err = ERR_INIT;
	if (parse_signal(text, &sig, &err) == 0)
		require(sig >= 1 && sig <= 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_FREE char *text = malloc(n + 1);
	struct plan_limits limits = {0};
	struct err err = ERR_INIT;
	struct detach keys;
	uint32_t policy = 0;
	uint32_t max = 0;

	if (!text)
		return 0;
	memcpy(text, data, n);
	text[n] = '\0';
	numbers(text);
	if (restart_parse(text, &policy, &max, &err) == 0)
		require(policy <= RESTART_UNLESS_STOPPED);
	err = ERR_INIT;
	if (detach_parse(text, &keys, &err) == 0)
		require(keys.n <= DETACH_KEYS_MAX);
	err = ERR_INIT;
	if (name_check(text, &err) == 0)
		require(strlen(text) <= NAME_MAX_LEN && !strpbrk(text, "/ \n"));
	err = ERR_INIT;
	const struct limit_options o = {.memory = 64 << 20,
					.memory_swap = text,
					.cpuset_cpus = text};
	require((limits_parse(&o, &limits, &err) == 0) == (err.code == 0));
	record_done(&plan_limits_record, &limits);
	return 0;
}
