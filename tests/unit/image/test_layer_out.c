/* SPDX-License-Identifier: Apache-2.0 */
/* Finished layer files are judged, and written out as tars again. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "kit.h"

static int to_buf(void *ctx, const void *bytes, size_t n, struct err *err)
{
	buf_add(ctx, bytes, n);
	return buf_check(ctx, err);
}

TEST(the_tar_of_a_folders_layer_is_the_tar_of_the_folder)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	AUTO_CLOSE int zoo = zoo_new();
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info, out;
	struct err err = ERR_INIT;
	uint64_t names = 0;

	if (geteuid() == 0)
		EXPECT_EQ(zoo_xattrs(zoo), 0);
	EXPECT_EQ(layer_of_folder(zoo, file, &tar, &info, &err), 0);
	if (layer_check(file, info.diff_id, NULL, &names, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT_EQ(names, info.entries);
	if (layer_write_tar(file, false, to_buf, &again, &out, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT_EQ(again.len, tar.len);
	EXPECT(memcmp(again.data, tar.data, tar.len) == 0);
	EXPECT(memcmp(out.diff_id, info.diff_id, LAYER_DIGEST) == 0);
	EXPECT_EQ(out.tar_bytes, tar.len);
}

TEST(deletions_and_opaque_folders_are_written_as_they_were_read)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	AUTO_BUF struct buf third = BUF_INIT;
	AUTO_CLOSE int a = scratch_file();
	AUTO_CLOSE int b = scratch_file();
	struct layer_info info, out, same;
	struct err err = ERR_INIT;

	tar_member(&tar, "d/", '5', 0751, NULL, NULL, 0);
	tar_file(&tar, "d/.wh.gone", "");
	tar_member(&tar, "o/", '5', 0700, NULL, NULL, 0);
	tar_file(&tar, "o/.wh..wh..opq", "");
	tar_file(&tar, "o/new", "text");
	tar_file(&tar, ".wh.top", "");
	tar_end(&tar);
	EXPECT_EQ(layer_of(&tar, a, &info, &err), 0);
	if (layer_write_tar(a, false, to_buf, &again, &out, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT(memmem(again.data, again.len, "d/.wh.gone", 10) != NULL);
	EXPECT(memmem(again.data, again.len, "o/.wh..wh..opq", 14) != NULL);
	EXPECT(memmem(again.data, again.len, ".wh.top", 7) != NULL);
	EXPECT(memmem(again.data, again.len, "overlay", 7) == NULL);
	EXPECT_EQ(layer_of(&again, b, &same, &err), 0);
	EXPECT(memcmp(same.diff_id, out.diff_id, LAYER_DIGEST) == 0);
	if (layer_write_tar(b, false, to_buf, &third, &out, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT_EQ(third.len, again.len);
	EXPECT(memcmp(third.data, again.data, third.len) == 0);
}

/* The answer of layer_check() for `file` with n bytes at `at` replaced, which are put back. */
static int check_with(int file, off_t at, const void *bytes, size_t n, const uint8_t *diff_id)
{
	uint8_t old[64];
	struct err err = ERR_INIT;
	uint64_t names = 0;

	if (pread(file, old, n, at) != (ssize_t)n || pwrite(file, bytes, n, at) != (ssize_t)n)
		return 1;
	int r = layer_check(file, diff_id, NULL, &names, &err);
	if (pwrite(file, old, n, at) != (ssize_t)n)
		return 1;
	return r;
}

static off_t meta_of(int file)
{
	uint32_t block = 0;

	/* meta_blkaddr of the super block */
	return pread(file, &block, sizeof(block), 1024 + 40) == sizeof(block) ? (off_t)block * 4096
									      : -1;
}

TEST(damage_of_any_byte_of_the_inodes_is_survived_and_much_of_it_found)
{
	AUTO_CLOSE int zoo = zoo_new();
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;
	size_t found = 0, tried = 0;

	EXPECT_EQ(layer_of_folder(zoo, file, NULL, &info, &err), 0);
	off_t meta = meta_of(file);
	EXPECT(meta > 0);
	for (off_t at = meta - 4096; at < meta + 4096; at += 3, tried++)
		found += check_with(file, at, "\xa5\x5a", 2, info.diff_id) < 0;
	EXPECT(found > tried / 20);
	EXPECT_EQ(check_with(file, 1024 + 20, "\xff", 1, info.diff_id), -EUCLEAN);
	EXPECT_EQ(check_with(file, 1024, "\xff", 1, info.diff_id), -EUCLEAN);
}

TEST(a_file_cut_short_or_of_another_layer_is_damaged)
{
	AUTO_CLOSE int zoo = zoo_new();
	AUTO_CLOSE int file = scratch_file();
	struct layer_info info;
	struct err err = ERR_INIT;
	uint64_t names = 0;

	EXPECT_EQ(layer_of_folder(zoo, file, NULL, &info, &err), 0);
	info.diff_id[0] ^= 1;
	EXPECT_EQ(layer_check(file, info.diff_id, NULL, &names, &err), -EUCLEAN);
	info.diff_id[0] ^= 1;
	for (off_t size = (off_t)info.image_bytes - 1; size > 0; size /= 2) {
		struct err each = ERR_INIT;
		EXPECT_EQ(ftruncate(file, size), 0);
		EXPECT_EQ(layer_check(file, info.diff_id, NULL, &names, &each), -EUCLEAN);
	}
}
