/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "machine/cpio.h"
#include "machine/vmlinux.h"

enum { INFO_MAX = 4096, AGENT_MAX = 64 << 20, MODULES_CPIO_MAX = 256 << 20, KEY_TEXT = 17 };

void kernel_done(struct kernel *k)
{
	free(k->name);
	free(k->path);
	free(k->initramfs);
	free(k->modules);
	*k = (struct kernel){0};
}

static struct kernel kernel_take(struct kernel *k)
{
	struct kernel taken = *k;

	*k = (struct kernel){0};
	return taken;
}

void kernel_list_free(struct kernel *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kernel_done(&v[i]);
	free(v);
}

/* ROOT/kernels as a descriptor. ENOENT is told apart by callers: no kernel was ever added. */
static int open_store(const char *root, char **ret_path, struct err *err)
{
	AUTO_FREE char *path = path_join(root, "kernels");
	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open '%s'", path);
	*ret_path = TAKE_PTR(path);
	return fd;
}

static int check_name(const char *name, struct err *err)
{
	if (!kernel_release_ok(name) || strcmp(name, "default") == 0)
		return err_set(err, EINVAL, "'%.100s' is no kernel's name", name);
	return 0;
}

static int no_kernel(struct err *err)
{
	return err_set(err, ENOENT,
		       "no kernel for machines yet: add one with 'hull kernel add --distribution'");
}

/* The default's name (the caller frees), or NULL in *ret when there is none. */
static int read_default(int dir, char **ret, struct err *err)
{
	char text[KERNEL_RELEASE_MAX + 2];

	*ret = NULL;
	ssize_t n = readlinkat(dir, "default", text, sizeof(text) - 1);
	if (n < 0)
		return errno == ENOENT ? 0 : err_sys(err, "read the default kernel's link");
	text[n] = '\0';
	if (!kernel_release_ok(text))
		return err_set(err, EINVAL, "the default kernel's link is damaged");
	*ret = strdup(text);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* The number behind `key` in a kernel's info; 0 when it is missing. */
static uint64_t info_number(const char *info, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = info; line && *line;) {
		if (strncmp(line, key, n) == 0 && line[n] == '=')
			return strtoull(line + n + 1, NULL, 10);
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return 0;
}

/*
 * What a machine must have beyond its workload's memory. The kernel's image stays (only .init is
 * given back), the initramfs is there twice while it is unpacked, and a booted kernel with its
 * slabs, per-CPU areas and the agent takes a fixed part more. tests/integration/machine-boot.sh
 * proves the sum by starting the smallest machine.
 */
static uint64_t kernel_need(uint64_t image, uint64_t initramfs)
{
	enum { FIXED = 24 << 20 };

	uint64_t need = image + 2 * initramfs + FIXED;
	uint64_t mib = 1 << 20;
	return (need + mib - 1) / mib * mib;
}

static int join_to(char **ret, const char *dir, const char *name, struct err *err)
{
	*ret = path_join(dir, name);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static uint64_t folder_size(int fd)
{
	static const char *const files[] = {"kernel", "modules.erofs", "modules.cpio"};
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct stat st;
		if (fstatat(fd, files[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			sum += (uint64_t)st.st_size;
	}
	return sum;
}

/* Fills all but the initramfs of the kernel whose folder is fd. */
static int load(int fd, const char *store, const char *name, struct kernel *ret, struct err *err)
{
	AUTO_BUF struct buf info = BUF_INIT;
	AUTO_FREE char *dir = path_join(store, name);
	AUTO_KERNEL struct kernel k = {0};
	struct stat st;

	if (!dir)
		return err_set(err, ENOMEM, "out of memory");
	int r = file_read(fd, "info", INFO_MAX, &info, err);
	if (r < 0)
		return err_wrap(err, "kernel '%s' is damaged", name);
	k.name = strdup(name);
	if (!k.name)
		return err_set(err, ENOMEM, "out of memory");
	r = join_to(&k.path, dir, "kernel", err);
	if (r == 0 && fstatat(fd, "modules.erofs", &st, AT_SYMLINK_NOFOLLOW) == 0)
		r = join_to(&k.modules, dir, "modules.erofs", err);
	if (r < 0)
		return r;
	k.image = info_number(info.data, "image");
	k.need = kernel_need(k.image, 0);
	k.size = folder_size(fd);
	*ret = kernel_take(&k);
	return 0;
}

/* A name for one build of the agent: FNV-1a over what changes with each. Not meant against an
 * attacker: the agent and the store belong to the same root. */
static void agent_key(const struct stat *st, char key[KEY_TEXT])
{
	uint64_t parts[] = {(uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec,
			    (uint64_t)st->st_mtim.tv_nsec, (uint64_t)st->st_ino};
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (int byte = 0; byte < 8; byte++)
			h = (h ^ ((parts[i] >> (8 * byte)) & 0xff)) * 0x100000001b3;
	}
	(void)snprintf(key, KEY_TEXT, "%016" PRIx64, h);
}

/* Drops the initramfs files of agents that are no longer there. */
static void drop_older(int dir, const char *keep)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;

	if (!d) {
		auto_close(&copy);
		return;
	}
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (str_prefix(e->d_name, "initramfs-", NULL) && strcmp(e->d_name, keep) != 0 &&
		    !strchr(e->d_name, '~'))
			(void)unlinkat(dir, e->d_name, 0);
	}
	(void)closedir(d);
}

static int make_initramfs(int dir, const char *agent, const char *name, struct err *err)
{
	AUTO_BUF struct buf program = BUF_INIT;
	AUTO_BUF struct buf out = BUF_INIT;

	int r = file_read(AT_FDCWD, agent, AGENT_MAX, &program, err);
	if (r < 0)
		return r;
	cpio_dir(&out, "dev", 0755);
	cpio_file(&out, "init", 0755, program.data, program.len);
	r = file_read(dir, "modules.cpio", MODULES_CPIO_MAX, &out, err);
	if (r == 0)
		r = buf_check(&out, err);
	if (r == 0)
		r = file_replace(dir, name, out.data, out.len, 0644, err);
	if (r == 0)
		drop_older(dir, name);
	return r;
}

/* An initramfs made of another format's parts might not reach its root. */
static int check_format(int dir, const char *folder, struct err *err)
{
	AUTO_BUF struct buf info = BUF_INIT;
	int r = file_read(dir, "info", INFO_MAX, &info, err);

	if (r < 0)
		return err_wrap(err, "kernel '%s' is damaged", folder);
	if (info_number(info.data, "format") == KERNEL_FORMAT)
		return 0;
	return err_set(
		err, EINVAL,
		"kernel '%s' was added by another version of hull: remove it (hull kernel rm) "
		"and add it again",
		folder);
}

int kernel_initramfs(const char *folder, char **ret, uint64_t *ret_size, struct err *err)
{
	char file[32 + KEY_TEXT];
	char key[KEY_TEXT];
	AUTO_FREE char *agent = NULL;
	struct stat st;

	AUTO_CLOSE int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "kernel '%s'", folder);
	int r = check_format(dir, folder, err);
	if (r == 0)
		r = program_path("hull-agent", &agent, err);
	if (r < 0)
		return r;
	if (stat(agent, &st) < 0)
		return err_sys(err, "stat '%s'", agent);
	agent_key(&st, key);
	(void)snprintf(file, sizeof(file), "initramfs-%s", key);
	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		r = make_initramfs(dir, agent, file, err);
		if (r < 0)
			return err_wrap(err, "make the initramfs of kernel '%s'", folder);
		if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(err, "stat '%s'", file);
	}
	*ret_size = (uint64_t)st.st_size;
	return join_to(ret, folder, file, err);
}

/* Its initramfs, and with that what the kernel needs. */
static int refresh(const char *store, struct kernel *k, struct err *err)
{
	uint64_t size = 0;
	AUTO_FREE char *folder = path_join(store, k->name);

	if (!folder)
		return err_set(err, ENOMEM, "out of memory");
	int r = kernel_initramfs(folder, &k->initramfs, &size, err);
	if (r == 0)
		k->need = kernel_need(k->image, size);
	return r;
}

static int open_kernel(int dir, const char *name, struct err *err)
{
	int r = check_name(name, err);
	if (r < 0)
		return r;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ENOENT,
			       "no kernel '%s': 'hull kernel ls' names those there are", name);
	return fd < 0 ? err_sys(err, "open kernel '%s'", name) : fd;
}

int kernel_find(const char *root, const char *name, struct kernel *ret, struct err *err)
{
	struct err why = ERR_INIT;
	AUTO_FREE char *store = NULL;
	AUTO_FREE char *chosen = NULL;
	AUTO_KERNEL struct kernel k = {0};

	AUTO_CLOSE int dir = open_store(root, &store, &why);
	if (dir == -ENOENT)
		return no_kernel(err);
	if (dir < 0)
		return err_set(err, why.code, "%s", why.msg);
	int r = read_default(dir, &chosen, err);
	if (r < 0)
		return r;
	bool is_default = chosen && (!name || strcmp(name, chosen) == 0);
	if (!name && !chosen) {
		struct kernel *all = NULL;
		size_t n = 0;
		r = kernel_list(root, &all, &n, err);
		kernel_list_free(all, n);
		if (r < 0)
			return r;
		return n == 0 ? no_kernel(err)
			      : err_set(err, ENOENT,
					"no default kernel: choose one with 'hull kernel default NAME'");
	}
	AUTO_CLOSE int fd = open_kernel(dir, name ? name : chosen, err);
	if (fd < 0)
		return fd;
	r = load(fd, store, name ? name : chosen, &k, err);
	if (r == 0)
		r = refresh(store, &k, err);
	if (r < 0)
		return r;
	k.is_default = is_default;
	*ret = kernel_take(&k);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strverscmp(((const struct kernel *)a)->name, ((const struct kernel *)b)->name);
}

/* Adds the kernel `name` to the list, when it is one. */
static int list_add_kernel(int dir, const char *store, const char *name, struct kernel **v,
			   size_t *n, struct err *err)
{
	if (!kernel_release_ok(name) || strcmp(name, "default") == 0)
		return 0;
	AUTO_CLOSE int fd = open_kernel(dir, name, err);
	if (fd < 0)
		return fd;
	struct kernel *more = reallocarray(*v, *n + 1, sizeof(**v));
	if (!more)
		return err_set(err, ENOMEM, "out of memory");
	*v = more;
	int r = load(fd, store, name, &more[*n], err);
	*n += r == 0;
	return r;
}

int kernel_list(const char *root, struct kernel **ret, size_t *ret_n, struct err *err)
{
	struct err why = ERR_INIT;
	AUTO_FREE char *store = NULL;
	AUTO_FREE char *chosen = NULL;
	struct kernel *v = NULL;
	size_t n = 0;

	*ret = NULL;
	*ret_n = 0;
	AUTO_CLOSE int dir = open_store(root, &store, &why);
	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return err_set(err, why.code, "%s", why.msg);
	int r = read_default(dir, &chosen, err);
	DIR *d = r == 0 ? opendir(store) : NULL;
	if (r == 0 && !d)
		r = err_sys(err, "read '%s'", store);
	for (struct dirent *e = d ? readdir(d) : NULL; e && r == 0; e = readdir(d))
		r = list_add_kernel(dir, store, e->d_name, &v, &n, err);
	if (d)
		(void)closedir(d);
	if (r < 0) {
		kernel_list_free(v, n);
		return r;
	}
	for (size_t i = 0; i < n; i++)
		v[i].is_default = chosen && strcmp(v[i].name, chosen) == 0;
	if (n > 0)
		qsort(v, n, sizeof(*v), by_name);
	*ret = v;
	*ret_n = n;
	return 0;
}

int kernel_set_default(const char *root, const char *name, struct err *err)
{
	char tmp[32];
	struct err why = ERR_INIT;
	AUTO_FREE char *store = NULL;

	AUTO_CLOSE int dir = open_store(root, &store, &why);
	if (dir == -ENOENT)
		return no_kernel(err);
	if (dir < 0)
		return err_set(err, why.code, "%s", why.msg);
	AUTO_CLOSE int fd = open_kernel(dir, name, err);
	if (fd < 0)
		return fd;
	(void)snprintf(tmp, sizeof(tmp), ".default.%d", getpid());
	(void)unlinkat(dir, tmp, 0);
	if (symlinkat(name, dir, tmp) < 0)
		return err_sys(err, "make the default kernel's link");
	if (renameat(dir, tmp, dir, "default") < 0)
		return err_sys(err, "make the default kernel's link");
	return 0;
}

int kernel_remove(const char *root, const char *name, struct err *err)
{
	char gone[KERNEL_RELEASE_MAX + 32];
	struct err why = ERR_INIT;
	AUTO_FREE char *store = NULL;
	AUTO_FREE char *chosen = NULL;

	AUTO_CLOSE int dir = open_store(root, &store, &why);
	if (dir == -ENOENT)
		return err_set(err, ENOENT, "no kernel '%.100s'", name);
	if (dir < 0)
		return err_set(err, why.code, "%s", why.msg);
	AUTO_CLOSE int fd = open_kernel(dir, name, err);
	if (fd < 0)
		return fd;
	int r = read_default(dir, &chosen, err);
	if (r < 0)
		return r;
	if (chosen && strcmp(chosen, name) == 0 && unlinkat(dir, "default", 0) < 0)
		return err_sys(err, "remove the default kernel's link");
	/* One rename makes it absent as a whole; what a kill leaves of it begins with a dot and is
	 * in no list. */
	(void)snprintf(gone, sizeof(gone), ".gone.%s.%d", name, getpid());
	if (renameat(dir, name, dir, gone) < 0)
		return err_sys(err, "remove kernel '%s'", name);
	return path_remove_all(dir, gone, err);
}

int kernel_add(const char *root, const struct kernel_source *source, char **name, struct err *err)
{
	AUTO_FREE char *worker = NULL;
	AUTO_BUF struct buf out = BUF_INIT;

	int r = program_path("hull-kernel", &worker, err);
	if (r < 0)
		return r;
	const char *argv[] = {worker,
			      root,
			      source->distribution ? "" : source->path,
			      source->modules ? source->modules : "",
			      source->name ? source->name : "",
			      NULL};
	struct err why = ERR_INIT;
	r = proc_run(argv, NULL, &out, &why);
	if (r < 0) { /* the worker's own line is the error; who said it does not matter */
		const char *said = strstr(why.msg, "hull-kernel: ");
		return err_set(err, why.code, "%s", said ? said + 13 : why.msg);
	}
	out.data[strcspn(out.data, "\n")] = '\0';
	r = check_name(out.data, err);
	if (r < 0)
		return r;
	*name = buf_take(&out);
	return *name ? 0 : err_set(err, ENOMEM, "out of memory");
}
