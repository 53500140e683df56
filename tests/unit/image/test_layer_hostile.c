/* SPDX-License-Identifier: Apache-2.0 */
/* Archives made to do harm (SECURITY.md I1-I10): each is refused in one clear line, and what was
 * written so far is nothing that could be mounted. */
#include "../test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/proc.h"
#include "kit.h"

/* Whether the file has the mark of an EROFS file. */
static bool has_super(int file)
{
	static const uint8_t magic[4] = {0xe2, 0xe1, 0xf5, 0xe0};
	uint8_t got[4] = {0};

	return pread(file, got, 4, 1024) == 4 && memcmp(got, magic, 4) == 0;
}

static bool one_line(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			return false;
	}
	return true;
}

static void refused_bytes(const void *bytes, size_t n, const struct layer_limits *limits,
			  const char *why)
{
	AUTO_CLOSE int file = memfd_create("layer", MFD_CLOEXEC);
	struct layer_info info;
	struct err err = ERR_INIT;

	EXPECT(layer_of_bytes(bytes, n, file, limits, NULL, &info, &err) < 0);
	if (!strstr(err.msg, why))
		FAIL("\"%s\" does not say \"%s\"", err.msg, why);
	if (!one_line(err.msg))
		FAIL("\"%s\" is more than one line of text", err.msg);
	EXPECT(!has_super(file));
}

/* The tar, with its end mark added, is refused with that text. */
static void refused(struct buf *tar, const char *why)
{
	tar_end(tar);
	refused_bytes(tar->data, tar->len, NULL, why);
	buf_done(tar);
}

static void accepted(struct buf *tar)
{
	AUTO_CLOSE int file = memfd_create("layer", MFD_CLOEXEC);
	struct layer_info info;
	struct err err = ERR_INIT;

	tar_end(tar);
	if (layer_of(tar, file, &info, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT(has_super(file));
	buf_done(tar);
}

static void refused_path(const char *path, const char *why)
{
	struct buf tar = BUF_INIT;

	tar_file(&tar, path, "x");
	refused(&tar, why);
}

TEST(i1_paths_that_climb_or_have_to_be_interpreted_are_refused)
{
	refused_path("../etc/passwd", "'../etc/passwd': '..' in the path");
	refused_path("a/../../x", "'a/../../x': '..' in the path");
	refused_path("/..", "'..' in the path");
	refused_path("a/./b", "'.' in the path");
	refused_path("a//b", "an empty name in the path");
	refused_path("a/b//", "an empty name in the path");
	refused_path("", "an empty path");
}

TEST(i1_absolute_names_and_names_below_dot_mean_the_layers_root)
{
	struct buf tar = BUF_INIT;

	tar_file(&tar, "/etc/passwd", "x");
	tar_file(&tar, "././/etc/group", "x");
	accepted(&tar);
}

TEST(i1_the_root_can_only_be_a_folder)
{
	struct buf tar = BUF_INIT;

	tar_file(&tar, ".", "x");
	refused(&tar, "'.': the root must be a folder");
	tar_member(&tar, "./", '2', 0777, "/etc", NULL, 0);
	refused(&tar, "the root must be a folder");
	tar_member(&tar, "./", '1', 0777, "/etc", NULL, 0);
	refused(&tar, "the root must be a folder");
}

TEST(i2_nothing_is_written_through_a_symbolic_link)
{
	struct buf tar = BUF_INIT;

	tar_member(&tar, "l", '2', 0777, "/etc", NULL, 0);
	tar_file(&tar, "l/passwd", "x");
	refused(&tar, "'l/passwd': the path goes through a symbolic link");
	tar_member(&tar, "d/", '5', 0755, NULL, NULL, 0);
	tar_member(&tar, "l", '2', 0777, "d", NULL, 0);
	tar_member(&tar, "l/sub/", '5', 0755, NULL, NULL, 0);
	refused(&tar, "'l/sub/': the path goes through a symbolic link");
	tar_file(&tar, "f", "x");
	tar_file(&tar, "f/g", "x");
	refused(&tar, "'f/g': the path goes through what is not a folder");
}

static void refused_link(const char *target, const char *why)
{
	struct buf tar = BUF_INIT;

	tar_member(&tar, "d/", '5', 0755, NULL, NULL, 0);
	tar_member(&tar, "s", '2', 0777, "d", NULL, 0);
	tar_file(&tar, ".wh.w", "");
	tar_member(&tar, "o/", '5', 0755, NULL, NULL, 0);
	tar_file(&tar, "o/.wh..wh..opq", "");
	tar_member(&tar, "link", '1', 0644, target, NULL, 0);
	refused(&tar, why);
}

TEST(i3_hard_links_only_name_files_of_the_image)
{
	refused_link("../../etc/passwd",
		     "'link': hard link to '../../etc/passwd': '..' in the path");
	refused_link("s", "hard link to 's', which is not a regular file");
	refused_link("s/x", "hard link to 's/x': its target's path goes through no folder");
	refused_link("d", "hard link to 'd', which is not a regular file");
	refused_link("w", "hard link to 'w', which is not there");
	refused_link("o/x", "hard link to 'o/x', which is not there");
	refused_link("/", "hard link to '/', which is not there");
	refused_link("", "an empty path");
	refused_link("nowhere", "hard link to 'nowhere': neither in this layer");
}

TEST(i4_whiteouts_delete_names_and_nothing_else)
{
	refused_path(".wh...", "'.wh...': not a name that can be deleted");
	refused_path("d/.wh..", "not a name that can be deleted");
	refused_path(".wh.", "not a name that can be deleted");
	refused_path(".wh..wh.x", "not a name that can be deleted");
	refused_path(".wh..wh..opq", "the root cannot hide the layers below");
	refused_path(".wh.x/y", "the path goes through a deleted name");
}

TEST(i7_names_up_to_255_bytes_and_paths_below_4096_are_held)
{
	struct buf tar = BUF_INIT;
	char path[5000];

	memset(path, 'n', sizeof(path));
	tar_pax(&tar, "path", path, 255);
	tar_file(&tar, "x", "");
	accepted(&tar);
	tar_pax(&tar, "path", path, 256);
	tar_file(&tar, "x", "");
	refused(&tar, "a name of more than 255 bytes");
	for (size_t i = 100; i < sizeof(path); i += 101)
		path[i] = '/';
	tar_pax(&tar, "path", path, 4094);
	tar_file(&tar, "x", "");
	accepted(&tar);
	tar_pax(&tar, "path", path, 4095);
	tar_file(&tar, "x", "");
	refused(&tar, "a path of 4095 bytes or more");
	tar_pax(&tar, "linkpath", path, 4096);
	tar_member(&tar, "x", '2', 0777, "", NULL, 0);
	refused(&tar, "'x': a symbolic link to a path of 4096 bytes or more");
	tar_member(&tar, "x", '2', 0777, "", NULL, 0);
	refused(&tar, "'x': a symbolic link to nothing");
}

TEST(i7_a_nul_in_a_name_is_refused_and_names_are_shown_escaped)
{
	struct buf tar = BUF_INIT;

	tar_pax(&tar, "path", "a\0b", 3);
	tar_file(&tar, "x", "");
	refused(&tar, "a NUL in a name");
	tar_pax(&tar, "linkpath", "a\0b", 3);
	tar_member(&tar, "x", '2', 0777, "", NULL, 0);
	refused(&tar, "a NUL in a name");
	refused_path("a\n\x1b[31m/../\xff", "'a\\x0a\\x1b[31m/../\\xff': '..' in the path");
}

static void refused_record(const char *key, const char *value, const char *why)
{
	struct buf tar = BUF_INIT;

	tar_pax(&tar, key, value, strlen(value));
	tar_file(&tar, "f", "content");
	refused(&tar, why);
}

TEST(i8_sizes_and_numbers_that_lie_are_refused)
{
	struct buf tar = BUF_INIT;

	refused_record("size", "-1", "size");
	refused_record("size", "7x", "size");
	refused_record("size", "99999999999999999999999", "size");
	refused_record("size", "9223372036854775807", "a file of 9223372036854775807 bytes");
	refused_record("size", "1000000", "'f': the archive is cut short");
	refused_record("uid", "4294967295", "no such owner");
	refused_record("gid", "-5", "group");
	refused_record("uid", "1\n\x1b[2J", "owner is no number");
	refused_record("mtime", "soon", "time");
	refused_record("mtime", "1.2.3", "time");

	tar_file(&tar, "f", "x");
	memset(tar.data + 124, 0xff, 12); /* base 256: -1 */
	tar_sum(&tar, 0);
	refused(&tar, "a negative size");
	tar_file(&tar, "f", "x");
	memset(tar.data + 124, 0xbf, 12);
	tar_sum(&tar, 0);
	refused(&tar, "a number in the header is too large");
	tar_file(&tar, "f", "x");
	memcpy(tar.data + 100, "rw-r--r", 7);
	tar_sum(&tar, 0);
	refused(&tar, "a number in the header is damaged");
}

TEST(i8_damaged_pax_records_are_refused)
{
	static const char *const bodies[] = {"9 path=x\n", "99 path=x\n",
					     "path=x\n",   "10 path=x\n\n",
					     "0 a=b\n",    "5 a=b",
					     "6 a b\n",    "18446744073709551616 a=b\n",
					     "-6 a=b\n",   "2 \n",
					     NULL};
	struct buf tar = BUF_INIT;

	tar_member(&tar, "p", 'x', 0, NULL, "9 path=x\n", 9);
	tar_file(&tar, "f", "");
	accepted(&tar);
	for (size_t i = 1; bodies[i]; i++) {
		tar_member(&tar, "p", 'x', 0, NULL, bodies[i], strlen(bodies[i]));
		tar_file(&tar, "f", "");
		refused(&tar, "a damaged pax record");
	}
	AUTO_FREE char *big = calloc(1, 2 << 20);
	tar_member(&tar, "p", 'x', 0, NULL, big, 2 << 20);
	refused(&tar, "an extended header of 2097152 bytes");
	tar_member(&tar, "p", 'L', 0, NULL, "", 0);
	refused(&tar, "an empty long name");
}

static void refused_map(const char *map, const char *size, const char *why)
{
	struct buf tar = BUF_INIT;

	tar_pax(&tar, "GNU.sparse.map", map, strlen(map));
	tar_pax(&tar, "GNU.sparse.size", size, strlen(size));
	tar_file(&tar, "f", "0123456789");
	refused(&tar, why);
}

TEST(i8_sparse_maps_that_lie_are_refused)
{
	struct buf tar = BUF_INIT;

	tar_pax(&tar, "GNU.sparse.map", "0,4,100,6", 9);
	tar_pax(&tar, "GNU.sparse.size", "200", 3);
	tar_file(&tar, "f", "0123456789");
	accepted(&tar);
	refused_map("0,4,100,6", "105", "'f': sparse map beyond the file's size");
	refused_map("0,4,100,7", "200", "sparse map and content differ in size");
	refused_map("0,4,100,5", "200", "sparse map and content differ in size");
	refused_map("100,6,0,4", "200", "sparse map out of order");
	refused_map("0,6,5,4", "200", "sparse map out of order");
	refused_map("0,4,100", "200", "sparse map ends in the middle");
	refused_map("0,x", "200", "sparse map");
	refused_map("9223372036854775807,9", "200", "sparse map beyond all size");
	refused_map("0,10", "99999999999999999", "a file of 99999999999999999 bytes");

	tar_pax(&tar, "GNU.sparse.major", "1", 1);
	tar_pax(&tar, "GNU.sparse.realsize", "100", 3);
	tar_file(&tar, "f", "2\n0\n5\n");
	refused(&tar, "sparse map beyond the content");
	tar_pax(&tar, "GNU.sparse.major", "7", 1);
	tar_file(&tar, "f", "x");
	refused(&tar, "a sparse file of an unknown kind");
}

/* A small tar with one of most things. */
static void small_tar(struct buf *tar)
{
	tar_member(tar, "d/", '5', 0755, NULL, NULL, 0);
	tar_pax(tar, "SCHILY.xattr.user.x", "value", 5);
	tar_file(tar, "d/f", "some content");
	tar_member(tar, "d/l", '2', 0777, "f", NULL, 0);
	tar_end(tar);
}

TEST(i8_a_tar_cut_short_anywhere_is_refused)
{
	AUTO_BUF struct buf tar = BUF_INIT;

	small_tar(&tar);
	for (size_t n = 0; n < tar.len - 512 && !test_failed; n++)
		refused_bytes(tar.data, n, NULL, n == 0 ? "no end mark" : "cut short");
}

/* Packs the tar by a command; the answer is in *ret. */
static int packed(const struct buf *tar, const char *command, struct buf *ret)
{
	AUTO_CLOSE int file = scratch_file();
	char full[200];
	struct err err = ERR_INIT;

	(void)snprintf(full, sizeof(full), "%s </proc/%d/fd/%d", command, getpid(), file);
	const char *argv[] = {"sh", "-c", full, NULL};
	if (write(file, tar->data, tar->len) != (ssize_t)tar->len)
		return -1;
	return proc_run(argv, NULL, ret, &err);
}

static const char *const packers[] = {"gzip -c", "zstd -qc", "xz -1c", NULL};

TEST(i8_a_packed_tar_cut_short_anywhere_is_refused)
{
	AUTO_BUF struct buf tar = BUF_INIT;

	small_tar(&tar);
	for (int i = 0; packers[i]; i++) {
		AUTO_BUF struct buf zipped = BUF_INIT;
		EXPECT_EQ(packed(&tar, packers[i], &zipped), 0);
		for (size_t n = 0; n < zipped.len && !test_failed; n++)
			refused_bytes(zipped.data, n, NULL, "");
		if (test_failed)
			FAIL("packed by %s", packers[i]);
	}
}

TEST(i8_bytes_behind_the_end_are_refused)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	static const char zeros[10240];

	small_tar(&tar);
	for (int i = 0; packers[i]; i++) {
		AUTO_BUF struct buf zipped = BUF_INIT;
		EXPECT_EQ(packed(&tar, packers[i], &zipped), 0);
		buf_str(&zipped, "junk");
		refused_bytes(zipped.data, zipped.len, NULL, "");
		if (test_failed)
			FAIL("packed by %s", packers[i]);
	}
	buf_add(&tar, zeros, sizeof(zeros));
	buf_str(&tar, "x");
	refused_bytes(tar.data, tar.len, NULL, "bytes behind the end of the archive");
	tar.len--;
	buf_add(&tar, zeros, 511);
	accepted(&tar);
}

TEST(i9_what_unpacks_to_more_than_allowed_is_refused)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_BUF struct buf bomb = BUF_INIT;
	enum { N = 64 << 20 };
	AUTO_FREE char *zeros = calloc(1, N);
	struct layer_limits limits = {.tar_bytes = 1 << 20};

	tar_member(&tar, "f", '0', 0644, NULL, zeros, N);
	tar_end(&tar);
	EXPECT_EQ(packed(&tar, "gzip -9c", &bomb), 0);
	EXPECT(bomb.len < N / 900);
	refused_bytes(bomb.data, bomb.len, &limits, "the archive is larger than 1048576 bytes");
	limits = (struct layer_limits){.entries = 2};
	buf_clear(&tar);
	small_tar(&tar);
	refused_bytes(tar.data, tar.len, &limits, "'d/l': more than 2 entries");
	limits = (struct layer_limits){.image_bytes = 8192};
	refused_bytes(tar.data, tar.len, &limits, "the layer is larger than 8192 bytes");
}

TEST(i9_a_packed_archive_within_a_packed_one_is_refused)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_BUF struct buf once = BUF_INIT;
	AUTO_BUF struct buf twice = BUF_INIT;

	small_tar(&tar);
	EXPECT_EQ(packed(&tar, "gzip -c", &once), 0);
	EXPECT_EQ(packed(&once, "zstd -qc", &twice), 0);
	refused_bytes(twice.data, twice.len, NULL, "cut short");
	buf_clear(&twice);
	AUTO_FREE char *noise = calloc(1, 4096);
	buf_add(&once, noise, 4096);
	EXPECT_EQ(packed(&once, "gzip -c", &twice), 0);
	refused_bytes(twice.data, twice.len, NULL, "the archive is compressed more than once");
	buf_clear(&twice);
	EXPECT_EQ(packed(&once, "xz -c", &twice), 0);
	refused_bytes(twice.data, twice.len, NULL, "not a tar archive");
}

TEST(i9_zstd_windows_of_gigabytes_are_refused)
{
	AUTO_BUF struct buf tar = BUF_INIT;
	AUTO_BUF struct buf wide = BUF_INIT;

	small_tar(&tar);
	EXPECT_EQ(packed(&tar, "zstd -qc --ultra --long=31", &wide), 0);
	if (wide.len > 6 && (wide.data[4] & 0x20)) { /* a single segment has no window of its own */
		wide.len = 0;
		EXPECT_EQ(packed(&tar, "cat | zstd -qc --ultra --long=31", &wide), 0);
	}
	refused_bytes(wide.data, wide.len, NULL, "unpack the archive");
}

TEST(i10_orders_for_the_overlay_file_system_are_refused)
{
	struct buf tar = BUF_INIT;

	refused_record("SCHILY.xattr.trusted.overlay.opaque", "y",
		       "attribute 'trusted.overlay.opaque' belongs to the overlay");
	refused_record("SCHILY.xattr.user.overlay.redirect", "/etc",
		       "attribute 'user.overlay.redirect' belongs to the overlay");
	refused_record("LIBARCHIVE.xattr.trusted%2eoverlay%2Eopaque",
		       "eQ==", "attribute 'trusted.overlay.opaque' belongs to the overlay");
	refused_record("SCHILY.xattr.user.overlay.\x1b[31m", "y",
		       "attribute 'user.overlay.\\x1b[31m'");
	refused_record("SCHILY.xattr.trusted.overlay.overlay.opaque", "y",
		       "belongs to the overlay");
	tar_member(&tar, "w", '3', 0, NULL, NULL, 0);
	refused(&tar, "'w': device 0/0");
	tar_member(&tar, "w", '4', 0, NULL, NULL, 0);
	refused(&tar, "'w': device 0/0");
	tar_pax(&tar, "SCHILY.devmajor", "4096", 4);
	tar_member(&tar, "w", '3', 0, NULL, NULL, 0);
	refused(&tar, "no such device number");
}

TEST(i10_attributes_too_large_or_too_many_are_refused)
{
	struct buf tar = BUF_INIT;
	AUTO_FREE char *big = calloc(1, 70000);
	char key[400] = "SCHILY.xattr.user.";

	tar_pax(&tar, "SCHILY.xattr.user.big", big, 65536);
	tar_file(&tar, "f", "");
	refused(&tar, "attribute 'user.big' is larger than 65535 bytes");
	memset(key + strlen(key), 'k', 251);
	tar_pax(&tar, key, "v", 1);
	tar_file(&tar, "f", "");
	refused(&tar, "attribute name is longer than 255 bytes");
	for (int i = 0; i < 1025; i++) {
		(void)snprintf(key, sizeof(key), "SCHILY.xattr.user.%d", i);
		tar_pax(&tar, key, "v", 1);
	}
	tar_file(&tar, "f", "");
	refused(&tar, "more than 1024 attributes");
	for (int i = 0; i < 5; i++) {
		(void)snprintf(key, sizeof(key), "SCHILY.xattr.user.%d", i);
		tar_pax(&tar, key, big, 60000);
	}
	tar_file(&tar, "f", "");
	refused(&tar, "attributes take more than");
}

TEST(what_is_no_tar_is_refused)
{
	static const char *const commands[] = {"head -c 3000 /dev/urandom; true",
					       "echo | cpio -o -H newc", "echo /dev/null | cpio -o",
					       "printf PK", NULL};
	AUTO_BUF struct buf tar = BUF_INIT;

	for (int i = 0; commands[i]; i++) {
		AUTO_BUF struct buf other = BUF_INIT;
		struct err err = ERR_INIT;
		const char *argv[] = {"sh", "-c", commands[i], NULL};
		EXPECT_EQ(proc_run(argv, NULL, &other, &err), 0);
		refused_bytes(other.data, other.len, NULL,
			      i < 3 ? "not a tar archive" : "cut short");
		if (test_failed)
			FAIL("%s", commands[i]);
	}
	small_tar(&tar);
	tar.data[0] ^= 1;
	refused_bytes(tar.data, tar.len, NULL, "not a tar archive, or a damaged one");
	buf_clear(&tar);
	tar_member(&tar, "m", 'M', 0644, NULL, NULL, 0);
	refused(&tar, "'m': an entry of unknown type (0x4d)");
}
