/* SPDX-License-Identifier: Apache-2.0 */
/* A plan that is as specified: its own mounts alone, and what the runtime-spec promises in /dev. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/attr.h"
#include "rig.h"

static void add(struct strv *to, const char *what)
{
	struct err err = ERR_INIT;

	if (strv_add(to, what, &err) < 0)
		abort();
}

static void at_root(const struct rig *rig, const char *name, char path[static 128])
{
	(void)snprintf(path, 128, "%s/root/%s", rig->dir, name);
}

TEST(nothing_is_mounted_but_what_the_plan_says)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "ls /proc /sys; ls /dev; echo end");
	rig.plan.as_specified = true;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(!strstr(rig.output.data, "self") && !strstr(rig.output.data, "kernel"));
	EXPECT(strstr(rig.output.data, "null\n") && strstr(rig.output.data, "tty\n"));
}

TEST(the_mounts_of_docker_are_as_asked)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cat /proc/mounts");
	rig_specified(&rig);
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(strstr(rig.output.data, " /proc proc rw,nosuid,nodev,noexec"));
	EXPECT(strstr(rig.output.data, " /dev tmpfs rw,nosuid,size=65536k,mode=755"));
	EXPECT(strstr(rig.output.data, " /dev/pts devpts rw,nosuid,noexec,relatime,gid=5"));
	EXPECT(strstr(rig.output.data, "shm /dev/shm tmpfs rw,nosuid,nodev,noexec"));
	EXPECT(strstr(rig.output.data, " /dev/mqueue mqueue rw"));
	EXPECT(strstr(rig.output.data, " /sys sysfs ro,nosuid,nodev,noexec"));
	EXPECT(strstr(rig.output.data, " /sys/fs/cgroup"));
	EXPECT(!strstr(rig.output.data, "cgroup rw"));
}

TEST(dev_has_the_nodes_and_links_that_are_promised)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cd /dev; for d in null zero full random urandom tty; do "
		       "stat -c '%n %F %t:%T %a' $d; done; "
		       "for l in fd stdin stdout stderr ptmx; do readlink $l; done; "
		       "stat -c %n console 2>/dev/null; echo x > null && head -c 3 zero | wc -c");
	rig_specified(&rig);
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "null character special file 1:3 666\n"
				    "zero character special file 1:5 666\n"
				    "full character special file 1:7 666\n"
				    "random character special file 1:8 666\n"
				    "urandom character special file 1:9 666\n"
				    "tty character special file 5:0 666\n"
				    "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n"
				    "/proc/self/fd/2\npts/ptmx\n3\n");
}

TEST(a_read_only_dev_is_filled_first)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "ls /dev/full; touch /dev/x");
	rig_specified(&rig);
	((struct plan_mount *)rig.plan.mounts.items)[1].flags |= MS_RDONLY;
	EXPECT(rig_run(&rig) != 0);
	EXPECT(strstr(rig.output.data, "/dev/full\n"));
	EXPECT(strstr(rig.output.data, "Read-only"));
}

static void device(struct rig *rig, const char *path, struct plan_device what)
{
	struct plan_device *d = list_add(&rig->plan.limits.devices, &plan_device_record);

	if (!d)
		abort();
	*d = what;
	d->path = strdup(path);
	d->access = strdup("rwm");
}

TEST(a_planned_device_comes_before_the_promised_one)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "stat -c '%F %t:%T %a %u' /dev/null /dev/one /dev/sub/p");
	rig_specified(&rig);
	device(&rig, "/dev/null", (struct plan_device){NULL, 'c', 1, 3, 0600, 5});
	device(&rig, "/dev/one", (struct plan_device){NULL, 'c', 1, 7, 0640, 1000});
	device(&rig, "/dev/sub/p", (struct plan_device){NULL, 'p', 7, 9, 0644});
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "character special file 1:3 600 5\n"
				    "character special file 1:7 640 1000\nfifo 0:0 644 0\n");
}

TEST(a_dev_that_is_a_link_is_refused)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	char path[128];
	rig_init(&rig, "true");
	rig.plan.as_specified = true;
	at_root(&rig, "dev", path);
	EXPECT_EQ(rmdir(path), 0);
	EXPECT_EQ(symlink("/tmp", path), 0);
	EXPECT(rig_run(&rig) < 0);
	EXPECT(strstr(rig.failure.msg, "/dev is a link"));
	EXPECT(!rig_left_anything(&rig));
}

TEST(a_console_that_is_a_link_leads_nowhere)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	char path[128];
	rig_init(&rig, "sleep 0.3; stat -c %F /etc/trap; test -t 1 && echo terminal");
	rig_file(&rig, "root/etc/trap", "trap", 0644);
	rig_mount(&rig, "devpts", "devpts", "/dev/pts", 0, "newinstance,ptmxmode=0666");
	rig.plan.as_specified = true;
	rig.plan.process.tty = true;
	struct plan_device *any = list_add(&rig.plan.limits.devices, &plan_device_record);
	*any = (struct plan_device){.type = 'a', .access = strdup("rwm")};
	at_root(&rig, "dev/console", path);
	EXPECT_EQ(symlink("/etc/trap", path), 0);
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "regular file\r\nterminal\r\n");
}

TEST(a_bound_dev_gets_nothing_of_ours)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "true");
	rig.plan.as_specified = true;
	(void)rig_mount(&rig, NULL, "state", "/dev", MS_BIND, NULL);
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(faccessat(rig.state_fd, "null", F_OK, 0) < 0 && errno == ENOENT);
}

TEST(paths_are_hidden_whatever_dev_is)
{
	if (!rig_can())
		return;
	for (int way = 0; way < 3; way++) {
		AUTO_RIG struct rig rig;
		rig_init(&rig, "cat /etc/secret | wc -c; ls /home | wc -l; echo no > /etc/group");
		if (way == 0)
			rig_specified(&rig);
		else
			rig.plan.as_specified = true;
		if (way == 2) /* a /dev/null that is none */
			rig_file(&rig, "root/dev/null", "trap\n", 0644);
		rig_file(&rig, "root/home/f", "", 0644);
		rig_file(&rig, "root/etc/secret", "secret\n", 0644);
		add(&rig.plan.masked, "/etc/secret");
		add(&rig.plan.masked, "/home");
		add(&rig.plan.masked, "/absent");
		add(&rig.plan.read_only, "/etc/group");
		EXPECT(rig_run(&rig) != 0);
		EXPECT(strstr(rig.output.data, "0\n0\n"));
		EXPECT(strstr(rig.output.data, "Read-only"));
	}
}

TEST(sysctls_are_set_without_a_proc_of_the_plan)
{
	if (!rig_can())
		return;
	for (int way = 0; way < 2; way++) {
		AUTO_RIG struct rig rig;
		rig_init(&rig, "mkdir /p; mount -t proc proc /p; cat /p/sys/net/ipv4/ip_forward "
			       "/p/sys/kernel/shmmni");
		if (way)
			rig_specified(&rig);
		rig.plan.as_specified = true;
		rig.plan.process.cap_permitted |= 1 << 21;
		rig.plan.process.cap_effective |= 1 << 21;
		rig.plan.process.cap_bounding |= 1 << 21;
		add(&rig.plan.sysctl, "net.ipv4.ip_forward=1");
		add(&rig.plan.sysctl, "kernel.shmmni=77");
		EXPECT_EQ(rig_run(&rig), 0);
		EXPECT_STR(rig.output.data, "1\n77\n");
	}
}

TEST(without_a_cgroup_namespace_its_own_folders_are_seen)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cd /sys/fs/cgroup; cat memory/tasks 2>/dev/null || cat cgroup.controllers; "
		       "ls -d memory/hull 2>&1; mkdir memory/x 2>&1");
	rig_specified(&rig);
	rig.plan.namespaces &= ~(uint64_t)CLONE_NEWCGROUP;
	EXPECT(rig_run(&rig) != 0);
	if (access("/sys/fs/cgroup/memory", F_OK) < 0)
		return;
	EXPECT(strncmp(rig.output.data, "1\n", 2) == 0);
	EXPECT(strstr(rig.output.data, "No such file"));
	EXPECT(strstr(rig.output.data, "Read-only"));
}

TEST(nothing_is_mounted_inside_proc_but_what_is_harmless)
{
	if (!rig_can())
		return;
	static const char *const targets[] = {"/proc/sys", "/proc/uptime", "/proc/1/attr"};
	for (int i = 0; i < 3; i++) {
		AUTO_RIG struct rig rig;
		rig_init(&rig, "cat /proc/uptime");
		rig_specified(&rig);
		rig_file(&rig, "state/f", "file\n", 0644);
		(void)rig_mount(&rig, NULL, i == 1 ? "state/f" : "state", targets[i], MS_BIND,
				NULL);
		EXPECT_EQ(rig_run(&rig), i == 1 ? 0 : -EPERM);
		EXPECT(i != 1 || strcmp(rig.output.data, "file\n") == 0);
	}
}
