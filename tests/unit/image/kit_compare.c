/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "kit.h"

/* Which inode of one tree is which of the other, for files with several names. */
struct pair {
	ino_t a, b;
};

struct comparison {
	struct pair pairs[1024];
	size_t n_pairs;
	int differences;
};

static bool differ(struct comparison *c, const char *path, const char *what)
{
	if (c->differences++ < 10)
		printf("# '%s' differs in %s\n", path, what);
	return false;
}

static bool same_links(struct comparison *c, const struct stat *a, const struct stat *b)
{
	for (size_t i = 0; i < c->n_pairs; i++) {
		if (c->pairs[i].a == a->st_ino || c->pairs[i].b == b->st_ino)
			return c->pairs[i].a == a->st_ino && c->pairs[i].b == b->st_ino;
	}
	if (c->n_pairs < sizeof(c->pairs) / sizeof(c->pairs[0]))
		c->pairs[c->n_pairs++] = (struct pair){a->st_ino, b->st_ino};
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static ssize_t sorted_xattrs(int fd, char *list, size_t size, char **names)
{
	char path[32];
	size_t n = 0;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t len = listxattr(path, list, size);
	for (char *name = list; len > 0 && name < list + len && n < 64; name += strlen(name) + 1)
		names[n++] = name;
	qsort(names, n, sizeof(char *), by_name);
	return (ssize_t)n;
}

static bool same_xattrs(int a, int b)
{
	static char list_a[65536], list_b[65536], value_a[65536], value_b[65536];
	char *names_a[64], *names_b[64], path[32];
	ssize_t n = sorted_xattrs(a, list_a, sizeof(list_a), names_a);

	if (n != sorted_xattrs(b, list_b, sizeof(list_b), names_b))
		return false;
	for (ssize_t i = 0; i < n; i++) {
		if (strcmp(names_a[i], names_b[i]) != 0)
			return false;
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", a);
		ssize_t len = getxattr(path, names_a[i], value_a, sizeof(value_a));
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", b);
		if (len < 0 || getxattr(path, names_a[i], value_b, sizeof(value_b)) != len ||
		    memcmp(value_a, value_b, (size_t)len) != 0)
			return false;
	}
	return true;
}

static bool same_content(int dir_a, int dir_b, const char *name, const struct stat *st)
{
	if (S_ISLNK(st->st_mode)) {
		char p[PATH_MAX], q[PATH_MAX];
		ssize_t n = readlinkat(dir_a, name, p, sizeof(p));
		return n >= 0 && readlinkat(dir_b, name, q, sizeof(q)) == n &&
		       memcmp(p, q, (size_t)n) == 0;
	}
	if (!S_ISREG(st->st_mode))
		return true;
	AUTO_CLOSE int a = openat(dir_a, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	AUTO_CLOSE int b = openat(dir_b, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return a >= 0 && b >= 0 && same_bytes(a, b);
}

static bool compare_folders(struct comparison *c, int a, int b, const char *path);

static bool compare_names(struct comparison *c, int dir_a, int dir_b, const char *name,
			  const char *path)
{
	struct stat x, y;
	AUTO_CLOSE int a = openat(dir_a, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	AUTO_CLOSE int b = openat(dir_b, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (a < 0 || b < 0 || fstat(a, &x) < 0 || fstat(b, &y) < 0)
		return differ(c, path, "being there");
	if (x.st_mode != y.st_mode)
		return differ(c, path, "mode");
	if (x.st_uid != y.st_uid || x.st_gid != y.st_gid)
		return differ(c, path, "owner");
	if (x.st_mtim.tv_sec != y.st_mtim.tv_sec || x.st_mtim.tv_nsec != y.st_mtim.tv_nsec)
		return differ(c, path, "time");
	if (x.st_rdev != y.st_rdev)
		return differ(c, path, "device");
	if (!S_ISDIR(x.st_mode) && (x.st_size != y.st_size || x.st_nlink != y.st_nlink))
		return differ(c, path, "size or links");
	if (!S_ISDIR(x.st_mode) && x.st_nlink > 1 && !same_links(c, &x, &y))
		return differ(c, path, "what it is linked to");
	if (!same_xattrs(a, b))
		return differ(c, path, "attributes");
	if (!same_content(dir_a, dir_b, name, &x))
		return differ(c, path, "content");
	if (!S_ISDIR(x.st_mode))
		return true;
	AUTO_CLOSE int sub_a = openat(dir_a, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int sub_b = openat(dir_b, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return compare_folders(c, sub_a, sub_b, path);
}

/* Names other than "." and ".."; *ret is sorted. */
static int names_of(int dirfd, struct dirent ***ret)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t n = 0, size = 0;

	*ret = NULL;
	for (struct dirent *d; dir && (d = readdir(dir));) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (n == size) {
			size = size ? size * 2 : 64;
			*ret = realloc(*ret, size * sizeof(struct dirent *));
		}
		(*ret)[n] = malloc(d->d_reclen);
		memcpy((*ret)[n++], d, d->d_reclen);
	}
	if (dir)
		(void)closedir(dir);
	return (int)n;
}

static int by_dirent(const void *a, const void *b)
{
	return strcmp((*(struct dirent *const *)a)->d_name, (*(struct dirent *const *)b)->d_name);
}

static bool compare_folders(struct comparison *c, int a, int b, const char *path)
{
	struct dirent **x, **y;
	int n = names_of(a, &x), m = names_of(b, &y);
	bool same = n == m;

	if (n > 0)
		qsort(x, (size_t)n, sizeof(struct dirent *), by_dirent);
	if (m > 0)
		qsort(y, (size_t)m, sizeof(struct dirent *), by_dirent);
	for (int i = 0; same && i < n; i++) {
		char sub[PATH_MAX];
		(void)snprintf(sub, sizeof(sub), "%s/%s", path, x[i]->d_name);
		same = strcmp(x[i]->d_name, y[i]->d_name) == 0;
		if (same)
			(void)compare_names(c, a, b, x[i]->d_name, sub);
	}
	for (int i = 0; i < n; i++)
		free(x[i]);
	for (int i = 0; i < m; i++)
		free(y[i]);
	free(x);
	free(y);
	return same ? true : differ(c, path, "names");
}

bool same_tree(int a, int b)
{
	struct comparison *c = calloc(1, sizeof(*c));
	bool same = c && compare_names(c, a, b, ".", ".") && c->differences == 0;

	free(c);
	return same;
}

bool holds(int dirfd, const char *path, const void *bytes, size_t n)
{
	AUTO_BUF struct buf got = BUF_INIT;
	AUTO_CLOSE int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char *to = buf_reserve(&got, n + 1);

	return fd >= 0 && to && read(fd, to, n + 1) == (ssize_t)n &&
	       (n == 0 || memcmp(to, bytes, n) == 0);
}
