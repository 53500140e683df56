/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels of a store, each a folder ROOT/kernels/NAME, NAME being the release unless chosen:
 *
 *	kernel		what the machine starts: an ELF with PVH entry, else the bzImage as it came
 *	modules.erofs	the whole module tree, for /lib/modules inside; absent when there is none
 *	modules.cpio	the modules that reach the root, and the order to load them in
 *	initramfs-KEY	hull-agent as /init and modules.cpio; made anew when hull-agent changed
 *	info		"key=value" lines
 *
 * ROOT/kernels/default is a link to the one taken when none is named. A folder appears whole, by
 * rename.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

/* Of a kernel's folder, the info's "format": 2 brought the modules for virtio-mmio. */
enum { KERNEL_FORMAT = 3 };

/* One kernel of the store; release with kernel_done(). */
struct kernel {
	char *name; /* its release, unless one was chosen */
	char *path, *initramfs; /* what plan_machine wants; initramfs NULL in lists */
	char *modules; /* NULL: none */
	uint64_t size; /* bytes on disk */
	uint64_t image; /* bytes of memory that its own image takes */
	uint64_t need; /* bytes of machine memory that go to the kernel itself */
	bool is_default;
};

/* What to add: a file, or the distribution's package. */
struct kernel_source {
	bool distribution;
	const char *path; /* vmlinuz or vmlinux */
	const char *modules; /* folder like /lib/modules/RELEASE; NULL: that one when it exists */
	const char *name; /* NULL: its release; needed for a file that does not tell it */
};

/*
 * Adds a kernel by running the worker program hull-kernel, and says its name (the caller frees).
 * The first one becomes the default.
 */
int kernel_add(const char *root, const struct kernel_source *source, char **name, struct err *err)
	HULL_MUST_CHECK;

/* What to build a kernel from. */
struct kernel_plan {
	const char *source; /* a tree of Linux, or an archive of one; NULL: the distribution's */
	const char *config; /* a file with options on top of hull's own; NULL: none */
	const char *name; /* NULL: its release */
	unsigned jobs; /* compilers at a time */
	void (*say)(const char *line); /* called as the work goes on */
};

/*
 * Builds a kernel with all a machine needs built in, and nothing else, and adds it as kernel_add()
 * does. Meanwhile SIGINT, SIGTERM and SIGHUP, unless they are ignored, end the work and not this
 * program: then it fails with EINTR, and nothing is left.
 */
int kernel_build(const char *root, const struct kernel_plan *plan, char **name, struct err *err)
	HULL_MUST_CHECK;

/* All kernels by name; the caller releases them with kernel_list_free(). */
int kernel_list(const char *root, struct kernel **ret, size_t *n, struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void kernel_list_free(struct kernel *v, size_t n);

/*
 * The kernel `name`, or the default one for NULL, ready to be started: its initramfs holds the
 * hull-agent that stands beside this program. ENOENT with the next step in the message when there
 * is none.
 */
int kernel_find(const char *root, const char *name, struct kernel *ret, struct err *err)
	HULL_MUST_CHECK;

/*
 * The initramfs (*ret, the caller frees) and its size for the kernel in `folder`, with the
 * hull-agent of today; made when it is not there. For starting a workload that was created with an
 * older one. EINVAL when the folder is of another format: then the kernel has to be added anew.
 */
int kernel_initramfs(const char *folder, char **ret, uint64_t *ret_size, struct err *err)
	HULL_MUST_CHECK;

/* Frees what k owns; zeroed is fine. */
void kernel_done(struct kernel *k);

/* Removes a kernel; running machines keep what they have loaded. */
int kernel_remove(const char *root, const char *name, struct err *err) HULL_MUST_CHECK;

/* Makes `name` the default. */
int kernel_set_default(const char *root, const char *name, struct err *err) HULL_MUST_CHECK;

/* For AUTO(kernel_done). */
#define AUTO_KERNEL AUTO(kernel_done)
