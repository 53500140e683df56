/* SPDX-License-Identifier: Apache-2.0 */
/* Every number of the runtime-spec's resources arrives in the file that the kernel reads, or is
 * refused by the name of its field; and whose cgroups are whose. */
#include "../test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/io.h"
#include "container/cgroup_impl.h"
#include "rig.h"

struct trial {
	struct plan plan; /* its limits */
	struct cgroup *cg;
	struct err err;
	struct buf said;
	bool as_specified;
	char path[64];
};

static void note(void *ctx, const char *line)
{
	struct trial *t = ctx;

	buf_printf(&t->said, "%s\n", line);
}

static void trial_init(struct trial *t)
{
	static unsigned number;

	*t = (struct trial){.as_specified = true};
	(void)snprintf(t->path, sizeof(t->path), "/hull-trial/%d-%u", getpid(), number++);
}

static int trial_run(struct trial *t)
{
	struct cgroup_config config = {
		.path = t->path,
		.limits = &t->plan.limits,
		.as_specified = t->as_specified,
		.warn = note,
		.ctx = t,
	};

	return cgroup_new(&t->cg, &config, &t->err);
}

static void trial_done(struct trial *t)
{
	struct err ignored = ERR_INIT;

	if (t->cg)
		(void)cgroup_remove(t->cg, &ignored);
	cgroup_free(t->cg);
	buf_done(&t->said);
	record_done(&plan_record, &t->plan);
}

#define AUTO_TRIAL AUTO(trial_done)

/* Whether the file of v1, or that of v2, says this. */
static bool holds(const struct trial *t, enum controller c, const char *v1, const char *v2,
		  const char *value)
{
	const struct hierarchy *h = cgroup_with(t->cg, c);
	AUTO_BUF struct buf text = BUF_INIT;
	const char *file = h && h->v2 ? v2 : v1;

	if (!file || !hierarchy_read(h, file, &text))
		return false;
	text.data[strcspn(text.data, "\n")] = '\0';
	if (strcmp(text.data, value) != 0)
		printf("# %s is '%s', not '%s'\n", file, text.data, value);
	return strcmp(text.data, value) == 0;
}

static bool has(const struct trial *t, enum controller c, const char *file)
{
	const struct hierarchy *h = cgroup_with(t->cg, c);

	return h && faccessat(h->fd, file, F_OK, 0) == 0;
}

/* Whether this host has no such controller, and said so of the trial that was just run. */
static bool lacks(const struct trial *t, int r)
{
	if (r != -ENOTSUP || !strstr(t->err.msg, "no such controller"))
		return false;
	printf("# SKIP %s\n", t->err.msg);
	return true;
}

static bool is_v2(const struct trial *t)
{
	return cgroup_is_v2(t->cg);
}

TEST(cpu_has_burst_and_idle)
{
	if (!rig_can())
		return;
	AUTO_TRIAL struct trial t;
	trial_init(&t);
	t.plan.limits.cpu_quota_us = 50000;
	t.plan.limits.cpu_period_us = 100000;
	t.plan.limits.cpu_burst_us = 20000;
	t.plan.limits.cpu_shares = 512;
	int r = trial_run(&t);
	if (lacks(&t, r))
		return;
	EXPECT_EQ(r, 0);
	EXPECT(holds(&t, CTL_CPU, "cpu.cfs_quota_us", "cpu.max",
		     is_v2(&t) ? "50000 100000" : "50000"));
	EXPECT(holds(&t, CTL_CPU, "cpu.cfs_burst_us", "cpu.max.burst", "20000"));
	EXPECT(holds(&t, CTL_CPU, "cpu.shares", "cpu.weight", is_v2(&t) ? "20" : "512"));

	/* a smaller quota than the burst, in one update; the period stays */
	struct plan_limits less = {.cpu_quota_us = 10000, .cpu_burst_us = 5000};
	struct cgroup_config config = {.limits = &less, .warn = note, .ctx = &t};
	EXPECT_EQ(cgroup_limit(t.cg, &config, &t.err), 0);
	EXPECT(holds(&t, CTL_CPU, "cpu.cfs_burst_us", "cpu.max.burst", "5000"));
	EXPECT(holds(&t, CTL_CPU, "cpu.cfs_quota_us", "cpu.max",
		     is_v2(&t) ? "10000 100000" : "10000"));

	less = (struct plan_limits){.has_cpu_idle = true, .cpu_idle = 1};
	EXPECT_EQ(cgroup_limit(t.cg, &config, &t.err), 0);
	EXPECT(holds(&t, CTL_CPU, "cpu.idle", "cpu.idle", "1"));
	less = (struct plan_limits){.has_cpu_idle = true, .cpu_shares = 1024};
	EXPECT_EQ(cgroup_limit(t.cg, &config, &t.err), 0);
	EXPECT(holds(&t, CTL_CPU, "cpu.idle", "cpu.idle", "0"));
}

TEST(a_period_that_the_parent_forbids_comes_after_its_quota)
{
	if (!rig_can())
		return;
	AUTO_TRIAL struct trial parent;
	AUTO_TRIAL struct trial t;
	trial_init(&parent);
	trial_init(&t);
	parent.plan.limits.cpu_quota_us = 50000;
	parent.plan.limits.cpu_period_us = 100000;
	int r = trial_run(&parent);
	if (lacks(&parent, r))
		return;
	EXPECT_EQ(r, 0);
	(void)snprintf(t.path, sizeof(t.path), "%.50s/in", parent.path);
	t.plan.limits.cpu_quota_us = 50000;
	t.plan.limits.cpu_period_us = 100000;
	EXPECT_EQ(trial_run(&t), 0);
	/* half the period would be the whole of one CPU with the old quota */
	struct plan_limits less = {.cpu_quota_us = 20000, .cpu_period_us = 50000};
	struct cgroup_config config = {.limits = &less, .warn = note, .ctx = &t};
	EXPECT_EQ(cgroup_limit(t.cg, &config, &t.err), 0);
	EXPECT(holds(&t, CTL_CPU, "cpu.cfs_period_us", "cpu.max",
		     is_v2(&t) ? "20000 50000" : "50000"));
}

TEST(realtime_is_given_or_refused_by_name)
{
	if (!rig_can())
		return;
	AUTO_TRIAL struct trial t;
	trial_init(&t);
	t.plan.limits.cpu_rt_runtime_us = 1000;
	int r = trial_run(&t);
	if (lacks(&t, r))
		return;
	/* the parents have none to give */
	EXPECT(r < 0 ? strstr(t.err.msg, "realtimeRuntime") != NULL
		     : holds(&t, CTL_CPU, "cpu.rt_runtime_us", NULL, "1000"));
}

TEST(memory_has_all_its_numbers)
{
	if (!rig_can())
		return;
	AUTO_TRIAL struct trial t;
	trial_init(&t);
	struct plan_limits *l = &t.plan.limits;
	l->memory = 64 << 20;
	l->memory_swap = 96 << 20;
	l->memory_reservation = 32 << 20;
	l->memory_kernel_tcp = 16 << 20;
	l->has_swappiness = true;
	l->swappiness = 10;
	l->has_oom_disable = l->oom_disable = true;
	int r = trial_run(&t);
	if (lacks(&t, r))
		return;
	EXPECT_EQ(r, 0);
	EXPECT(holds(&t, CTL_MEMORY, "memory.limit_in_bytes", "memory.max", "67108864"));
	EXPECT(holds(&t, CTL_MEMORY, "memory.soft_limit_in_bytes", "memory.low", "33554432"));
	if (is_v2(&t)) {
		EXPECT(!has(&t, CTL_MEMORY, "memory.swap.max") ||
		       holds(&t, CTL_MEMORY, NULL, "memory.swap.max", "33554432"));
		EXPECT(strstr(t.said.data, "memory.swappiness"));
		EXPECT(strstr(t.said.data, "memory.disableOOMKiller"));
		return;
	}
	EXPECT(holds(&t, CTL_MEMORY, "memory.memsw.limit_in_bytes", NULL, "100663296"));
	EXPECT(holds(&t, CTL_MEMORY, "memory.swappiness", NULL, "10"));
	EXPECT(holds(&t, CTL_MEMORY, "memory.oom_control", NULL, "oom_kill_disable 1"));
	EXPECT(holds(&t, CTL_MEMORY, "memory.kmem.tcp.limit_in_bytes", NULL, "16777216") ||
	       strstr(t.said.data, "kernelTCP"));
	struct plan_limits back = {.has_oom_disable = true};
	struct cgroup_config config = {.limits = &back, .warn = note, .ctx = &t};
	EXPECT_EQ(cgroup_limit(t.cg, &config, &t.err), 0);
	EXPECT(holds(&t, CTL_MEMORY, "memory.oom_control", NULL, "oom_kill_disable 0"));
}

/* A block device of this host, by its numbers. */
static bool find_disk(unsigned *major, unsigned *minor)
{
	DIR *dir = opendir("/sys/block");
	bool found = false;

	for (struct dirent *e; dir && !found && (e = readdir(dir));) {
		AUTO_BUF struct buf text = BUF_INIT;
		struct err err = ERR_INIT;
		char path[300];
		(void)snprintf(path, sizeof(path), "/sys/block/%s/dev", e->d_name);
		if (e->d_name[0] == '.' || file_read(AT_FDCWD, path, 64, &text, &err) < 0)
			continue;
		char *end = NULL;
		*major = (unsigned)strtoul(text.data, &end, 10);
		*minor = (unsigned)strtoul(end + 1, NULL, 10);
		found = *end == ':';
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

TEST(block_devices_are_throttled)
{
	unsigned major;
	unsigned minor;
	char wanted[64];

	if (!rig_can())
		return;
	if (!find_disk(&major, &minor)) {
		printf("# SKIP this host has no block device\n");
		return;
	}
	AUTO_TRIAL struct trial t;
	trial_init(&t);
	for (uint32_t kind = BLKIO_READ_BPS; kind <= BLKIO_WRITE_IOPS; kind++) {
		struct plan_blkio *b = list_add(&t.plan.limits.blkio, &plan_blkio_record);
		EXPECT(b);
		*b = (struct plan_blkio){kind, major, minor, 1000000 + kind};
	}
	struct plan_blkio *weight = list_add(&t.plan.limits.blkio, &plan_blkio_record);
	EXPECT(weight);
	*weight = (struct plan_blkio){BLKIO_LEAF_WEIGHT, major, minor, 300};
	int r = trial_run(&t);
	if (lacks(&t, r))
		return;
	EXPECT_EQ(r, 0);
	EXPECT(strstr(t.said.data, "leafWeight"));
	(void)snprintf(wanted, sizeof(wanted),
		       is_v2(&t) ? "%u:%u rbps=1000002 wbps=1000003 riops=1000004 wiops=1000005"
				 : "%u:%u 1000002",
		       major, minor);
	EXPECT(holds(&t, CTL_BLKIO, "blkio.throttle.read_bps_device", "io.max", wanted));
	(void)snprintf(wanted, sizeof(wanted), "%u:%u 1000005", major, minor);
	EXPECT(is_v2(&t) || holds(&t, CTL_BLKIO, "blkio.throttle.write_iops_device", NULL, wanted));
}

static struct plan_pair *pair(struct list *to, const char *name, uint64_t value)
{
	struct plan_pair *p = list_add(to, &plan_pair_record);

	if (!p)
		abort();
	p->name = strdup(name);
	p->value = value;
	return p;
}

TEST(huge_pages_are_limited_where_they_are_counted)
{
	if (!rig_can())
		return;
	AUTO_TRIAL struct trial t;
	trial_init(&t);
	(void)pair(&t.plan.limits.hugetlb, "2MB", 4 << 20);
	int r = trial_run(&t);
	if (r == -ENOTSUP) {
		EXPECT(strstr(t.err.msg, "hugepageLimits"));
		printf("# SKIP no cgroup counts huge pages here\n");
		return;
	}
	EXPECT_EQ(r, 0);
	EXPECT(holds(&t, CTL_HUGETLB, "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max", "4194304"));
	EXPECT(!has(&t, CTL_HUGETLB, "hugetlb.2MB.rsvd.max") ||
	       holds(&t, CTL_HUGETLB, "hugetlb.2MB.rsvd.limit_in_bytes", "hugetlb.2MB.rsvd.max",
		     "4194304"));

	AUTO_TRIAL struct trial bad;
	trial_init(&bad);
	(void)pair(&bad.plan.limits.hugetlb, "2MB/../..", 1);
	EXPECT_EQ(trial_run(&bad), -EINVAL);
	EXPECT(strstr(bad.err.msg, "hugepageLimits"));
	AUTO_TRIAL struct trial other;
	trial_init(&other);
	(void)pair(&other.plan.limits.hugetlb, "3MB", 1);
	EXPECT_EQ(trial_run(&other), -ENOTSUP);
}

TEST(what_the_host_lacks_is_refused_by_name)
{
	if (!rig_can())
		return;
	for (int i = 0; i < 4; i++) {
		static const char *const fields[] = {"network.classID", "network.priorities",
						     "rdma", "unified"};
		AUTO_TRIAL struct trial t;
		trial_init(&t);
		t.plan.limits.has_net_class = i == 0;
		t.plan.limits.net_class = 0x100001;
		if (i == 1)
			(void)pair(&t.plan.limits.net_priorities, "lo", 3);
		struct plan_rdma *rdma = i == 2 ? list_add(&t.plan.limits.rdma, &plan_rdma_record)
						: NULL;
		if (rdma)
			rdma->device = strdup("mlx5_0");
		struct plan_text_pair *file = i == 3 ? list_add(&t.plan.limits.unified,
								&plan_text_pair_record)
						     : NULL;
		if (file) {
			file->name = strdup("no.such.file");
			file->value = strdup("1");
		}
		int r = trial_run(&t);
		EXPECT(r == 0 || strstr(t.err.msg, fields[i]));
		EXPECT(r != 0 || i != 0 ||
		       holds(&t, CTL_NET_CLS, "net_cls.classid", NULL, "1048577"));
	}
}

TEST(unified_files_stay_inside_and_hold)
{
	if (!rig_can())
		return;
	static const char *const names[] = {"../x", "a/b", "..", "", "memory.high"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		AUTO_TRIAL struct trial t;
		trial_init(&t);
		struct plan_text_pair *file = list_add(&t.plan.limits.unified,
						       &plan_text_pair_record);
		EXPECT(file);
		file->name = strdup(names[i]);
		file->value = strdup("67108864\n");
		int r = trial_run(&t);
		EXPECT(i == 4 || r == -EINVAL);
		EXPECT(r != 0 || holds(&t, CTL_MEMORY, NULL, "memory.high", "67108864"));
		EXPECT(r == 0 || i < 4 || strstr(t.err.msg, "needs cgroup v2") ||
		       strstr(t.err.msg, "have no"));
	}
}

static void rule(struct trial *t, bool deny, uint32_t type, uint32_t major, uint32_t minor,
		 const char *access)
{
	struct plan_device *d = list_add(&t->plan.limits.devices, &plan_device_record);

	if (!d)
		abort();
	d->deny = deny;
	d->type = type;
	d->major = major;
	d->minor = minor;
	d->access = strdup(access);
}

/* In the trial's cgroup: opens a node of 1:minor (null is 3) in mode. 0, or the errno. */
static int opened(const struct trial *t, unsigned minor, int mode)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		char path[64];
		struct err err = ERR_INIT;
		(void)snprintf(path, sizeof(path), "/dev/hull-%d", getpid());
		if (mknod(path, S_IFCHR | 0600, makedev(1, minor)) < 0)
			_exit(200);
		if (cgroup_join(t->cg, &err) < 0 ||
		    (is_v2(t) && file_put(cgroup_clone_fd(t->cg), "cgroup.procs", "0", &err) < 0))
			_exit(201);
		int fd = open(path, mode | O_CLOEXEC);
		int code = fd < 0 ? errno : 0;
		(void)unlink(path);
		_exit(code);
	}
	return waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : -1;
}

TEST(device_rules_are_the_specified_ones_and_a_node_alone_is_no_rule)
{
	if (!rig_can())
		return;
	AUTO_TRIAL struct trial t;
	trial_init(&t);
	rule(&t, true, 'a', UINT32_MAX, UINT32_MAX, "rwm");
	rule(&t, false, 'c', 1, 1, ""); /* mem, a node */
	rule(&t, false, 'c', 1, 11, "r"); /* kmsg, to be read */
	rule(&t, false, 'c', 1, 3, "rwm");
	rule(&t, false, 'c', 1, 9, "rwm");
	EXPECT_EQ(trial_run(&t), 0);
	EXPECT_EQ(opened(&t, 3, O_RDWR), 0);
	EXPECT_EQ(opened(&t, 9, O_RDONLY), 0);
	EXPECT_EQ(opened(&t, 11, O_RDONLY), 0);
	EXPECT_EQ(opened(&t, 11, O_WRONLY), EPERM);
	EXPECT_EQ(opened(&t, 1, O_RDONLY), EPERM); /* mem */

	AUTO_TRIAL struct trial open;
	trial_init(&open);
	rule(&open, false, 'a', UINT32_MAX, UINT32_MAX, "rwm");
	rule(&open, true, 'c', 1, 11, "w");
	EXPECT_EQ(trial_run(&open), 0);
	EXPECT_EQ(opened(&open, 11, O_RDONLY), 0);
	EXPECT_EQ(opened(&open, 11, O_WRONLY), EPERM);
	EXPECT_EQ(opened(&open, 5, O_RDONLY), 0);
}

TEST(a_path_may_begin_with_a_slash_and_never_climbs)
{
	static const char *const bad[] = {"/a/../b", "..", "/", "a/./b", "/../etc"};

	if (!rig_can())
		return;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_TRIAL struct trial t;
		trial_init(&t);
		(void)snprintf(t.path, sizeof(t.path), "%s", bad[i]);
		EXPECT_EQ(trial_run(&t), -EINVAL);
	}
	AUTO_TRIAL struct trial t;
	trial_init(&t);
	(void)snprintf(t.path, sizeof(t.path), "//hull-trial///slash%d/", getpid());
	EXPECT_EQ(trial_run(&t), 0);
	AUTO(auto_cgroup_free) struct cgroup *again = NULL;
	char path[64];
	(void)snprintf(path, sizeof(path), "hull-trial/slash%d", getpid());
	EXPECT_EQ(cgroup_open(&again, path, &t.err), 0);
	EXPECT(cgroup_with(again, CTL_PIDS) || cgroup_with(again, CTL_FREEZER));
}

TEST(a_frozen_cgroup_is_refused_and_a_used_one_said)
{
	if (!rig_can())
		return;
	AUTO_TRIAL struct trial first;
	AUTO_TRIAL struct trial t;
	trial_init(&first);
	trial_init(&t);
	EXPECT_EQ(trial_run(&first), 0);
	(void)snprintf(t.path, sizeof(t.path), "%s", first.path);
	EXPECT_EQ(cgroup_freeze(first.cg, true, &t.err), 0);
	EXPECT_EQ(trial_run(&t), -EBUSY);
	EXPECT(strstr(t.err.msg, "is frozen"));
	EXPECT(has(&first, CTL_FREEZER, "cgroup.procs")); /* not ours to remove */
	EXPECT_EQ(cgroup_freeze(first.cg, false, &first.err), 0);

	int ends[2];
	EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char c;
		if (cgroup_join(first.cg, &first.err) < 0 ||
		    (is_v2(&first) &&
		     file_put(cgroup_clone_fd(first.cg), "cgroup.procs", "0", &first.err) < 0))
			_exit(1);
		auto_close(&ends[1]);
		_exit(read(ends[0], &c, 1) < 0);
	}
	auto_close(&ends[0]);
	(void)usleep(100000);
	t.err = ERR_INIT;
	t.as_specified = true;
	int r = trial_run(&t);
	bool said = t.said.data && strstr(t.said.data, "is not empty");
	auto_close(&ends[1]);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
	EXPECT_EQ(r, 0);
	EXPECT(said);
}

TEST(removal_takes_what_is_inside_and_leaves_the_parent)
{
	if (!rig_can())
		return;
	AUTO_TRIAL struct trial t;
	trial_init(&t);
	EXPECT_EQ(trial_run(&t), 0);
	int fd = fcntl(cgroup_with(t.cg, CTL_FREEZER)->fd, F_DUPFD_CLOEXEC, 3);
	AUTO_CLOSE int above = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	EXPECT_EQ(mkdirat(fd, "inner", 0755), 0);
	auto_close(&fd);
	EXPECT_EQ(cgroup_remove(t.cg, &t.err), 0);
	EXPECT(faccessat(above, strrchr(t.path, '/') + 1, F_OK, 0) < 0 && errno == ENOENT);
	EXPECT(faccessat(above, "cgroup.procs", F_OK, 0) == 0);
}

/* Last: the folder that all trials were in. */
TEST(nothing_is_left)
{
	if (!rig_can())
		return;
	struct err err = ERR_INIT;
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	EXPECT_EQ(cgroup_open(&cg, "/hull-trial", &err), 0);
	EXPECT_EQ(cgroup_remove(cg, &err), 0);
	EXPECT(access("/sys/fs/cgroup/pids/hull-trial", F_OK) < 0);
	EXPECT(access("/sys/fs/cgroup/hull-trial", F_OK) < 0);
}
