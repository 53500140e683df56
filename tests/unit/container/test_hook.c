/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks get the state, their own environment and no more time than they are given. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "container/hook.h"
#include "proto/plan.h"

static char out[64];

static void hook_init(struct plan_hook *h, const char *script)
{
	const char *const args[] = {"any-name", "-c", script, NULL};
	struct err err = ERR_INIT;

	(void)snprintf(out, sizeof(out), "/tmp/hull-hook-%d", getpid());
	(void)unlink(out);
	*h = (struct plan_hook){.path = strdup("/bin/sh")};
	for (size_t i = 0; args[i]; i++) {
		if (strv_add(&h->args, args[i], &err) < 0)
			abort();
	}
	AUTO_FREE char *set = NULL;
	if (asprintf(&set, "OUT=%s", out) < 0 || strv_add(&h->env, set, &err) < 0)
		abort();
}

static void hook_done(struct plan_hook *h)
{
	record_done(&plan_hook_record, h);
	(void)unlink(out);
}

#define AUTO_HOOK AUTO(hook_done)

static bool wrote(const char *wanted)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	if (file_read(AT_FDCWD, out, 1 << 20, &text, &err) < 0 || !text.data)
		return *wanted == '\0';
	if (strcmp(text.data, wanted) != 0)
		printf("# it wrote '%.100s'\n", text.data);
	return strcmp(text.data, wanted) == 0;
}

TEST(a_hook_reads_the_state_and_has_its_own_arguments)
{
	AUTO_HOOK struct plan_hook h;
	struct err err = ERR_INIT;

	hook_init(&h, "cat > $OUT; echo \" $0\" >> $OUT; exit 0");
	EXPECT_EQ(hook_run(&h, "{\"status\":\"creating\"}", NULL, &err), 0);
	EXPECT(wrote("{\"status\":\"creating\"} any-name\n"));
}

TEST(a_hook_has_exactly_the_environment_given_and_no_descriptor)
{
	AUTO_HOOK struct plan_hook h;
	struct err err = ERR_INIT;
	AUTO_FREE char *wanted = NULL;

	(void)setenv("HULL_LEAK", "yes", 1);
	AUTO_CLOSE int leak = open("/dev/null", O_RDONLY); /* NOLINT(android-cloexec-open): meant */
	hook_init(&h, "/usr/bin/env -u PWD -u _ -u SHLVL -u OLDPWD > $OUT; "
		      "for f in /proc/$$/fd/*; do echo ${f##*/}; done | head -3 >> $OUT; "
		      "test -e /proc/$$/fd/3 && echo leak >> $OUT; true");
	EXPECT_EQ(hook_run(&h, "{}", NULL, &err), 0);
	EXPECT(asprintf(&wanted, "OUT=%s\n0\n1\n2\n", out) > 0);
	EXPECT(wrote(wanted));
	(void)unsetenv("HULL_LEAK");
	EXPECT(leak >= 0);
}

TEST(a_failed_hook_is_named_with_its_last_words)
{
	AUTO_HOOK struct plan_hook h;
	struct err err = ERR_INIT;

	hook_init(&h, "echo first >&2; echo the disk is full >&2; exit 3");
	EXPECT_EQ(hook_run(&h, "{}", NULL, &err), -EIO);
	EXPECT_STR(err.msg, "hook '/bin/sh': the disk is full (exit status 3)");
}

TEST(a_hook_that_is_not_there_is_named)
{
	struct err err = ERR_INIT;
	char absent[] = "/no/such/hook";
	char relative[] = "hook";
	struct plan_hook h = {.path = absent};

	EXPECT_EQ(hook_run(&h, "{}", NULL, &err), -ENOENT);
	EXPECT(strstr(err.msg, "/no/such/hook"));
	err = ERR_INIT;
	h.path = relative;
	EXPECT_EQ(hook_run(&h, "{}", NULL, &err), -EINVAL);
}

TEST(a_hook_that_takes_too_long_is_killed_with_its_children)
{
	AUTO_HOOK struct plan_hook h;
	struct err err = ERR_INIT;
	AUTO_BUF struct buf text = BUF_INIT;

	hook_init(&h, "sleep 1000 & echo $! > $OUT; wait");
	h.timeout_s = 1;
	EXPECT_EQ(hook_run(&h, "{}", NULL, &err), -ETIMEDOUT);
	EXPECT(strstr(err.msg, "hook '/bin/sh': not done after 1 seconds"));
	EXPECT_EQ(file_read(AT_FDCWD, out, 64, &text, &err), 0);
	pid_t child = (pid_t)strtol(text.data, NULL, 10);
	for (int i = 0; i < 200 && kill(child, 0) == 0; i++) {
		char path[64];
		AUTO_BUF struct buf stat = BUF_INIT;
		struct err gone = ERR_INIT;
		(void)snprintf(path, sizeof(path), "/proc/%d/stat", child);
		if (file_read(AT_FDCWD, path, 4096, &stat, &gone) < 0 || strstr(stat.data, ") Z "))
			return; /* nobody may be there to reap it */
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	EXPECT(kill(child, 0) < 0);
}

TEST(a_hook_need_not_read_and_may_leave_somebody_behind)
{
	AUTO_HOOK struct plan_hook h;
	struct err err = ERR_INIT;
	AUTO_FREE char *big = malloc(1 << 20);
	time_t before = time(NULL);

	EXPECT(big);
	memset(big, 'x', (1 << 20) - 1);
	big[(1 << 20) - 1] = '\0';
	hook_init(&h, "sleep 20 & exit 0");
	EXPECT_EQ(hook_run(&h, big, NULL, &err), 0);
	EXPECT(time(NULL) - before < 10);
}

TEST(a_hook_that_talks_without_end_is_bounded)
{
	AUTO_HOOK struct plan_hook h;
	struct err err = ERR_INIT;

	hook_init(&h, "i=0; while [ $i -lt 20000 ]; do echo many words and no end >&2; "
		      "i=$((i+1)); done; echo end >&2; exit 1");
	EXPECT_EQ(hook_run(&h, "{}", NULL, &err), -EIO);
	EXPECT_STR(err.msg, "hook '/bin/sh': end (exit status 1)");
}

static void add(struct list *to, uint32_t point, const char *script)
{
	struct plan_hook *h = list_add(to, &plan_hook_record);

	if (!h)
		abort();
	hook_init(h, script);
	h->point = point;
}

static void count(void *ctx, const char *line)
{
	(*(int *)ctx)++;
}

TEST(hooks_run_in_order_and_the_first_failure_ends_them)
{
	struct plan plan = {.id = NULL};
	struct err err = ERR_INIT;
	int warned = 0;

	add(&plan.hooks, HOOK_PRESTART, "echo 1 >> $OUT");
	add(&plan.hooks, HOOK_POSTSTOP, "echo never >> $OUT");
	add(&plan.hooks, HOOK_PRESTART, "echo 2 >> $OUT; exit 1");
	add(&plan.hooks, HOOK_PRESTART, "echo 3 >> $OUT");
	int r = hooks_run(&plan.hooks, HOOK_PRESTART, "{}", NULL, NULL, NULL, &err);
	bool stopped = r == -EIO && wrote("1\n2\n");
	(void)unlink(out);
	err = ERR_INIT;
	r = hooks_run(&plan.hooks, HOOK_PRESTART, "{}", NULL, count, &warned, &err);
	bool went_on = r == 0 && warned == 1 && wrote("1\n2\n3\n");
	record_done(&plan_record, &plan);
	(void)unlink(out);
	EXPECT(stopped);
	EXPECT(went_on);
}
