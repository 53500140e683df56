/* SPDX-License-Identifier: Apache-2.0 */
/* What a cgroup's processes do: counting, listing, freezing, ending them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/str.h"
#include "container/cgroup_impl.h"
#include "proto/isolation.h"

int cgroup_freeze(const struct cgroup *cg, bool freeze, struct err *err)
{
	const struct hierarchy *h = cgroup_with(cg, CTL_FREEZER);

	if (!h)
		return err_set(err, ENOTSUP, "it is in no cgroup that can be frozen");
	if (h->v2)
		return file_put(h->fd, "cgroup.freeze", freeze ? "1" : "0", err);
	return file_put(h->fd, "freezer.state", freeze ? "FROZEN" : "THAWED", err);
}

bool cgroup_frozen(const struct cgroup *cg)
{
	const struct hierarchy *h = cgroup_with(cg, CTL_FREEZER);
	AUTO_BUF struct buf text = BUF_INIT;

	if (!h)
		return false;
	if (h->v2)
		return hierarchy_key(h, "cgroup.events", "frozen") == 1;
	return hierarchy_read(h, "freezer.state", &text) && strncmp(text.data, "FROZEN", 6) == 0;
}

uint64_t cgroup_oom_kills(const struct cgroup *cg)
{
	const struct hierarchy *h = cgroup_with(cg, CTL_MEMORY);

	if (!h)
		return 0;
	return hierarchy_key(h, h->v2 ? "memory.events" : "memory.oom_control", "oom_kill");
}

/* v1's "no limit" is a huge number of pages. */
static uint64_t limit_or_none(uint64_t limit)
{
	return limit >= (uint64_t)INT64_MAX - 0xffff ? 0 : limit;
}

static void stats_memory(const struct hierarchy *h, struct isolation_stats *ret)
{
	if (!h)
		return;
	uint64_t cache = hierarchy_key(h, "memory.stat",
				       h->v2 ? "inactive_file" : "total_inactive_file");
	uint64_t used = hierarchy_number(h, h->v2 ? "memory.current" : "memory.usage_in_bytes");

	ret->memory = used > cache ? used - cache : 0;
	ret->memory_peak = hierarchy_number(h, h->v2 ? "memory.peak" : "memory.max_usage_in_bytes");
	ret->memory_limit = limit_or_none(
		hierarchy_number(h, h->v2 ? "memory.max" : "memory.limit_in_bytes"));
}

/* Sums "MAJ:MIN Read N" (v1) or "MAJ:MIN rbytes=N wbytes=N …" (v2) over all devices. */
static void stats_io(const struct hierarchy *h, struct isolation_stats *ret)
{
	AUTO_BUF struct buf text = BUF_INIT;

	if (!hierarchy_read(h, h && h->v2 ? "io.stat" : "blkio.throttle.io_service_bytes", &text))
		return;
	char *rest = text.data;
	for (char *word; (word = strsep(&rest, " \n"));) {
		const char *value;
		if (str_prefix(word, "rbytes=", &value))
			ret->io_read += strtoull(value, NULL, 10);
		else if (str_prefix(word, "wbytes=", &value))
			ret->io_write += strtoull(value, NULL, 10);
		else if (strcmp(word, "Read") == 0)
			ret->io_read += strtoull(rest ? rest : "", NULL, 10);
		else if (strcmp(word, "Write") == 0)
			ret->io_write += strtoull(rest ? rest : "", NULL, 10);
	}
}

void cgroup_stats(const struct cgroup *cg, struct isolation_stats *ret)
{
	const struct hierarchy *cpu = cgroup_with(cg, CTL_CPUACCT);
	const struct hierarchy *pids = cgroup_with(cg, CTL_PIDS);

	*ret = (struct isolation_stats){0};
	if (cpu)
		ret->cpu_ns = cpu->v2 ? hierarchy_key(cpu, "cpu.stat", "usage_usec") * 1000
				      : hierarchy_number(cpu, "cpuacct.usage");
	stats_memory(cgroup_with(cg, CTL_MEMORY), ret);
	ret->pids = hierarchy_number(pids, "pids.current");
	ret->pids_limit = limit_or_none(hierarchy_number(pids, "pids.max"));
	stats_io(cgroup_with(cg, CTL_BLKIO), ret);
	ret->oom_kills = cgroup_oom_kills(cg);
}

/* Any hierarchy tells who is in; the freezer's is the one that also stops them. */
static const struct hierarchy *lister(const struct cgroup *cg)
{
	const struct hierarchy *h = cgroup_with(cg, CTL_FREEZER);

	for (size_t i = 0; !h && i < cg->n; i++)
		h = cg->h[i].fd >= 0 ? &cg->h[i] : NULL;
	return h;
}

/* Calls fn for each process in the cgroup and in those below it. */
static int each_pid(int dir, int depth, int (*fn)(void *ctx, pid_t pid, struct err *err), void *ctx,
		    struct err *err);

static int each_pid_below(int dir, int depth, int (*fn)(void *ctx, pid_t pid, struct err *err),
			  void *ctx, struct err *err)
{
	enum { DEPTH_MAX = 32 };
	struct stat st;

	/* a cgroup's link count is that of its folders */
	if (depth == DEPTH_MAX || fstat(dir, &st) < 0 || st.st_nlink <= 2)
		return 0;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		auto_close(&fd);
		return err_sys(err, "list cgroup");
	}
	int r = 0;
	for (struct dirent *e; r == 0 && (e = readdir(d));) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		AUTO_CLOSE int sub = openat(dirfd(d), e->d_name,
					    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = sub < 0 ? 0 : each_pid(sub, depth + 1, fn, ctx, err);
	}
	(void)closedir(d);
	return r;
}

static int each_pid(int dir, int depth, int (*fn)(void *ctx, pid_t pid, struct err *err), void *ctx,
		    struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	int r = file_read(dir, "cgroup.procs", 8 << 20, &text, err);

	if (r == -ENOENT || r == -ENODEV) { /* removed meanwhile */
		*err = ERR_INIT;
		return 0;
	}
	char *rest = text.data;
	for (char *line; r == 0 && (line = strsep(&rest, "\n"));) {
		pid_t pid = (pid_t)strtol(line, NULL, 10);
		if (pid > 0)
			r = fn(ctx, pid, err);
	}
	return r < 0 ? r : each_pid_below(dir, depth, fn, ctx, err);
}

/* What /proc/PID/stat says; the name in parentheses may hold anything. */
struct pid_stat {
	int ppid, tty;
	unsigned long long utime, stime, start;
};

static bool read_pid_stat(pid_t pid, struct pid_stat *ret)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* it has ended meanwhile */
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(AT_FDCWD, path, 4096, &text, &ignored) < 0 || !text.data)
		return false;
	const char *behind = strrchr(text.data, ')');
	if (!behind)
		return false;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers, which fit */
	return sscanf(behind,
		      ") %*c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu",
		      &ret->ppid, &ret->tty, &ret->utime, &ret->stime, &ret->start) == 5;
}

/* The command line with spaces between its words, or the name in brackets. */
static char *read_command(pid_t pid)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* shown as unknown */
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	if (file_read(AT_FDCWD, path, 1 << 20, &text, &ignored) == 0 && text.len > 0) {
		while (text.len > 0 && text.data[text.len - 1] == '\0')
			text.len--;
		for (size_t i = 0; i < text.len; i++) {
			if (text.data[i] == '\0')
				text.data[i] = ' ';
		}
		return buf_take(&text);
	}
	buf_clear(&text);
	(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (file_read(AT_FDCWD, path, 4096, &text, &ignored) < 0 || !text.data)
		return strdup("?");
	AUTO_BUF struct buf name = BUF_INIT;
	buf_printf(&name, "[%.*s]", (int)strcspn(text.data, "\n"), text.data);
	return buf_take(&name);
}

static char *tty_name(int tty)
{
	char *name = NULL;

	/* 136: Unix98 terminals (Documentation/admin-guide/devices.txt) */
	if (major((dev_t)tty) != 136)
		return strdup("?");
	return asprintf(&name, "pts/%u", minor((dev_t)tty)) < 0 ? NULL : name;
}

static int top_one(void *ctx, pid_t pid, struct err *err)
{
	struct isolation_top *top = ctx;
	struct pid_stat st;
	struct stat owner;
	char path[64];
	struct timespec boot;
	struct timespec now;
	uint64_t tick = (uint64_t)sysconf(_SC_CLK_TCK);

	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	if (stat(path, &owner) < 0 || !read_pid_stat(pid, &st))
		return 0;
	struct process_info *p = list_add(&top->processes, &process_info_record);
	if (!p)
		return err_set(err, ENOMEM, "out of memory");
	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	uint64_t boot_ms = (uint64_t)(now.tv_sec - boot.tv_sec) * 1000 +
			   (uint64_t)(now.tv_nsec / 1000000) - (uint64_t)(boot.tv_nsec / 1000000);
	p->pid = (uint32_t)pid;
	p->ppid = (uint32_t)st.ppid;
	p->uid = owner.st_uid;
	p->cpu_ms = (st.utime + st.stime) * 1000 / tick;
	p->start_ms = boot_ms + st.start * 1000 / tick;
	p->tty = tty_name(st.tty);
	p->command = read_command(pid);
	return p->tty && p->command ? 0 : err_set(err, ENOMEM, "out of memory");
}

int cgroup_top(const struct cgroup *cg, struct isolation_top *ret, struct err *err)
{
	const struct hierarchy *h = lister(cg);

	if (!h)
		return err_set(err, ENOTSUP, "it is in no cgroup that would list its processes");
	*ret = (struct isolation_top){.processes = {NULL, 0}};
	int r = each_pid(h->fd, 0, top_one, ret, err);
	if (r < 0)
		record_done(&isolation_top_record, ret);
	return r;
}

struct killing {
	const struct cgroup *cg;
	const struct hierarchy *h;
	int sig, n;
};

/* Whether /proc/PID/cgroup names this workload's folder in h's hierarchy (or one below it). */
static bool is_member(const struct killing *k, pid_t pid)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_BUF struct buf wanted = BUF_INIT;
	struct err ignored = ERR_INIT; /* gone: no member */
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	buf_printf(&wanted, "/%s", k->cg->path);
	if (file_read(AT_FDCWD, path, 65536, &text, &ignored) < 0 || !text.data || !wanted.data)
		return false;
	char *rest = text.data;
	for (char *line; (line = strsep(&rest, "\n"));) {
		const char *where = strstr(line, wanted.data);
		if (where && (where[wanted.len] == '\0' || where[wanted.len] == '/'))
			return true;
	}
	return false;
}

/* The pid was read from the cgroup, but may be another's by now. The pidfd holds whoever it is; if
 * that one is in the cgroup, it is ours. */
static int signal_one(void *ctx, pid_t pid, struct err *err)
{
	struct killing *k = ctx;
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0)
		return errno == ESRCH ? 0 : err_sys(err, "open process %d", pid);
	if (!is_member(k, pid))
		return 0;
	k->n++;
	if (syscall(SYS_pidfd_send_signal, pidfd, k->sig, NULL, 0) < 0 && errno != ESRCH)
		return err_sys(err, "signal process %d", pid);
	return 0;
}

int cgroup_signal(const struct cgroup *cg, int sig, struct err *err)
{
	struct killing k = {.cg = cg, .h = lister(cg), .sig = sig, .n = 0};

	if (!k.h)
		return 0;
	int r = each_pid(k.h->fd, 0, signal_one, &k, err);
	return r < 0 ? r : k.n;
}

/* v1 delivers nothing to a frozen process, and a fork may escape each single pass: freeze, signal
 * all, thaw, until nobody is left. */
int cgroup_kill(const struct cgroup *cg, struct err *err)
{
	enum { TRIES = 1000, PAUSE_NS = 10000000 };

	for (int i = 0; i < TRIES; i++) {
		struct err ignored = ERR_INIT; /* without a freezer the passes have to do */
		int n = cgroup_signal(cg, 0, err);
		if (n <= 0)
			return n;
		(void)cgroup_freeze(cg, true, &ignored);
		n = cgroup_signal(cg, SIGKILL, err);
		(void)cgroup_freeze(cg, false, &ignored);
		if (n < 0)
			return n;
		(void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
	}
	return err_set(err, ETIMEDOUT, "processes in cgroup '%s' do not end", cg->path);
}
