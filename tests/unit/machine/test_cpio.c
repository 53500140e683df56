/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/proc.h"
#include "machine/cpio.h"

/* What cpio(1) says about the archive; appended to *out. */
static int read_back(const struct buf *archive, const char *const *options, struct buf *out,
		     struct err *err)
{
	char path[] = "/tmp/hull-cpio-XXXXXX";
	AUTO_CLOSE int fd = mkstemp(path);
	const char *argv[8] = {"cpio", "--quiet", "-F", path};

	for (size_t i = 0; options[i]; i++)
		argv[4 + i] = options[i];
	int r = fd < 0 ? err_sys(err, "mkstemp")
		       : write_all(fd, archive->data, archive->len, path, err);
	if (r == 0)
		r = proc_run(argv, NULL, out, err);
	(void)unlink(path);
	return r;
}

TEST(cpio_lists_the_names_we_wrote)
{
	const char *const list[] = {"-t", NULL};
	AUTO_BUF struct buf a = BUF_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	cpio_dir(&a, "modules", 0755);
	cpio_file(&a, "modules/a", 0644, "x", 1);
	cpio_file(&a, "modules/bc", 0644, "", 0);
	cpio_file(&a, "init", 0755, "12345", 5);
	cpio_end(&a);
	EXPECT_EQ(a.len % 4, 0);
	EXPECT_EQ(read_back(&a, list, &out, &err), 0);
	EXPECT_STR(out.data, "modules\nmodules/a\nmodules/bc\ninit\n");
}

TEST(cpio_reads_back_the_bytes_of_every_length)
{
	const char *const extract[] = {"-i", "--to-stdout", NULL};
	AUTO_BUF struct buf a = BUF_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	AUTO_BUF struct buf expected = BUF_INIT;
	struct err err = ERR_INIT;
	char bytes[64];

	for (size_t n = 0; n < sizeof(bytes); n++) {
		char name[16];
		bytes[n] = (char)('A' + n % 26);
		(void)snprintf(name, sizeof(name), "f%zu", n);
		cpio_file(&a, name, 0600, bytes, n);
		buf_add(&expected, bytes, n);
	}
	cpio_end(&a);
	EXPECT_EQ(read_back(&a, extract, &out, &err), 0);
	EXPECT_EQ(out.len, expected.len);
	EXPECT(memcmp(out.data, expected.data, out.len) == 0);
}

TEST(modes_and_kinds_are_kept)
{
	const char *const list[] = {"-tv", NULL};
	AUTO_BUF struct buf a = BUF_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	cpio_dir(&a, "d", 0711);
	cpio_file(&a, "f", 04755, "", 0);
	cpio_end(&a);
	EXPECT_EQ(read_back(&a, list, &out, &err), 0);
	EXPECT(strncmp(out.data, "drwx--x--x   1 root     root ", 29) == 0);
	EXPECT(strstr(out.data, "\n-rwsr-xr-x   1 root     root ") != NULL);
}

TEST(an_archive_goes_on_behind_another_part)
{
	const char *const list[] = {"-t", NULL};
	AUTO_BUF struct buf first = BUF_INIT;
	AUTO_BUF struct buf second = BUF_INIT;
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	cpio_file(&first, "init", 0755, "123", 3);
	cpio_file(&second, "modules", 0644, "1", 1);
	cpio_end(&second);
	buf_add(&first, second.data, second.len);
	EXPECT_EQ(read_back(&first, list, &out, &err), 0);
	EXPECT_STR(out.data, "init\nmodules\n");
}
