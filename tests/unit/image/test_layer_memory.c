/* SPDX-License-Identifier: Apache-2.0 */
/* Each allocation of the layer code fails once: the answer is a clear failure and nothing leaks
 * (the sanitizers' build sees to that). The linker sends our own calls here (--wrap); libraries
 * keep theirs. */
#include "../test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "kit.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

static int until_failure; /* 0: none fails */
static bool failed;

static bool fails(void)
{
	if (until_failure == 0 || --until_failure > 0)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

/* A tar that needs each kind of allocation. */
static void rich_tar(struct buf *tar)
{
	AUTO_FREE char *zeros = __real_calloc(1, 1 << 20);
	char long_name[300];

	memset(long_name, 'n', sizeof(long_name));
	long_name[150] = '/';
	memset(zeros + 300000, 'x', 1000);
	tar_member(tar, "d/", '5', 0755, NULL, NULL, 0);
	tar_file(tar, "d/.wh..wh..opq", "");
	tar_pax(tar, "SCHILY.xattr.user.x", "value", 5);
	tar_pax(tar, "path", long_name, sizeof(long_name));
	tar_file(tar, "x", "content");
	tar_member(tar, "holes", '0', 0644, NULL, zeros, 1 << 20);
	tar_member(tar, "l", '2', 0777, "d", NULL, 0);
	tar_member(tar, "h", '1', 0644, "holes", NULL, 0);
	tar_pax(tar, "GNU.sparse.map", "0,4,1000,3", 10);
	tar_pax(tar, "GNU.sparse.size", "200000", 6);
	tar_file(tar, "s", "content");
	for (int i = 0; i < 1100; i++) { /* the table of names grows */
		char name[16];
		(void)snprintf(name, sizeof(name), "d/%d", i);
		tar_file(tar, name, "");
	}
	tar_end(tar);
}

TEST(each_allocation_may_fail_once)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	int n = 0;

	rich_tar(&tar);
	for (failed = true; failed && n < 10000;) {
		AUTO_CLOSE int file = memfd_create("layer", MFD_CLOEXEC);
		struct layer_info info;
		struct err err = ERR_INIT;
		uint32_t magic = 0;

		failed = false;
		until_failure = ++n;
		int r = layer_of(&tar, file, &info, &err);
		until_failure = 0;
		if (r < 0) {
			EXPECT_EQ(r, -ENOMEM);
			EXPECT_STR(strstr(err.msg, "out of memory"), "out of memory");
			EXPECT(pread(file, &magic, sizeof(magic), 1024) <= 0 || magic == 0);
		}
		/* the table of names may stay as it is, when it cannot grow */
		EXPECT(failed || r == 0);
	}
	EXPECT(n > 15);
}
