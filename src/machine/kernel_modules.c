/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"
#include "machine/cpio.h"
#include "machine/kernel_make.h"
#include "machine/moddep.h"

enum { INDEX_MAX = 32 << 20, MODULE_MAX = 64 << 20, KERNEL_MAX = 512 << 20 };

/* What a machine's root is reached with, and what the agent loads once the workload runs. */
static const struct {
	const char *module;
	const char *why; /* NULL: nice to have */
	bool late;
} wanted[] = {
	/* first, being asked for by name at run time: no index knows that ext4 and erofs need one
	 */
	{"crc32c_generic", NULL},
	{"crc32c_intel", NULL},
	{"virtio_pci", "its devices"},
	{"virtio_mmio", NULL}, /* the same on KVM; every kernel of a distribution has it */
	{"virtio_blk", "its disks"},
	{"virtio_console", "the channel to the host"},
	{"erofs", "image layers"},
	{"overlay", "the workload's root"},
	{"ext4", "the writable disk"},
	{"virtio_net", NULL},
	{"virtio_rng", NULL},
	{"virtiofs", NULL},
	{"virtio_balloon", NULL, true},
	{"virtio_mem", NULL, true},
};

enum { N_WANTED = sizeof(wanted) / sizeof(wanted[0]) };

static int lacks(size_t i, const char *release, struct err *err)
{
	return err_set(
		err, EINVAL,
		"kernel '%s' has no %s, neither built in nor as a module: a machine needs it for %s",
		release, wanted[i].module, wanted[i].why);
}

/* Adds the files at the n paths, and their names as the file `index`. */
static int add_modules(int tree, char *const *paths, size_t n, const char *index, struct buf *cpio,
		       struct err *err)
{
	AUTO_BUF struct buf list = BUF_INIT;

	for (size_t i = 0; i < n; i++) {
		AUTO_BUF struct buf module = BUF_INIT;
		const char *base = strrchr(paths[i], '/');
		base = base ? base + 1 : paths[i];
		AUTO_FREE char *name = path_join("modules", base);
		if (!name)
			return err_set(err, ENOMEM, "out of memory");
		int r = file_read(tree, paths[i], MODULE_MAX, &module, err);
		if (r < 0)
			return r;
		cpio_file(cpio, name, 0644, module.data, module.len);
		buf_printf(&list, "%s\n", base);
	}
	cpio_file(cpio, index, 0644, list.data, list.len);
	return buf_check(&list, err);
}

static int order_of(const struct moddep *m, const char *release, bool late, struct strv *order,
		    struct err *err)
{
	for (size_t i = 0; i < N_WANTED; i++) {
		if (wanted[i].late != late)
			continue;
		if (wanted[i].why && moddep_has(m, wanted[i].module) == MODULE_ABSENT)
			return lacks(i, release, err);
		int r = moddep_order(m, wanted[i].module, order, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Without a module index: a driver that is built in has its name among the kernel's strings. */
static int check_builtin(int dirfd, const char *release, struct err *err)
{
	AUTO_BUF struct buf kernel = BUF_INIT;

	int r = file_read(dirfd, "kernel", KERNEL_MAX, &kernel, err);
	if (r < 0)
		return r;
	if (kernel.len < 4 || memcmp(kernel.data,
				     "\x7f"
				     "ELF",
				     4) != 0)
		return err_set(err, EINVAL,
			       "kernel '%s' cannot be looked into: give its modules folder too",
			       release);
	for (size_t i = 0; i < N_WANTED; i++) {
		char name[40];
		name[0] = '\0';
		(void)snprintf(name + 1, sizeof(name) - 1, "%s", wanted[i].module);
		size_t n = strlen(wanted[i].module) + 2;
		bool has = memmem(kernel.data, kernel.len, name, n) != NULL;
		char *low = strchr(name + 1, '_'); /* PCI drivers write themselves with a dash */
		if (low)
			*low = '-';
		if (wanted[i].why && !has && !memmem(kernel.data, kernel.len, name, n))
			return lacks(i, release, err);
	}
	return 0;
}

static int from_tree(int tree, const char *release, struct buf *cpio, struct err *err)
{
	AUTO_BUF struct buf dep = BUF_INIT;
	AUTO_BUF struct buf builtin = BUF_INIT;
	AUTO(auto_moddep_free) struct moddep *m = NULL;
	AUTO_STRV struct strv order = {0};

	int r = file_read(tree, "modules.dep", INDEX_MAX, &dep, err);
	if (r == 0 && faccessat(tree, "modules.builtin", F_OK, 0) == 0)
		r = file_read(tree, "modules.builtin", INDEX_MAX, &builtin, err);
	if (r == 0)
		r = moddep_parse(dep.data, dep.len, builtin.data, builtin.len, &m, err);
	if (r == 0)
		r = order_of(m, release, false, &order, err);
	size_t early = order.n;
	if (r == 0)
		r = order_of(m, release, true, &order, err);
	if (r == 0)
		r = add_modules(tree, order.v, early, "modules/order", cpio, err);
	return r < 0 ? r
		     : add_modules(tree, order.v + early, order.n - early, "modules/late", cpio,
				   err);
}

int kernel_modules_cpio(int dirfd, const char *dir, const char *release, struct err *err)
{
	AUTO_BUF struct buf cpio = BUF_INIT;
	int r;

	cpio_dir(&cpio, "modules", 0755);
	if (dir) {
		AUTO_FREE char *path = NULL;
		if (asprintf(&path, "%s/lib/modules/%s", dir, release) < 0)
			return err_set(err, ENOMEM, "out of memory");
		AUTO_CLOSE int tree = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = tree < 0 ? err_sys(err, "open '%s'", path)
			     : from_tree(tree, release, &cpio, err);
	} else {
		r = check_builtin(dirfd, release, err);
		cpio_file(&cpio, "modules/order", 0644, "", 0);
	}
	if (r < 0)
		return r;
	cpio_end(&cpio);
	r = buf_check(&cpio, err);
	return r < 0 ? r : file_replace(dirfd, "modules.cpio", cpio.data, cpio.len, 0644, err);
}
