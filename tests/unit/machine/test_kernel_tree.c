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
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "base/proc.h"
#include "machine/kernel_make.h"

#define RELEASE "6.9.1-test"
#define MARK    "~Module signature appended~\n"

/* A work folder with a module folder `from` in it. */
struct bench {
	char dir[40];
	char from[64];
	char tree[96];
};

static void bench_done(struct bench *b)
{
	struct err err = ERR_INIT;
	AUTO_CLOSE int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (path_remove_all(tmp, b->dir + 5, &err) < 0)
		printf("# %s\n", err.msg);
}

static void bench_init(struct bench *b)
{
	*b = (struct bench){.dir = "/tmp/hull-tree-XXXXXX"};
	if (!mkdtemp(b->dir))
		abort();
	(void)snprintf(b->from, sizeof(b->from), "%s/from", b->dir);
	(void)snprintf(b->tree, sizeof(b->tree), "%s/lib/modules/" RELEASE, b->dir);
	if (mkdir(b->from, 0755) < 0)
		abort();
}

static void put(const char *dir, const char *name, const void *bytes, size_t n)
{
	struct err err = ERR_INIT;
	AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (file_replace(fd, name, bytes, n, 0644, &err) < 0)
		abort();
}

/* "hello" with a signature that says to be `said` bytes long and is `real` bytes long. */
static size_t signed_module(char *text, size_t real, uint8_t said)
{
	size_t n = 0;

	memcpy(text, "hello", 5);
	n += 5;
	memset(text + n, 's', real);
	n += real;
	memset(text + n, 0, 12);
	text[n + 11] = (char)said;
	n += 12;
	memcpy(text + n, MARK, sizeof(MARK) - 1);
	return n + sizeof(MARK) - 1;
}

static int content(const struct bench *b, const char *name, struct buf *out, struct err *err)
{
	AUTO_CLOSE int fd = open(b->tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return file_read(fd, name, 4096, out, err);
}

TEST(signatures_are_cut_off_and_nothing_else)
{
	AUTO(bench_done) struct bench b;
	AUTO_BUF struct buf with = BUF_INIT;
	AUTO_BUF struct buf without = BUF_INIT;
	struct err err = ERR_INIT;
	char text[256];

	bench_init(&b);
	put(b.from, "signed.ko", text, signed_module(text, 40, 40));
	put(b.from, "plain.ko", "a module without a signature, longer than its tail", 50);
	EXPECT_EQ(kernel_tree(b.dir, RELEASE, b.from, false, &err), 0);
	EXPECT_EQ(content(&b, "signed.ko", &with, &err), 0);
	EXPECT_STR(with.data, "hello");
	EXPECT_EQ(content(&b, "plain.ko", &without, &err), 0);
	EXPECT_EQ(without.len, 50);
	EXPECT(access(b.from, F_OK) == 0);
}

TEST(a_signature_that_lies_about_its_length_is_refused)
{
	AUTO(bench_done) struct bench b;
	struct err err = ERR_INIT;
	char text[256];

	bench_init(&b);
	put(b.from, "bad.ko", text, signed_module(text, 40, 200));
	EXPECT_EQ(kernel_tree(b.dir, RELEASE, b.from, true, &err), -EINVAL);
	EXPECT(strstr(err.msg, "bad.ko' is damaged") != NULL);
}

TEST(packed_modules_are_unpacked_and_links_elsewhere_removed)
{
	AUTO(bench_done) struct bench b;
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	char path[128];

	bench_init(&b);
	put(b.from, "packed.ko", "a module that was packed", 24);
	(void)snprintf(path, sizeof(path), "%s/packed.ko", b.from);
	const char *const gzip[] = {"gzip", path, NULL};
	EXPECT_EQ(proc_run(gzip, NULL, NULL, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/build", b.from);
	EXPECT_EQ(symlink("/usr/src", path), 0);
	EXPECT_EQ(kernel_tree(b.dir, RELEASE, b.from, true, &err), 0);
	EXPECT_EQ(content(&b, "packed.ko", &out, &err), 0);
	EXPECT_STR(out.data, "a module that was packed");
	(void)snprintf(path, sizeof(path), "%s/build", b.tree);
	EXPECT(access(path, F_OK) < 0 && errno == ENOENT);
}

TEST(a_packed_module_that_is_damaged_is_told)
{
	AUTO(bench_done) struct bench b;
	struct err err = ERR_INIT;

	bench_init(&b);
	put(b.from, "bad.ko.xz", "no xz at all", 12);
	EXPECT(kernel_tree(b.dir, RELEASE, b.from, true, &err) < 0);
	EXPECT(strstr(err.msg, "xz") != NULL);
}
