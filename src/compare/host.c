/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All processes of a workload descend from its keeper: the container's first process and whatever
 * its PID namespace takes in, or the monitor and the volume share. So the tree below the keeper is
 * the whole of what it costs.
 */
#include "compare/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "compare/compare.h"

enum { TREE_MAX = 4096, FILE_MAX = 16 << 20, DEPTH_MAX = 128 };

struct tree {
	pid_t v[TREE_MAX]; /* v[0]: the keeper */
	size_t n;
};

/* The text of a file of procfs; empty when the process is gone. */
static void read_proc(pid_t pid, const char *name, struct buf *to)
{
	char path[330];
	struct err gone = ERR_INIT;

	buf_clear(to);
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	if (file_read(AT_FDCWD, path, FILE_MAX, to, &gone) < 0)
		buf_clear(to);
	buf_str(to, "");
}

static void add_children(struct tree *tree, pid_t pid, const char *task)
{
	AUTO_BUF struct buf text = BUF_INIT;
	char name[300];

	(void)snprintf(name, sizeof(name), "task/%s/children", task);
	read_proc(pid, name, &text);
	char *p = text.data;
	while (p && *p && tree->n < TREE_MAX) {
		char *end;
		long child = strtol(p, &end, 10);
		if (end == p)
			return;
		tree->v[tree->n++] = (pid_t)child;
		p = end + strspn(end, " ");
	}
}

static void tree_read(struct tree *tree, pid_t keeper)
{
	tree->n = 0;
	tree->v[tree->n++] = keeper;
	for (size_t i = 0; i < tree->n; i++) {
		char path[64];
		(void)snprintf(path, sizeof(path), "/proc/%d/task", tree->v[i]);
		DIR *tasks = opendir(path);
		struct dirent *task;
		while (tasks && (task = readdir(tasks))) {
			if (task->d_name[0] != '.')
				add_children(tree, tree->v[i], task->d_name);
		}
		if (tasks)
			(void)closedir(tasks);
	}
}

/* The value of "KEY:  N kB" in bytes. */
static uint64_t kib_line(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	return p ? strtoull(p + strlen(key), NULL, 10) * 1024 : 0;
}

uint64_t host_memory(pid_t keeper)
{
	AUTO_FREE struct tree *tree = malloc(sizeof(*tree));
	AUTO_BUF struct buf text = BUF_INIT;
	uint64_t sum = 0;

	if (!tree)
		return 0;
	tree_read(tree, keeper);
	for (size_t i = 0; i < tree->n; i++) {
		read_proc(tree->v[i], "smaps_rollup", &text);
		if (text.data)
			sum += kib_line(text.data, "\nPss:");
	}
	return sum;
}

/* One mapping of smaps. */
struct mapping {
	uint64_t size, pss;
	bool guest; /* named as the machine's memory */
	bool plain; /* anonymous, to be read and written but not run */
};

static void mapping_head(struct mapping *m, const char *line)
{
	char *end;
	uint64_t from = strtoull(line, &end, 16);
	uint64_t to = *end == '-' ? strtoull(end + 1, &end, 16) : from;

	size_t n = strcspn(line, "\n");
	const char *slash = memchr(line, '/', n);
	*m = (struct mapping){.size = to - from};
	m->guest = memmem(line, n, "memfd:memory-backend", 20) != NULL;
	m->plain = strncmp(end, " rw-p", 5) == 0 && !slash && !memchr(line, '[', n);
}

/* PSS of a monitor or share: all of it, and the guest's part. Memory that is not shared has no name
 * of its own: it is the largest plain mapping of the monitor. */
static void read_maps(pid_t pid, bool monitor, uint64_t *ret_all, uint64_t *ret_guest)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct mapping now = {0};
	struct mapping largest = {0};
	uint64_t named = 0;

	*ret_all = 0;
	read_proc(pid, "smaps", &text);
	for (const char *p = text.data; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		if (strncmp(p, "Pss:", 4) == 0) {
			now.pss = strtoull(p + 4, NULL, 10) * 1024;
			*ret_all += now.pss;
			named += now.guest ? now.pss : 0;
			if (now.plain && now.size > largest.size)
				largest = now;
		} else if (!(*p >= 'A' && *p <= 'Z')) {
			mapping_head(&now, p);
		}
	}
	*ret_guest = named ? named : monitor ? largest.pss : 0;
}

void host_memory_apart(pid_t keeper, struct memory *ret)
{
	AUTO_FREE struct tree *tree = malloc(sizeof(*tree));
	AUTO_BUF struct buf comm = BUF_INIT;

	*ret = (struct memory){0};
	if (!tree)
		return;
	tree_read(tree, keeper);
	for (size_t i = 0; i < tree->n; i++) {
		uint64_t all = 0;
		uint64_t guest = 0;
		read_proc(tree->v[i], "comm", &comm);
		bool monitor = comm.data && strncmp(comm.data, "qemu-system", 11) == 0;
		bool share = comm.data && strncmp(comm.data, "virtiofsd", 9) == 0;
		read_maps(tree->v[i], monitor, &all, &guest);
		uint64_t *whose = i == 0    ? &ret->keeper
				  : monitor ? &ret->monitor
				  : share   ? &ret->share
					    : &ret->workload;
		if (!monitor && !share)
			guest = 0;
		*whose += all - guest;
		ret->guest += guest;
	}
}

static int disk_below(int dirfd, unsigned depth, uint64_t *sum, struct err *err)
{
	int copy = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = err_sys(err, "read a workload's folder");
		auto_close(&copy);
		return r;
	}
	while (r == 0 && (entry = readdir(dir))) {
		struct stat st;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		*sum += (uint64_t)st.st_blocks * 512;
		if (!S_ISDIR(st.st_mode) || depth >= DEPTH_MAX)
			continue;
		AUTO_CLOSE int sub = openat(dirfd, entry->d_name,
					    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			r = disk_below(sub, depth + 1, sum, err);
	}
	(void)closedir(dir);
	return r;
}

int host_disk(int dirfd, const char *path, uint64_t *ret, struct err *err)
{
	AUTO_CLOSE int dir = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	*ret = 0;
	if (dir < 0)
		return err_sys(err, "open '%s'", path);
	return disk_below(dir, 0, ret, err);
}

uint64_t host_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* The CPU's name as the kernel tells it; not every architecture has one. */
static char *cpu_name(void)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT;

	if (file_read(AT_FDCWD, "/proc/cpuinfo", FILE_MAX, &text, &ignored) < 0)
		return strdup("unknown");
	const char *p = text.data ? strstr(text.data, "model name") : NULL;
	p = p ? strchr(p, ':') : NULL;
	if (!p)
		return strdup("unknown");
	p += 1 + strspn(p + 1, " \t");
	return strndup(p, strcspn(p, "\n"));
}

int host_describe(struct comparison *c, struct err *err)
{
	struct utsname name;

	if (uname(&name) < 0)
		return err_sys(err, "ask for the kernel's name");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	c->host_cpus = cpus > 0 ? (uint32_t)cpus : 1;
	c->host_cpu = cpu_name();
	c->host_kernel = strdup(name.release);
	return c->host_cpu && c->host_kernel ? 0 : err_set(err, ENOMEM, "out of memory");
}
