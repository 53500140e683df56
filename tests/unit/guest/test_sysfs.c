/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/path.h"
#include "guest/sysfs.h"

struct folder {
	char path[64];
};

static void folder_done(struct folder *f)
{
	struct err ignored = ERR_INIT;

	(void)!path_remove_all(AT_FDCWD, f->path, &ignored);
}

static bool device(const struct folder *f, const char *name, const char *attribute,
		   const char *text)
{
	struct err err = ERR_INIT;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", f->path, name);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/%s/%s", f->path, name, attribute);
	return file_replace(AT_FDCWD, path, text, strlen(text), 0644, &err) == 0;
}

static bool devices(struct folder *f)
{
	(void)snprintf(f->path, sizeof(f->path), "/tmp/sysfs-XXXXXX");
	return mkdtemp(f->path) && device(f, "vda", "serial", "layers") &&
	       device(f, "vdb", "serial", "scratch\n") && device(f, "vdc", "other", "x") &&
	       device(f, "vdd", "serial", "") && device(f, "eth7", "address", "02:AB:00\n");
}

TEST(a_device_is_found_by_what_its_attribute_says)
{
	AUTO(folder_done) struct folder f;
	struct err err = ERR_INIT;
	char name[SYSFS_NAME];

	EXPECT(devices(&f));
	EXPECT_EQ(sysfs_find(f.path, "serial", "layers", "disk", 0, name, &err), 0);
	EXPECT_STR(name, "vda");
	EXPECT_EQ(sysfs_find(f.path, "serial", "scratch", "disk", 0, name, &err), 0);
	EXPECT_STR(name, "vdb");
	EXPECT_EQ(sysfs_find(f.path, "address", "02:ab:00", "interface", 0, name, &err), 0);
	EXPECT_STR(name, "eth7");
}

TEST(a_device_that_never_comes_is_named_after_the_time_given)
{
	AUTO(folder_done) struct folder f;
	struct err err = ERR_INIT;
	char name[SYSFS_NAME];

	EXPECT(devices(&f));
	uint64_t before = clock_ms();
	EXPECT_EQ(sysfs_find(f.path, "serial", "layer", "disk", 50, name, &err), -ENODEV);
	EXPECT_STR(err.msg, "the machine has no disk 'layer'");
	EXPECT(clock_ms() - before >= 50);
	EXPECT(clock_ms() - before < 5000);
	err = ERR_INIT;
	EXPECT_EQ(sysfs_find("/nowhere", "serial", "x", "disk", 0, name, &err), -ENODEV);
}

TEST(a_device_that_comes_late_is_waited_for)
{
	AUTO(folder_done) struct folder f;
	struct err err = ERR_INIT;
	char name[SYSFS_NAME];

	EXPECT(devices(&f));
	pid_t pid = fork();
	if (pid == 0) {
		(void)usleep(100000);
		_exit(device(&f, "vdz", "serial", "late") ? 0 : 1);
	}
	EXPECT(pid > 0);
	EXPECT_EQ(sysfs_find(f.path, "serial", "late", "disk", 10000, name, &err), 0);
	EXPECT_STR(name, "vdz");
}
