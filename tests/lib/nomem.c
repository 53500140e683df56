/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a test: the allocation NOMEM_AT fails (with NOMEM_ALL that one and every later
 * one), counted from main() on in this process. Says so on standard error, so that the caller knows
 * whether there was an allocation of that number.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_ulong seen;
static unsigned long fail_at;
static bool fail_all;

/* glibc's own, under the names that it keeps for this. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

__attribute__((constructor)) static void begin(void)
{
	const char *at = getenv("NOMEM_AT");

	fail_all = getenv("NOMEM_ALL") != NULL;
	(void)unsetenv("LD_PRELOAD"); /* what the test starts is not part of it */
	atomic_store(&seen, 0);
	fail_at = at ? strtoul(at, NULL, 10) : 0;
}

static bool fails(void)
{
	static const char told[] = "nomem: an allocation failed\n";

	if (fail_at == 0)
		return false;
	unsigned long n = atomic_fetch_add(&seen, 1) + 1;
	if (n != fail_at && !(fail_all && n > fail_at))
		return false;
	if (n == fail_at && write(STDERR_FILENO, told, sizeof(told) - 1) < 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
