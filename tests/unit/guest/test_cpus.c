/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "guest/cpus.h"

enum { CPUS = 4 };

/* A folder like sysfs's of four processors, all online. */
struct bench {
	char folder[64];
	char states[CPUS + 1];
};

static void bench_init(struct bench *b)
{
	char path[128];
	struct err err = ERR_INIT;

	(void)snprintf(b->folder, sizeof(b->folder), "/tmp/hull-cpus-XXXXXX");
	if (!mkdtemp(b->folder))
		abort();
	for (int i = 0; i < CPUS; i++) {
		(void)snprintf(path, sizeof(path), "%s/cpu%d", b->folder, i);
		if (mkdir(path, 0700) < 0)
			abort();
		(void)snprintf(path, sizeof(path), "%s/cpu%d/online", b->folder, i);
		if (i > 0 && file_replace(AT_FDCWD, path, "1", 1, 0600, &err) < 0)
			abort();
	}
}

static void bench_done(struct bench *b)
{
	char path[128];

	for (int i = 0; i < CPUS; i++) {
		(void)snprintf(path, sizeof(path), "%s/cpu%d/online", b->folder, i);
		(void)unlink(path);
		(void)snprintf(path, sizeof(path), "%s/cpu%d", b->folder, i);
		(void)rmdir(path);
	}
	(void)rmdir(b->folder);
}

/* '1' and '0' for each processor with a switch. */
static const char *states(struct bench *b)
{
	size_t n = 0;

	for (int i = 1; i < CPUS; i++) {
		AUTO_BUF struct buf text = BUF_INIT;
		struct err err = ERR_INIT;
		char path[128];
		(void)snprintf(path, sizeof(path), "%s/cpu%d/online", b->folder, i);
		if (file_read(AT_FDCWD, path, 16, &text, &err) < 0)
			abort();
		b->states[n++] = text.data[0];
	}
	b->states[n] = '\0';
	return b->states;
}

TEST(so_many_are_online_and_no_others)
{
	AUTO(bench_done) struct bench b;
	struct err err = ERR_INIT;

	bench_init(&b);
	EXPECT_EQ(cpus_keep_online(b.folder, 2, &err), 0);
	EXPECT_STR(states(&b), "100");
	EXPECT_EQ(cpus_keep_online(b.folder, 4, &err), 0);
	EXPECT_STR(states(&b), "111");
	EXPECT_EQ(cpus_keep_online(b.folder, 1, &err), 0);
	EXPECT_STR(states(&b), "000");
}

TEST(more_than_there_are_is_refused)
{
	AUTO(bench_done) struct bench b;
	struct err err = ERR_INIT;

	bench_init(&b);
	EXPECT_EQ(cpus_keep_online(b.folder, 5, &err), -ERANGE);
	EXPECT_STR(err.msg, "the machine has 4 processors, not 5");
}

TEST(a_machine_without_the_folder_says_so)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(cpus_keep_online("/nowhere/cpu", 1, &err), -ENOENT);
}
