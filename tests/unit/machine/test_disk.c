/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "machine/disk.h"
#include "machine/vmdk.h"
#include "proto/message.h"
#include "proto/plan.h"

TEST(a_disk_of_many_files_names_them_in_order)
{
	const char *const names[] = {"/dev/fdset/1", "/dev/fdset/2"};
	const uint64_t sectors[] = {4096, 8};
	AUTO_BUF struct buf text = BUF_INIT;

	vmdk_describe(&text, names, sectors, 2);
	EXPECT(strncmp(text.data, "# Disk DescriptorFile\n", 22) == 0);
	EXPECT(strstr(text.data, "\nparentCID=ffffffff\n") != NULL);
	EXPECT(strstr(text.data,
		      "\nRW 4096 FLAT \"/dev/fdset/1\" 0\nRW 8 FLAT \"/dev/fdset/2\" 0\n") != NULL);
}

/* A folder and a plan on it, both gone at the end. */
struct bench {
	char dir[40];
	char path[64];
	struct plan plan;
	struct machine_setup setup;
};

static void bench_done(struct bench *b)
{
	record_done(&plan_record, &b->plan);
	record_done(&machine_setup_record, &b->setup);
	(void)unlink(b->path);
	(void)rmdir(b->dir);
}

static void bench_init(struct bench *b)
{
	*b = (struct bench){.dir = "/tmp/hull-disk-XXXXXX"};
	if (!mkdtemp(b->dir))
		abort();
	(void)snprintf(b->path, sizeof(b->path), "%s/file", b->dir);
}

static void make_file(const struct bench *b, off_t size)
{
	AUTO_CLOSE int fd = open(b->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, size) < 0)
		abort();
}

TEST(layers_stand_back_to_back)
{
	AUTO(bench_done) struct bench b;
	AUTO_FREE uint64_t *sizes = NULL;
	struct err err = ERR_INIT;

	bench_init(&b);
	make_file(&b, 8192);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(strv_add(&b.plan.root.layers, b.path, &err), 0);
	EXPECT_EQ(disk_layers(&b.plan, &b.setup, &sizes, &err), 0);
	const struct machine_extent *e = b.setup.layers.items;
	EXPECT_EQ(b.setup.layers.n, 3);
	EXPECT_EQ(e[0].offset, 0);
	EXPECT_EQ(e[2].offset, 16384);
	EXPECT_EQ(e[2].size, 8192);
	EXPECT_EQ(sizes[1], 8192);
}

TEST(a_layer_of_no_whole_sectors_is_refused)
{
	AUTO(bench_done) struct bench b;
	AUTO_FREE uint64_t *sizes = NULL;
	struct err err = ERR_INIT;

	bench_init(&b);
	make_file(&b, 8193);
	EXPECT_EQ(strv_add(&b.plan.root.layers, b.path, &err), 0);
	EXPECT_EQ(disk_layers(&b.plan, &b.setup, &sizes, &err), -EINVAL);
	EXPECT(strstr(err.msg, b.path) != NULL);
	err = ERR_INIT;
	make_file(&b, 0);
	EXPECT_EQ(disk_layers(&b.plan, &b.setup, &sizes, &err), -EINVAL);
}

/* ext4's magic number, at 56 of the superblock at 1024. */
static bool is_ext4(int fd)
{
	uint8_t magic[2];

	return pread(fd, magic, 2, 1024 + 56) == 2 && magic[0] == 0x53 && magic[1] == 0xef;
}

TEST(a_missing_writable_disk_is_made_sparse)
{
	AUTO(bench_done) struct bench b;
	struct err err = ERR_INIT;
	struct stat st;

	bench_init(&b);
	AUTO_CLOSE int fd = disk_scratch(b.path, 0, false, &err);
	EXPECT(fd >= 0);
	EXPECT(is_ext4(fd));
	EXPECT_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_size, 64LL << 30);
	EXPECT(st.st_blocks * 512 < 4 << 20);
}

TEST(a_writable_disk_that_is_there_is_kept)
{
	AUTO(bench_done) struct bench b;
	struct err err = ERR_INIT;
	struct stat st;

	bench_init(&b);
	make_file(&b, 4096);
	AUTO_CLOSE int fd = disk_scratch(b.path, 1 << 30, false, &err);
	EXPECT(fd >= 0);
	EXPECT_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_size, 4096);
}

TEST(small_disks_work_down_to_a_mebibyte)
{
	static const uint64_t sizes[] = {1 << 20, 10 << 20, 200 << 20, 2ULL << 30};
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		AUTO(bench_done) struct bench b;
		bench_init(&b);
		AUTO_CLOSE int fd = disk_scratch(b.path, sizes[i], i % 2, &err);
		EXPECT_STR(err.msg, "");
		EXPECT(fd >= 0 && is_ext4(fd));
	}
	AUTO(bench_done) struct bench b;
	bench_init(&b);
	EXPECT_EQ(disk_scratch(b.path, 4096, false, &err), -EINVAL);
	EXPECT(access(b.path, F_OK) < 0);
}

TEST(an_interface_name_that_is_none_is_refused)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(disk_tap("a-name-of-far-too-many-letters", false, &err), -EINVAL);
}
