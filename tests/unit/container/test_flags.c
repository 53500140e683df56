/* SPDX-License-Identifier: Apache-2.0 */
/* The flags of mounts: set, lost, for a tree, id-mapped; links at either end; propagation. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/fd.h"
#include "base/io.h"
#include "container/idmap.h"
#include "container/mnt.h"
#include "container/populate.h"
#include "rig.h"

/* A tmpfs with another below it, noexec both, on the rig's state folder, in the test's own mounts.
 */
static void tree(const struct rig *rig)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/state", rig->dir);
	if (mount("t", path, "tmpfs", MS_NOEXEC, NULL) < 0)
		abort();
	(void)snprintf(path, sizeof(path), "%s/state/sub", rig->dir);
	if (mkdir(path, 0755) < 0 || mount("t", path, "tmpfs", MS_NOEXEC, NULL) < 0)
		abort();
}

static void fell(const struct rig *rig)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/state/sub", rig->dir);
	(void)umount2(path, MNT_DETACH);
	(void)snprintf(path, sizeof(path), "%s/state", rig->dir);
	(void)umount2(path, MNT_DETACH);
}

/* Runs with the tree bound on /t; what /proc/mounts then says of it. */
static int run_tree(struct rig *rig, uint64_t flags, uint64_t clear, uint64_t rec_set,
		    uint64_t rec_clear)
{
	rig_specified(rig);
	tree(rig);
	struct plan_mount *m = rig_mount(rig, NULL, "state", "/t", flags, NULL);
	m->attr_clear = clear;
	m->rec_set = rec_set;
	m->rec_clear = rec_clear;
	int r = rig_run(rig);
	fell(rig);
	return r;
}

TEST(a_recursive_bind_is_read_only_at_its_top_alone)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "grep ' /t' /proc/mounts");
	EXPECT_EQ(run_tree(&rig, MS_BIND | MS_REC | MS_RDONLY, 0, 0, 0), 0);
	EXPECT(strstr(rig.output.data, " /t tmpfs ro,"));
	EXPECT(strstr(rig.output.data, " /t/sub tmpfs rw,"));
}

TEST(recursive_flags_reach_the_whole_tree)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "grep ' /t' /proc/mounts");
	EXPECT_EQ(run_tree(&rig, MS_BIND | MS_REC, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME,
			   MOUNT_ATTR_NOEXEC),
		  0);
	EXPECT(strstr(rig.output.data, " /t tmpfs ro,noatime"));
	EXPECT(strstr(rig.output.data, " /t/sub tmpfs ro,noatime"));
	EXPECT(!strstr(rig.output.data, "noexec"));
}

TEST(a_flag_named_by_its_opposite_is_lost)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "grep ' /t' /proc/mounts");
	EXPECT_EQ(run_tree(&rig, MS_BIND | MS_REC, MOUNT_ATTR_NOEXEC, 0, 0), 0);
	EXPECT(strstr(rig.output.data, " /t tmpfs rw,relatime"));
	EXPECT(strstr(rig.output.data, " /t/sub tmpfs rw,noexec"));
}

static void map(struct list *to, uint32_t inside, uint32_t outside, uint32_t size)
{
	struct plan_idmap *m = list_add(to, &plan_idmap_record);

	if (!m)
		abort();
	*m = (struct plan_idmap){inside, outside, size};
}

TEST(an_id_mapped_bind_shows_other_owners)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "stat -c %u:%g /t/f; stat -c %u:%g /plain/f; touch /t/new; "
		       "stat -c %u:%g /plain/new");
	rig_specified(&rig);
	rig_file(&rig, "state/f", "file\n", 0644);
	EXPECT_EQ(fchownat(rig.state_fd, "f", 5, 7, 0), 0);
	struct plan_mount *m = rig_mount(&rig, NULL, "state", "/t", MS_BIND, NULL);
	m->idmap = true;
	map(&m->uid_maps, 0, 1000, 100);
	map(&m->gid_maps, 0, 2000, 100);
	(void)rig_mount(&rig, NULL, "state", "/plain", MS_BIND, NULL);
	int r = rig_run(&rig);
	if (r == -EINVAL) {
		printf("# SKIP this file system cannot map ids: %s\n", rig.failure.msg);
		return;
	}
	/* root of the workload is no id of the mount: it may not make files there */
	EXPECT(r >= 0);
	EXPECT(strstr(rig.output.data, "1005:2007\n5:7\n"));
}

TEST(an_id_map_without_mappings_needs_a_user_namespace)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "true");
	rig_specified(&rig);
	rig_mount(&rig, NULL, "state", "/t", MS_BIND, NULL)->idmap = true;
	EXPECT_EQ(rig_run(&rig), -EINVAL);
	EXPECT(strstr(rig.failure.msg, "idmap without mappings"));
}

TEST(maps_that_mean_nothing_are_refused)
{
	static const struct plan_idmap bad[][2] = {
		{{0, 0, 0}, {0, 0, 0}},
		{{0, 1000, 10}, {9, 5000, 10}},
		{{0, 1000, 10}, {20, 1009, 10}},
		{{0, UINT32_MAX, 1}, {0, 0, 0}},
		{{UINT32_MAX - 1, 5, 2}, {0, 0, 0}},
	};
	struct list none = {NULL, 0};
	struct err err = ERR_INIT;

	EXPECT_EQ(idmap_check(&none, "uidMappings", &err), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct plan_idmap copy[2] = {bad[i][0], bad[i][1]};
		struct list maps = {copy, bad[i][1].size ? 2 : 1};
		err = ERR_INIT;
		EXPECT_EQ(idmap_check(&maps, "uidMappings", &err), -EINVAL);
		EXPECT(strstr(err.msg, "uidMappings"));
	}
}

TEST(a_link_is_copied_or_mounted_itself)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	char path[128];
	rig_init(&rig, "readlink /copied; readlink /itself; cat /through");
	rig_specified(&rig);
	rig_file(&rig, "state/f", "file\n", 0644);
	EXPECT_EQ(symlinkat("f", rig.state_fd, "link"), 0);
	(void)snprintf(path, sizeof(path), "%s/root/itself", rig.dir);
	EXPECT_EQ(symlink("nowhere", path), 0);
	rig_mount(&rig, NULL, "state/link", "/copied", MS_BIND, NULL)->copy_symlink = true;
	struct plan_mount *m = rig_mount(&rig, NULL, "state/link", "/itself", MS_BIND, NULL);
	m->source_nofollow = m->target_nofollow = true;
	(void)rig_mount(&rig, NULL, "state/link", "/through", MS_BIND, NULL);
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "f\nf\nfile\n");
}

TEST(options_longer_than_the_new_calls_take_reach_the_kernel)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	AUTO_FREE char *data = NULL;
	char path[400];
	rig_init(&rig, "cat /t/f; echo y > /t/g; grep ' /t ' /proc/mounts | cut -d' ' -f3");
	rig_specified(&rig);
	memset(path, 'x', sizeof(path));
	(void)mkdirat(rig.state_fd, "lower", 0755);
	(void)mkdirat(rig.state_fd, "deep", 0755);
	rig_file(&rig, "state/lower/f", "file\n", 0644);
	path[250] = '\0';
	EXPECT_EQ(mkdirat(rig.state_fd, path, 0755), 0);
	EXPECT(asprintf(&data, "lowerdir=%s/state/lower:%s/state/%s", rig.dir, rig.dir, path) > 0);
	(void)rig_mount(&rig, "overlay", "overlay", "/t", 0, data);
	EXPECT(rig_run(&rig) >= 0);
	EXPECT(strstr(rig.output.data, "file\n") && strstr(rig.output.data, "overlay\n"));
}

TEST(a_tmpfs_starts_with_what_the_image_has)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cat /home/f; echo x > /home/f; grep ' /home ' /proc/mounts | cut -c1-20");
	rig_specified(&rig);
	rig_file(&rig, "root/home/f", "file\n", 0644);
	rig_mount(&rig, "tmpfs", "tmpfs", "/home", MS_RDONLY, NULL)->copy_up = true;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(strstr(rig.output.data, "file\n") && strstr(rig.output.data, "Read-only"));
}

TEST(a_remount_changes_what_is_there)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "grep -c ' /dev/shm tmpfs ro,' /proc/mounts");
	rig_specified(&rig);
	(void)rig_mount(&rig, NULL, "state", "/dev/shm", MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "1\n");
}

TEST(a_mount_can_be_unbindable)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "grep ' /t ' /proc/self/mountinfo");
	rig_specified(&rig);
	rig_mount(&rig, NULL, "state", "/t", MS_BIND, NULL)->propagation = MS_UNBINDABLE;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(strstr(rig.output.data, "unbindable"));
}

TEST(a_label_that_the_kernel_does_not_know_is_named)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "true");
	rig_specified(&rig);
	rig.plan.mount_label = strdup("system_u:object_r:container_file_t:s0:c1,c2");
	int r = rig_run(&rig);
	if (access("/sys/fs/selinux/enforce", F_OK) == 0)
		return;
	EXPECT_EQ(r, -EINVAL);
	EXPECT(strstr(rig.failure.msg, "context"));
}

static bool said(const char *where, const char *path, const char *word)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	char wanted[160];

	if (file_read(AT_FDCWD, where, 1 << 20, &text, &err) < 0)
		return false;
	(void)snprintf(wanted, sizeof(wanted), " %s ", path);
	char *rest = text.data;
	for (char *line; (line = strsep(&rest, "\n"));) {
		char *tags = strstr(line, wanted);
		if (tags && strstr(tags, word))
			return true;
	}
	return false;
}

/* In mounts of its own, of which `dir` is a shared one: what the new root's propagation does. Exits
 * with the step that failed. */
static int propagate(const char *dir, uint64_t how, const char *word)
{
	struct err err = ERR_INIT;
	struct plan plan = {.as_specified = true, .root_propagation = how};
	char path[128];

	if (mount("t", dir, "tmpfs", 0, NULL) < 0 || mount(NULL, dir, NULL, MS_SHARED, NULL) < 0)
		return 1;
	(void)snprintf(path, sizeof(path), "%s/in", dir);
	/* by the parent, as the root is */
	AUTO_CLOSE int root = mount_clone(AT_FDCWD, dir, true, &err);
	if (mkdir(path, 0755) < 0 || unshare(CLONE_NEWNS) < 0)
		return 2;
	AUTO_CLOSE int at = open("/mnt", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || at < 0 || propagation_begin(&plan, root, &err) < 0)
		return 3;
	if (mount_attach(root, at, "/mnt", &err) < 0 || mount("u", "/mnt/in", "tmpfs", 0, NULL) < 0)
		return 4;
	if (propagation_leave(&plan, old, &err) < 0 || propagation_end(&plan, root, &err) < 0)
		return 5;
	return said("/proc/self/mountinfo", "/mnt", word) ? 0 : 6;
}

TEST(the_root_propagates_as_asked_and_never_while_it_is_made)
{
	if (!rig_can())
		return;
	static const struct {
		uint64_t how;
		const char *word;
	} ways[] = {
		{0, "-"},
		{MS_PRIVATE | MS_REC, "-"},
		{MS_SHARED, "shared:"},
		{MS_SHARED | MS_REC, "shared:"},
		{MS_SLAVE | MS_REC, "master:"},
		{MS_UNBINDABLE, "unbindable"},
	};
	char dir[] = "/tmp/hull-prop-XXXXXX";
	EXPECT(mkdtemp(dir));
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int status = -1;
		int saw = -1;
		pid_t outer = fork();
		if (outer == 0) {
			/* the "host": looks whether anything came through */
			char path[64];
			if (unshare(CLONE_NEWNS) < 0 ||
			    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
				_exit(100);
			pid_t inner = fork();
			if (inner == 0)
				_exit(propagate(dir, ways[i].how, ways[i].word));
			(void)waitpid(inner, &saw, 0);
			(void)snprintf(path, sizeof(path), "%s/in", dir);
			_exit(WEXITSTATUS(saw)                              ? WEXITSTATUS(saw)
			      : said("/proc/self/mountinfo", path, "tmpfs") ? 101
									    : 0);
		}
		EXPECT_EQ(waitpid(outer, &status, 0), outer);
		EXPECT_EQ(WEXITSTATUS(status), 0);
	}
	EXPECT_EQ(rmdir(dir), 0);
}
