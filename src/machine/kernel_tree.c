/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module tree for machines. Decompressed, because an emulated or small machine decompresses
 * slowly and EROFS is read in place; without signatures, because checking them is most of what
 * loading a module costs and nothing enforces them (the kernel only marks itself tainted).
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "machine/kernel_make.h"

enum { FILES_MAX = 65536, BATCH = 200, OPEN_FOLDERS = 16 };

static const char SIGNATURE_MARK[] = "~Module signature appended~\n";

/* nftw() has no context. One walk at a time, in a worker program. */
static struct {
	const char *ending;
	struct strv found;
	struct err err;
} walk;

static bool has_ending(const char *s, const char *ending)
{
	size_t n = strlen(s);
	size_t m = strlen(ending);

	return n >= m && strcmp(s + n - m, ending) == 0;
}

static int collect(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	if (type != FTW_F || !has_ending(path, walk.ending))
		return 0;
	if (walk.found.n >= FILES_MAX)
		return err_set(&walk.err, E2BIG, "more than %d modules", FILES_MAX);
	return strv_add(&walk.found, path, &walk.err);
}

/* All regular files below dir with an ending, links not followed. */
static int files_ending(const char *dir, const char *ending, struct strv *ret, struct err *err)
{
	walk.ending = ending;
	walk.found = (struct strv){0};
	walk.err = ERR_INIT;
	int r = nftw(dir, collect, OPEN_FOLDERS, FTW_PHYS);
	*ret = walk.found;
	if (walk.err.code)
		return err_set(err, walk.err.code, "%s", walk.err.msg);
	return r < 0 ? err_sys(err, "read '%s'", dir) : 0;
}

static int decompress(const char *dir, const char *ending, const char *const *program,
		      struct err *err)
{
	AUTO_STRV struct strv files = {0};

	int r = files_ending(dir, ending, &files, err);
	for (size_t i = 0; i < files.n && r == 0; i += BATCH) {
		const char *argv[BATCH + 8];
		size_t n = 0;
		for (size_t k = 0; program[k]; k++)
			argv[n++] = program[k];
		for (size_t k = i; k < files.n && k < i + BATCH; k++)
			argv[n++] = files.v[k];
		argv[n] = NULL;
		r = proc_run(argv, NULL, NULL, err);
	}
	return r;
}

/* A module signature is a block behind the ELF file: data, `struct module_signature` (12 bytes, the
 * data's length big-endian in the last four) and a mark. */
static int drop_signature(const char *path, struct err *err)
{
	enum { MARK = sizeof(SIGNATURE_MARK) - 1, INFO = 12 };
	uint8_t tail[INFO + MARK];
	struct stat st;

	AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open '%s'", path);
	if (st.st_size <= (off_t)sizeof(tail))
		return 0;
	if (pread(fd, tail, sizeof(tail), st.st_size - (off_t)sizeof(tail)) != sizeof(tail))
		return err_sys(err, "read '%s'", path);
	if (memcmp(tail + INFO, SIGNATURE_MARK, MARK) != 0)
		return 0;
	const uint8_t *be = tail + INFO - 4;
	off_t len = (off_t)be[0] << 24 | (off_t)be[1] << 16 | (off_t)be[2] << 8 | (off_t)be[3];
	if (len > st.st_size - (off_t)sizeof(tail))
		return err_set(err, EINVAL, "module '%s' is damaged", path);
	if (ftruncate(fd, st.st_size - (off_t)sizeof(tail) - len) < 0)
		return err_sys(err, "cut '%s'", path);
	return 0;
}

static int drop_signatures(const char *dir, struct err *err)
{
	AUTO_STRV struct strv files = {0};

	int r = files_ending(dir, ".ko", &files, err);
	for (size_t i = 0; i < files.n && r == 0; i++)
		r = drop_signature(files.v[i], err);
	return r;
}

static int bring(const char *from, bool own, const char *to, struct err *err)
{
	if (own)
		return rename(from, to) < 0 ? err_sys(err, "move '%s' to '%s'", from, to) : 0;
	const char *const copy[] = {"cp", "-a", "--reflink=auto", "--", from, to, NULL};
	return proc_run(copy, NULL, NULL, err);
}

int kernel_tree(const char *dir, const char *release, const char *from, bool own, struct err *err)
{
	static const char *const xz[] = {"xz", "-d", "-q", NULL};
	static const char *const zstd[] = {"zstd", "-d", "-q", "-f", "--rm", NULL};
	static const char *const gzip[] = {"gzip", "-d", "-q", NULL};
	static const char *const links[] = {"build", "source"}; /* of the machine it was built on */
	AUTO_FREE char *parent = path_join(dir, "lib/modules");
	AUTO_FREE char *tree = parent ? path_join(parent, release) : NULL;

	if (!tree)
		return err_set(err, ENOMEM, "out of memory");
	int r = path_mkdir_all(AT_FDCWD, parent, 0755, err);
	if (r == 0)
		r = bring(from, own, tree, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		AUTO_FREE char *link = path_join(tree, links[i]);
		if (link)
			(void)unlink(link);
	}
	r = decompress(tree, ".ko.xz", xz, err);
	if (r == 0)
		r = decompress(tree, ".ko.zst", zstd, err);
	if (r == 0)
		r = decompress(tree, ".ko.gz", gzip, err);
	if (r == 0)
		r = drop_signatures(tree, err);
	if (r < 0)
		return r;
	const char *const depmod[] = {"depmod", "-b", dir, release, NULL};
	return proc_run(depmod, NULL, NULL, err);
}
