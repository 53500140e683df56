/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-probe: what `hull compare --profile` runs inside a workload. Static, so that it runs in any
 * image. Each operand names one micro workload; for each a line "NAME NANOSECONDS-PER-OPERATION" is
 * printed. `start` does nothing; `idle` waits to be killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	CPU_STEPS = 100000000,
	MEMORY_BYTES = 32 << 20,
	MEMORY_TURNS = 8,
	DISK_BYTES = 32 << 20,
	DISK_BLOCK = 64 << 10,
	SYSCALLS = 500000,
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void say(const char *name, uint64_t from, double operations)
{
	printf("probe_%s %.4f\n", name, (double)(now_ns() - from) / operations);
	(void)fflush(stdout);
}

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int probe_cpu(void)
{
	uint64_t from = now_ns();
	uint64_t x = 88172645463325252U;

	for (long i = 0; i < CPU_STEPS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	__asm__ volatile("" : : "r"(x)); /* the result counts as used */
	say("cpu", from, CPU_STEPS);
	return 0;
}

static int probe_memory(void)
{
	uint64_t from = now_ns();
	char *a = malloc(MEMORY_BYTES);
	char *b = malloc(MEMORY_BYTES);

	if (!a || !b) {
		free(a);
		free(b);
		return fail("memory");
	}
	memset(a, 1, MEMORY_BYTES);
	for (int i = 0; i < MEMORY_TURNS; i++) {
		memcpy(b, a, MEMORY_BYTES);
		__asm__ volatile("" : : "r"(b) : "memory");
	}
	say("memory", from, (double)MEMORY_BYTES / 1024 * (MEMORY_TURNS + 1));
	free(a);
	free(b);
	return 0;
}

static int write_file(int fd)
{
	static char block[DISK_BLOCK];

	memset(block, 'x', sizeof(block));
	for (long done = 0; done < DISK_BYTES; done += DISK_BLOCK) {
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			return fail("write");
	}
	return fsync(fd) < 0 ? fail("fsync") : 0;
}

static int read_file(int fd)
{
	static char block[DISK_BLOCK];
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return fail("seek");
	while ((n = read(fd, block, sizeof(block))) > 0)
		;
	return n < 0 ? fail("read") : 0;
}

static int probe_disk(void)
{
	static const char path[] = "/.hull-probe-file";
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail(path);
	uint64_t from = now_ns();
	int r = write_file(fd);
	if (r == 0) {
		say("disk_write", from, (double)DISK_BYTES / 1024);
		from = now_ns();
		r = read_file(fd);
	}
	if (r == 0)
		say("disk_read", from, (double)DISK_BYTES / 1024);
	(void)close(fd);
	return r;
}

static int probe_syscall(void)
{
	uint64_t from = now_ns();

	for (long i = 0; i < SYSCALLS; i++)
		(void)syscall(SYS_getppid);
	say("syscall", from, SYSCALLS);
	return 0;
}

static int probe_start(void)
{
	return 0;
}

static int probe_idle(void)
{
	while (pause() < 0 && errno == EINTR)
		;
	return fail("pause");
}

static const struct {
	const char *name;
	int (*run)(void);
} probes[] = {
	{"start", probe_start}, {"cpu", probe_cpu},         {"memory", probe_memory},
	{"disk", probe_disk},   {"syscall", probe_syscall}, {"idle", probe_idle},
};

static int run(const char *name)
{
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		if (strcmp(probes[i].name, name) == 0)
			return probes[i].run();
	}
	fprintf(stderr, "hull-probe: '%s': no such probe\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	int r = 0;

	for (int i = 1; i < argc && r == 0; i++)
		r = run(argv[i]);
	return r;
}
