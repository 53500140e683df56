/* SPDX-License-Identifier: Apache-2.0 */
/* User namespaces: who writes their maps, and what can be mounted and made in them. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/io.h"
#include "container/idmap.h"
#include "container/mnt.h"
#include "container/populate.h"
#include "rig.h"

static bool can(void)
{
	int status = -1;

	if (!rig_can())
		return false;
	pid_t pid = fork();
	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) < 0);
	if (waitpid(pid, &status, 0) == pid && status == 0)
		return true;
	printf("# SKIP this host allows no user namespaces\n");
	return false;
}

/* A child in a new user namespace without maps: *go lets it call fn and end with its answer. */
static pid_t child(uint64_t more, int *go, int (*fn)(const void *), const void *ctx)
{
	int ready[2];
	int start[2];
	char c = 0;

	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(start, O_CLOEXEC) < 0)
		abort();
	pid_t pid = fork();
	if (pid == 0) {
		if (unshare((int)(CLONE_NEWUSER | more)) < 0)
			_exit(99);
		auto_close(&ready[1]);
		auto_close(&start[1]);
		if (read(start[0], &c, 1) != 1)
			_exit(98);
		_exit(fn(ctx));
	}
	auto_close(&ready[1]);
	auto_close(&start[0]);
	(void)!read(ready[0], &c, 1);
	auto_close(&ready[0]);
	*go = start[1];
	return pid;
}

static int finish(pid_t pid, int *go)
{
	int status = -1;

	(void)!write(*go, "", 1);
	auto_close(go);
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static struct list maps(struct plan_idmap *m, size_t n)
{
	return (struct list){m, n};
}

static bool own_file_says(const char *path, const char *wanted)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	return file_read(AT_FDCWD, path, 4096, &text, &err) == 0 && text.data &&
	       strstr(text.data, wanted);
}

static int is_mapped(const void *ctx)
{
	if (setresgid(7, 7, 7) < 0 || setresuid(5, 5, 5) < 0)
		return 1;
	return idmap_inside() && own_file_says("/proc/self/uid_map", "100000") ? 0 : 2;
}

TEST(a_parent_with_rights_writes_any_map)
{
	struct plan_idmap m[] = {{0, 100000, 10}, {10, 5, 1}};
	struct err err = ERR_INIT;
	int go = -1;

	if (!can())
		return;
	struct list ids = maps(m, 2);
	AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	pid_t pid = child(0, &go, is_mapped, NULL);
	int r = idmap_write(proc, pid, &ids, &ids, &err);
	int status = finish(pid, &go);
	EXPECT_EQ(r, 0);
	EXPECT_EQ(status, 0);
	EXPECT(!idmap_inside());
}

static int groups_denied(const void *ctx)
{
	gid_t none = 0;

	if (setgroups(1, &none) == 0 || errno != EPERM)
		return 1;
	return own_file_says("/proc/self/setgroups", "deny") && getuid() == 0 ? 0 : 2;
}

/* As somebody without rights: his own ids by himself, others by the programs. */
static int unprivileged(void)
{
	struct plan_idmap own[] = {{0, 1000, 1}};
	struct plan_idmap others[] = {{0, 1000, 1}, {1, 100000, 65536}};
	struct list ids = maps(own, 1);
	struct err err = ERR_INIT;
	int go = -1;

	if (setgroups(0, NULL) < 0 || setresgid(1000, 1000, 1000) < 0 ||
	    setresuid(1000, 1000, 1000) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return 1;
	AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	pid_t pid = child(0, &go, groups_denied, NULL);
	int r = idmap_write(proc, pid, &ids, &ids, &err);
	int status = finish(pid, &go);
	if (r < 0 || status != 0) {
		printf("# %d %d %s\n", r, status, err.msg);
		return status == 99 ? 77 : 2;
	}
	ids = maps(others, 2);
	pid = child(0, &go, is_mapped, NULL);
	r = idmap_write(proc, pid, &ids, &ids, &err);
	(void)finish(pid, &go);
	/* no entry in /etc/subgid, or no such program */
	return r < 0 && strstr(err.msg, "newgidmap") ? 0 : 3;
}

TEST(without_rights_one_maps_oneself_and_asks_the_programs_for_others)
{
	int status = -1;

	if (!can())
		return;
	pid_t pid = fork();
	if (pid == 0)
		_exit(unprivileged());
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		printf("# SKIP only root may make user namespaces here\n");
	EXPECT(status == 0 || WEXITSTATUS(status) == 77);
}

TEST(a_namespace_without_a_process_can_be_had)
{
	struct plan_idmap m[] = {{0, 1000, 10}};
	struct err err = ERR_INIT;
	struct statfs fs;

	if (!can())
		return;
	struct list ids = maps(m, 1);
	AUTO_CLOSE int fd = idmap_userns(&ids, &ids, -1, &err);
	EXPECT(fd >= 0);
	EXPECT(fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC);
	m[0].size = 0;
	EXPECT_EQ(idmap_userns(&ids, &ids, -1, &err), -EINVAL);
}

static bool is_device(int root, const char *path, unsigned major, unsigned minor)
{
	struct stat st;

	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(major, minor);
}

static bool is_fs(int root, const char *path, unsigned long type, bool readonly)
{
	struct statfs fs;
	AUTO_CLOSE int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == type &&
	       !(fs.f_flags & ST_RDONLY) == !readonly;
}

/* Makes the inside of the rig's plan in the present namespaces, as the box does. */
static int inside(const void *ctx)
{
	const struct rig *rig = ctx;
	struct err err = ERR_INIT;
	char path[128];
	struct populate p = {.plan = &rig->plan, .root = -1, .proc = -1, .dev = -1};

	(void)snprintf(path, sizeof(path), "%s/root", rig->dir);
	p.root = mount_clone(AT_FDCWD, path, true, &err);
	AUTO_CLOSE int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = p.root < 0 ? p.root : propagation_begin(&rig->plan, p.root, &err);
	if (r == 0)
		r = mount_attach(p.root, top, "/", &err);
	if (r == 0)
		r = populate_mounts(&p, &err);
	if (r == 0)
		r = devices_plan(&p, &err);
	if (r == 0)
		r = mask_paths(&p, &err);
	if (r < 0) {
		printf("# %s\n", err.msg);
		return 1;
	}
	if (!is_device(p.root, "dev/null", 1, 3) || !is_device(p.root, "dev/tty", 5, 0) ||
	    !is_device(p.root, "dev/full", 1, 7) || !is_device(p.root, "etc/passwd", 1, 3))
		return 2;
	AUTO_CLOSE int null = openat(p.root, "dev/null", O_WRONLY | O_CLOEXEC);
	if (null < 0 || write(null, "x", 1) != 1)
		return 3;
	if (!is_fs(p.root, "proc", PROC_SUPER_MAGIC, false) ||
	    !is_fs(p.root, "sys", SYSFS_MAGIC, true) || p.proc < 0)
		return 4;
	return 0;
}

TEST(a_box_in_a_user_namespace_has_its_devices_and_the_hosts_views)
{
	struct plan_idmap m[] = {{0, 0, 65536}};
	struct err err = ERR_INIT;
	int go = -1;

	if (!can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "true");
	rig_specified(&rig);
	rig.plan.namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC;
	EXPECT_EQ(strv_add(&rig.plan.masked, "/etc/passwd", &err), 0);
	struct list ids = maps(m, 1);
	AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)fflush(stdout);
	pid_t pid = child(CLONE_NEWNS | CLONE_NEWIPC, &go, inside, &rig);
	int r = idmap_write(proc, pid, &ids, &ids, &err);
	int status = finish(pid, &go);
	EXPECT_EQ(r, 0);
	EXPECT_EQ(status, 0);
}
