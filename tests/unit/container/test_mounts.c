/* SPDX-License-Identifier: Apache-2.0 */
/* What a workload sees of file systems, and what it cannot do with them. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/proc.h"
#include "container/container.h"
#include "rig.h"

static struct plan_mount *mount_of(struct rig *rig, const char *source, const char *target)
{
	struct plan_mount *m = list_add(&rig->plan.mounts, &plan_mount_record);
	if (!m)
		abort();
	m->source = source[0] == '/' ? strdup(source) : path_join(rig->dir, source);
	m->target = strdup(target);
	return m;
}

static void list(struct strv *to, const char *const *what)
{
	struct err err = ERR_INIT;
	for (; *what; what++) {
		if (strv_add(to, *what, &err) < 0)
			abort();
	}
}

TEST(the_usual_mounts_have_the_usual_flags)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cat /proc/mounts");
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(strstr(rig.output.data, " / overlay rw,"));
	EXPECT(strstr(rig.output.data, " /proc proc rw,nosuid,nodev,noexec"));
	EXPECT(strstr(rig.output.data, " /dev tmpfs rw,nosuid,size=65536k,mode=755"));
	EXPECT(strstr(rig.output.data, " /dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,"
				       "ptmxmode=666"));
	EXPECT(strstr(rig.output.data, " /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,"
				       "size=65536k"));
	EXPECT(strstr(rig.output.data, " /dev/mqueue mqueue rw,nosuid,nodev,noexec"));
	EXPECT(strstr(rig.output.data, " /sys sysfs ro,nosuid,nodev,noexec"));
	EXPECT(strstr(rig.output.data, " /sys/fs/cgroup"));
	EXPECT(!strstr(rig.output.data, "cgroup rw"));
}

TEST(its_own_cgroup_is_the_top_of_what_it_sees)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig,
		 "grep -E '(pids|^0:)' /proc/self/cgroup | cut -d: -f3 | sort -u; "
		 "cat /sys/fs/cgroup/pids/cgroup.procs /sys/fs/cgroup/cgroup.procs 2>/dev/null"
		 " | head -1; mkdir /sys/fs/cgroup/pids/x");
	EXPECT(rig_run(&rig) > 0);
	EXPECT(strstr(rig.output.data, "/\n1\n") || strstr(rig.output.data, "/\n1"));
	EXPECT(strstr(rig.output.data, "Read-only file system") ||
	       strstr(rig.output.data, "No such file"));
}

TEST(nothing_of_the_host_is_left_to_see)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "grep -v -E '^[^ ]+ /(proc|dev|sys| )' /proc/mounts | grep -v ' / ' ; "
		       "cat /proc/self/mountinfo | wc -l");
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(rig.output.len <= 3);
}

TEST(loopback_is_up)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "ip link show lo | head -1");
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(strstr(rig.output.data, "LOOPBACK,UP"));
}

TEST(a_folder_and_a_file_of_the_host_are_shared)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cat /data/f /one; echo new > /data/g; echo more >> /one; "
		       "echo no > /ro/f; echo no > /rofile");
	rig_file(&rig, "state/f", "file\n", 0644);
	(void)mount_of(&rig, "state", "/data");
	(void)mount_of(&rig, "state/f", "/one");
	mount_of(&rig, "state", "/ro")->flags = MS_RDONLY;
	mount_of(&rig, "state/f", "/rofile")->flags = MS_RDONLY;
	EXPECT(rig_run(&rig) > 0);
	EXPECT(strstr(rig.output.data, "file\nfile\n"));
	EXPECT(strstr(rig.output.data, "can't create /ro/f: Read-only"));
	EXPECT(strstr(rig.output.data, "can't create /rofile: Read-only"));
	EXPECT_EQ(faccessat(rig.state_fd, "g", F_OK, 0), 0);
}

TEST(a_missing_source_is_made_only_when_asked)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "ls -d /data");
	mount_of(&rig, "state/new/folder", "/data")->make_source = true;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_EQ(faccessat(rig.state_fd, "new/folder", F_OK, 0), 0);

	AUTO_RIG struct rig other;
	rig_init(&other, "true");
	(void)mount_of(&other, "state/absent", "/data");
	EXPECT_EQ(rig_run(&other), -ENOENT);
	EXPECT(strstr(other.failure.msg, "mount '/data'"));
	EXPECT(!rig_left_anything(&other));
}

/* The folder that the link names does not exist inside: it is made there, never on the host. */
static void mount_behind_link(const char *to)
{
	AUTO_RIG struct rig rig;
	char path[128];
	rig_init(&rig, "cat /var/tmp/deep/f");
	rig_file(&rig, "state/f", "file\n", 0644);
	(void)snprintf(path, sizeof(path), "%s/root/link", rig.dir);
	EXPECT_EQ(symlink(to, path), 0);
	(void)mount_of(&rig, "state", "/link/deep");
	EXPECT(access("/var/tmp/deep", F_OK) < 0);
	(void)snprintf(path, sizeof(path), "%s/root/var", rig.dir);
	EXPECT_EQ(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/root/var/tmp", rig.dir);
	EXPECT_EQ(mkdir(path, 0755), 0);
	int r = rig_run(&rig);
	EXPECT(rmdir("/var/tmp/deep") < 0);
	EXPECT_EQ(r, 0);
	EXPECT_STR(rig.output.data, "file\n");
}

TEST(a_target_that_is_a_link_stays_inside)
{
	if (!rig_can())
		return;
	mount_behind_link("../../../../../../../../var/tmp");
	mount_behind_link("/var/tmp");
}

TEST(nothing_is_mounted_into_proc)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "true");
	(void)mount_of(&rig, "state", "/proc/self/attr");
	EXPECT(rig_run(&rig) < 0);
	EXPECT(strstr(rig.failure.msg, "/proc/self/attr"));

	AUTO_RIG struct rig linked;
	char path[128];
	rig_init(&linked, "true");
	(void)snprintf(path, sizeof(path), "%s/root/link", linked.dir);
	EXPECT_EQ(symlink("/proc/sys", path), 0);
	(void)mount_of(&linked, "state", "/link");
	EXPECT_EQ(rig_run(&linked), -EPERM);
}

TEST(a_tmpfs_starts_with_what_the_image_has)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cat /etc/passwd | head -1; stat -c %a /etc/secret; readlink /etc/l; "
		       "cat /etc/d/f; echo x > /etc/new; grep ' /etc ' /proc/mounts");
	char path[128];
	rig_file(&rig, "root/etc/secret", "s", 0600);
	(void)snprintf(path, sizeof(path), "%s/root/etc/l", rig.dir);
	EXPECT_EQ(symlink("secret", path), 0);
	(void)snprintf(path, sizeof(path), "%s/root/etc/d", rig.dir);
	EXPECT_EQ(mkdir(path, 0700), 0);
	rig_file(&rig, "root/etc/d/f", "deep\n", 0644);
	struct plan_mount *m = mount_of(&rig, "/tmpfs", "/etc");
	free(m->source);
	m->source = strdup("tmpfs");
	m->type = strdup("tmpfs");
	m->data = strdup("size=1m,mode=755");
	m->flags = MS_NOSUID | MS_NODEV;
	m->copy_up = true;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(strstr(rig.output.data, "root:x:0:0:root:/root:/bin/sh\n600\nsecret\ndeep\n"
				       "tmpfs /etc tmpfs rw,nosuid,nodev,relatime,size=1024k"));
}

TEST(files_are_put_over_the_image)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	struct err err = ERR_INIT;
	rig_init(&rig, "cat /etc/hosts /deep/er/file; stat -c %a /etc/hosts; echo x >> /etc/hosts");
	static const char *const paths[] = {"/etc/hosts", "/deep/er/file"};
	for (int i = 0; i < 2; i++) {
		struct plan_file *f = list_add(&rig.plan.files, &plan_file_record);
		EXPECT(f);
		f->path = strdup(paths[i]);
		f->mode = i ? 0600 : 0644;
		EXPECT_EQ(bytes_set(&f->content, "text\n", 5, &err), 0);
	}
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "text\ntext\n644\n");
}

/* Who joins a mount namespace comes out at what lies topmost on its root. */
TEST(exec_sees_the_workloads_root_and_nothing_of_the_hosts_with_files_of_the_plan)
{
	for (int with = 0; with < 2; with++) {
		if (!rig_can())
			return;
		AUTO_RIG struct rig rig;
		struct err err = ERR_INIT;
		rig_init(&rig, "sleep 1000");
		rig_file(&rig, "root/etc/motd", "the workload's", 0644);
		if (with) {
			struct plan_file *f = list_add(&rig.plan.files, &plan_file_record);
			EXPECT(f);
			f->path = strdup("/etc/hosts");
			f->mode = 0644;
			EXPECT_EQ(bytes_set(&f->content, "text\n", 5, &err), 0);
		}
		EXPECT_EQ(rig_create(&rig), 0);
		EXPECT_EQ(rig_start(&rig), 0);
		EXPECT_EQ(rig_exec(&rig,
				   "cat /etc/motd; echo; grep -c ' / / ' /proc/self/mountinfo"),
			  0);
		EXPECT(strstr(rig.output.data, "the workload's\n1\n"));
	}
}

TEST(masked_and_read_only_paths_are)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig,
		 "cat /etc/motd | wc -c; ls -A /home /tmp | tr '\\n' ' '; echo; "
		 "echo 1 > /proc/sys/kernel/hostname; touch /home/x; stat -c %t:%T /etc/motd");
	rig_file(&rig, "root/home/f", "hidden", 0644);
	rig_file(&rig, "root/etc/motd", "hidden", 0644);
	list(&rig.plan.masked, (const char *const[]){"/etc/motd", "/home", "/tmp", "/absent",
						     "/proc/kcore", "/etc/passwd/x", NULL});
	list(&rig.plan.read_only, (const char *const[]){"/proc/sys", "/absent", NULL});
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(strstr(rig.output.data, "0\n/home: /tmp: \n") ||
	       strstr(rig.output.data, "0\n/home:  /tmp: \n"));
	EXPECT(strstr(rig.output.data, "can't create /proc/sys/kernel/hostname: Read-only"));
	EXPECT(strstr(rig.output.data, "touch: /home/x: Read-only"));
	EXPECT(strstr(rig.output.data, "\n1:3\n"));
}

TEST(a_read_only_root_is)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "touch /x; touch /dev/shm/y && echo shm; echo z > /dev/null && echo null");
	rig.plan.root.readonly = true;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "touch: /x: Read-only file system\nshm\nnull\n");
}

TEST(an_upper_of_its_own_kind_is_made_when_none_is_given)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "echo x > /new && cat /new && dd if=/dev/zero of=/big bs=1M count=4");
	free(rig.plan.root.upper);
	free(rig.plan.root.work);
	rig.plan.root.upper = rig.plan.root.work = NULL;
	rig.plan.root.size_max = 2 << 20;
	EXPECT(rig_run(&rig) > 0);
	EXPECT(strstr(rig.output.data, "x\n"));
	EXPECT(strstr(rig.output.data, "No space left"));
}

TEST(writes_land_in_the_upper_folder)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "echo x > /new; rm /etc/group");
	EXPECT_EQ(rig_run(&rig), 0);
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/upper/new", rig.dir);
	EXPECT_EQ(access(path, F_OK), 0);
	(void)snprintf(path, sizeof(path), "%s/root/etc/group", rig.dir);
	EXPECT_EQ(access(path, F_OK), 0);
}

TEST(sysctls_are_set_and_cannot_lead_elsewhere)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni");
	list(&rig.plan.sysctl,
	     (const char *const[]){"net.ipv4.ip_forward=1", "kernel.shmmni=77", NULL});
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "1\n77\n");

	static const char *const bad[] = {"net.nothing=1", "novalue", "//.self.oom_score_adj=1",
					  "net.ipv4.//.//.//.//.//.dev.null=1"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_RIG struct rig other;
		rig_init(&other, "true");
		list(&other.plan.sysctl, (const char *const[]){bad[i], NULL});
		EXPECT(rig_run(&other) < 0);
	}
}

TEST(devices_are_those_of_the_plan_and_no_others)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "stat -c '%t:%T %a %u' /dev/sub/mine; head -c1 /dev/sub/mine >/dev/null && "
		       "echo read; mknod /tmp/sda b 8 0; mknod /tmp/mem c 1 1; "
		       "mknod /tmp/null c 1 3 && echo null; cat /dev/kmsg");
	struct plan_device *d = list_add(&rig.plan.limits.devices, &plan_device_record);
	EXPECT(d);
	*d = (struct plan_device){.path = strdup("/dev/sub/mine"),
				  .type = 'c',
				  .major = 1,
				  .minor = 5,
				  .mode = 0640,
				  .uid = 1000,
				  .access = strdup("rwm")};
	EXPECT(rig_run(&rig) > 0);
	EXPECT(strstr(rig.output.data, "1:5 640 1000\nread\n"));
	EXPECT(strstr(rig.output.data, "mknod: /tmp/sda: Operation not permitted"));
	EXPECT(strstr(rig.output.data, "mknod: /tmp/mem: Operation not permitted"));
	EXPECT(strstr(rig.output.data, "\nnull\n"));
}

TEST(a_node_that_the_image_brings_opens_nothing)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	char path[128];
	rig_init(&rig, "head -c1 /mem");
	(void)snprintf(path, sizeof(path), "%s/root/mem", rig.dir);
	EXPECT_EQ(mknod(path, S_IFCHR | 0666, 0x101), 0);
	EXPECT(rig_run(&rig) > 0);
	EXPECT(strstr(rig.output.data, "Operation not permitted"));
}

TEST(layers_are_mounted_once_and_stay)
{
	if (!rig_can())
		return;
	for (int i = 0; i < 2; i++) {
		AUTO_RIG struct rig rig;
		struct err err = ERR_INIT;
		AUTO_BUF struct buf out = BUF_INIT;
		rig_init(&rig, "cat /etc/passwd | head -1; ls /; echo x > /etc/passwd");
		AUTO_FREE char *image = path_join(rig.dir, "0123abcd.erofs");
		AUTO_FREE char *root = path_join(rig.dir, "root");
		const char *const mkfs[] = {"mkfs.erofs", image, root, NULL};
		if (proc_run(mkfs, NULL, &out, &err) < 0) {
			printf("# no mkfs.erofs\n");
			return;
		}
		strv_done(&rig.plan.root.lower);
		list(&rig.plan.root.layers, (const char *const[]){image, NULL});
		rig.plan.root.is_volatile = false; /* an upper once used so is never taken again */
		EXPECT_EQ(rig_run(&rig), 0);
		EXPECT(strstr(rig.output.data, "root:x:0:0"));
		/* a second workload finds it there: the layer file is not even opened */
		container_isolation.delete(rig.iso);
		rig.iso = NULL;
		EXPECT_EQ(unlink(image), 0);
		rig.ended = false;
		EXPECT_EQ(rig_run(&rig), 0);
		container_isolation.delete(rig.iso);
		rig.iso = NULL;
		AUTO_FREE char *mounted = path_join(rig.dir, "layers/0123abcd");
		EXPECT_EQ(umount2(mounted, 0), 0);
		EXPECT(umount2(mounted, 0) < 0);
	}
}

TEST(many_layers_stack_in_order)
{
	enum { LAYERS = 60 };
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cat /which; ls / | grep -c ^only");
	for (int i = 0; i < LAYERS; i++) {
		char name[128];
		char text[16];
		(void)snprintf(name, sizeof(name), "%s/layer%d", rig.dir, i);
		EXPECT_EQ(mkdir(name, 0755), 0);
		list(&rig.plan.root.lower, (const char *const[]){name, NULL});
		(void)snprintf(text, sizeof(text), "%d\n", i);
		(void)snprintf(name, sizeof(name), "layer%d/which", i);
		rig_file(&rig, name, text, 0644);
		(void)snprintf(name, sizeof(name), "layer%d/only%d", i, i);
		rig_file(&rig, name, text, 0644);
	}
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "59\n60\n");
}

TEST(a_shared_host_mount_gets_nothing_back)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	AUTO_BUF struct buf before = BUF_INIT;
	AUTO_BUF struct buf after = BUF_INIT;
	struct err err = ERR_INIT;
	const char *const argv[] = {"sh", "-c", "wc -l < /proc/self/mountinfo", NULL};
	rig_init(&rig, "true");
	(void)mount_of(&rig, "state", "/data");
	EXPECT_EQ(proc_run(argv, NULL, &before, &err), 0);
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT_EQ(proc_run(argv, NULL, &after, &err), 0);
	EXPECT_STR(after.data, before.data);
}
