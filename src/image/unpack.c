/* SPDX-License-Identifier: Apache-2.0 */
#include "image/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"
#include "image/image_priv.h"

enum { FILES_MAX = 8192, LINKS_MAX = 8, BLOCK = 1 << 16, OUTER_BITS = 38 /* 256 GiB */ };

static void reader_free(struct archive *a)
{
	(void)archive_read_free(a);
}

DEFINE_AUTO(struct archive, reader_free)

static int reader_fail(struct archive *a, struct err *err)
{
	const char *why = archive_error_string(a);

	return err_set(err, EINVAL, "not a sound archive: %.200s", why ? why : "unknown reason");
}

static int reader_new(int fd, struct archive **ret, struct err *err)
{
	AUTO(auto_reader_free) struct archive *a = archive_read_new();

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	if (archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(a) != ARCHIVE_OK ||
	    archive_read_support_format_tar(a) != ARCHIVE_OK ||
	    archive_read_open_fd(a, fd, BLOCK) != ARCHIVE_OK)
		return reader_fail(a, err);
	*ret = TAKE_PTR(a);
	return 0;
}

/* The next entry and its name without "./" in front: 1, 0 at the end. */
static int next_entry(struct archive *a, struct archive_entry **ret, const char **ret_name,
		      struct err *err)
{
	int r = archive_read_next_header(a, ret);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK)
		return reader_fail(a, err);
	const char *name = archive_entry_pathname(*ret);
	if (!name)
		return err_set(err, EINVAL, "the archive holds a name that is not UTF-8");
	while (str_prefix(name, "./", &name))
		;
	*ret_name = name;
	return 1;
}

/* How many characters of s are hex digits. */
static size_t hex_len(const char *s)
{
	return strspn(s, "0123456789abcdef");
}

/* Whether an image archive has such a name at its top; a root file system has not. */
static bool is_archive_name(const char *name)
{
	static const char *const known[] = {"oci-layout", "index.json", "manifest.json",
					    "repositories", NULL};
	static const char *const endings[] = {"", "/", ".json", ".tar", ".tar.gz", NULL};

	if (str_in(name, known) || str_prefix(name, "blobs/", NULL) || strcmp(name, "blobs") == 0)
		return true;
	size_t n = hex_len(name);
	return n == DIGEST_HEX && (str_in(name + n, endings) || name[n] == '/');
}

int unpack_look(int fd, struct err *err)
{
	AUTO(auto_reader_free) struct archive *a = NULL;
	struct err no_tar = ERR_INIT; /* let the reader of layers say what is wrong */
	bool layout = false, index = false, manifest = false;
	struct archive_entry *entry = NULL;
	const char *name = "";

	int r = reader_new(fd, &a, &no_tar);
	while (r >= 0 && (r = next_entry(a, &entry, &name, &no_tar)) > 0) {
		if (*name != '\0' && strcmp(name, ".") != 0 && !is_archive_name(name)) {
			layout = manifest = false;
			break;
		}
		layout |= strcmp(name, "oci-layout") == 0;
		index |= strcmp(name, "index.json") == 0;
		manifest |= strcmp(name, "manifest.json") == 0;
	}
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "rewind the archive");
	if (r < 0 && (layout || manifest))
		return err_set(err, no_tar.code, "%s", no_tar.msg);
	return layout && index ? UNPACK_OCI : manifest ? UNPACK_DOCKER : UNPACK_NONE;
}

static int find(const struct unpacked *files, const char *name)
{
	for (size_t i = 0; i < files->names.n; i++) {
		if (strcmp(files->names.v[i], name) == 0)
			return (int)i;
	}
	return -1;
}

int unpacked_find(const struct unpacked *files, const char *name, char ret[UNPACKED_NAME])
{
	for (int hops = 0; hops < LINKS_MAX; hops++) {
		int i = find(files, name);
		if (i < 0)
			return -1;
		if (files->links.v[i][0] == '\0') {
			(void)snprintf(ret, UNPACKED_NAME, "file.%d", i);
			return 0;
		}
		name = files->links.v[i];
	}
	return -1;
}

/* Where a link at `name` points, as a name in the archive; NULL when it leads out of it. The caller
 * frees. */
static char *link_target(const char *name, const char *target)
{
	const char *slash = strrchr(name, '/');
	size_t base = slash ? (size_t)(slash - name) : 0;

	if (target[0] == '/') {
		target++;
		base = 0;
	}
	while (str_prefix(target, "../", &target)) {
		const char *up = base > 0 ? memrchr(name, '/', base) : NULL;
		if (base == 0)
			return NULL;
		base = up ? (size_t)(up - name) : 0;
	}
	char *path = NULL;
	if (asprintf(&path, "%.*s%s%s", (int)base, name, base ? "/" : "", target) < 0)
		return NULL;
	if (path_is_clean(path, true))
		return path;
	free(path);
	return NULL;
}

/* Appends a name to the table. */
static int add(struct unpacked *files, const char *name, const char *link, struct err *err)
{
	if (!path_is_clean(name, true) || strlen(name) > 255)
		return err_set(err, EINVAL, "the archive holds the name '%.100s'", name);
	if (find(files, name) >= 0)
		return err_set(err, EINVAL, "the archive holds '%.200s' twice", name);
	if (files->names.n >= FILES_MAX)
		return err_set(err, E2BIG, "the archive holds more than %d files", FILES_MAX);
	AUTO_FREE char *target = link ? link_target(name, link) : NULL;
	if (link && !target)
		return err_set(err, EINVAL, "the archive's link '%.100s' leads out of it", name);
	int r = strv_add(&files->names, name, err);
	return r < 0 ? r : strv_add(&files->links, target ? target : "", err);
}

static int copy_data(struct archive *a, int work_fd, size_t number, uint64_t *left, struct err *err)
{
	static const char what[] = "a file of the archive";
	AUTO_FREE char *chunk = malloc(BLOCK);
	char name[32];
	la_ssize_t n;

	(void)snprintf(name, sizeof(name), "file.%zu", number);
	AUTO_CLOSE int fd = openat(work_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "create '%s'", name);
	if (!chunk)
		return err_set(err, ENOMEM, "out of memory");
	while ((n = archive_read_data(a, chunk, BLOCK)) > 0) {
		if ((uint64_t)n > *left)
			return err_set(err, EFBIG, "the archive is too large");
		*left -= (uint64_t)n;
		int r = write_all(fd, chunk, (size_t)n, what, err);
		if (r < 0)
			return r;
	}
	return n < 0 ? reader_fail(a, err) : 0;
}

static int unpack_one(struct archive *a, struct archive_entry *entry, const char *name, int work_fd,
		      struct unpacked *files, uint64_t *left, struct err *err)
{
	const char *hard = archive_entry_hardlink(entry);
	mode_t type = archive_entry_filetype(entry);

	if (hard) {
		while (str_prefix(hard, "./", &hard))
			;
		/* From the archive's root, where a symbolic link's target is from its folder. */
		AUTO_FREE char *target = NULL;
		int r = asprintf(&target, "/%s", hard) < 0 ? -ENOMEM : 0;
		if (r < 0)
			target = NULL;
		return r < 0 ? err_set(err, ENOMEM, "out of memory")
			     : add(files, name, target, err);
	}
	if (type == AE_IFDIR)
		return 0;
	if (type == AE_IFLNK) {
		const char *target = archive_entry_symlink(entry);
		return add(files, name, target ? target : "", err);
	}
	if (type != AE_IFREG)
		return err_set(err, EINVAL, "the archive's '%.100s' is not a regular file", name);
	size_t number = files->names.n;
	int r = add(files, name, NULL, err);
	return r < 0 ? r : copy_data(a, work_fd, number, left, err);
}

int unpack_all(int fd, int work_fd, struct unpacked *ret, struct err *err)
{
	AUTO(auto_reader_free) struct archive *a = NULL;
	struct unpacked files = {0};
	struct archive_entry *entry = NULL;
	uint64_t left = UINT64_C(1) << OUTER_BITS;
	const char *name = "";

	int r = reader_new(fd, &a, err);
	while (r >= 0 && (r = next_entry(a, &entry, &name, err)) > 0)
		r = unpack_one(a, entry, name, work_fd, &files, &left, err);
	if (r < 0) {
		unpacked_done(&files);
		return r;
	}
	*ret = files;
	return 0;
}

void unpacked_done(struct unpacked *files)
{
	strv_done(&files->names);
	strv_done(&files->links);
}
