/* SPDX-License-Identifier: Apache-2.0 */
/* The making of a kernel's folder, in the worker program hull-kernel: the parts of `hull kernel
 * add` and `hull kernel build`. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;
struct kernel_image;

/*
 * Downloads the distribution's cloud kernel package with apt-get below the folder `dir` and unpacks
 * it there. *path: its vmlinuz, *modules: its module folder, both owned by the caller. When the
 * host's package lists are missing, fresh ones are fetched into `dir`: the host's apt stays as it
 * is.
 */
int kernel_fetch(const char *dir, char **path, char **modules, struct err *err) HULL_MUST_CHECK;

/* Likewise the package of the kernel's source: *archive, owned by the caller, is the path of what
 * it holds. */
int kernel_fetch_source(const char *dir, char **archive, struct err *err) HULL_MUST_CHECK;

/* What a kernel is built from; "" for what was not given. */
struct kernel_recipe {
	const char *source; /* a tree or an archive of one; "": the distribution's package */
	const char *config; /* options that come on top of hull's own */
	const char *jobs; /* a number, for make */
};

/*
 * Gets the source and configures it, in the folder `dir`: *release, owned by the caller, is what
 * the kernel will call itself. Says on standard output what it is about ("step TEXT"), and some
 * failures ("error TEXT") earlier than by *err: the first one counts.
 */
int kernel_configure(const char *dir, const struct kernel_recipe *recipe, char **release,
		     struct err *err) HULL_MUST_CHECK;

/* Compiles what was configured in `dir`; *path, owned by the caller, is the ELF. Output likewise.
 */
int kernel_compile(const char *dir, const struct kernel_recipe *recipe, char **path,
		   struct err *err) HULL_MUST_CHECK;

/*
 * From now on SIGINT, SIGTERM and SIGHUP end the programs that are started, and the functions above
 * fail with EINTR. The caller leads a process group of its own.
 */
void kernel_stoppable(void);

/* Waits until no program is left that could still write below `dir`. Whether a signal stopped them.
 */
bool kernel_settle(void);

/*
 * Makes in `dir` a module tree lib/modules/RELEASE out of the folder `from` (moved when `own`, else
 * copied): modules decompressed, without signatures, with depmod's index.
 */
int kernel_tree(const char *dir, const char *release, const char *from, bool own, struct err *err)
	HULL_MUST_CHECK;

/*
 * Writes modules.cpio into the open folder dirfd: what a machine with kernel `release` needs to
 * reach its root, out of the tree that kernel_tree() made in `dir`. Without a tree (dir NULL) all
 * must be built in. Says which driver is missing.
 */
int kernel_modules_cpio(int dirfd, const char *dir, const char *release, struct err *err)
	HULL_MUST_CHECK;

/*
 * Writes the file `kernel` into the open folder dirfd: the file open as fd and described by *image,
 * unpacked to an ELF where the program for that is there. *image then describes what was written.
 */
int kernel_unpack(int dirfd, int fd, struct kernel_image *image, struct err *err) HULL_MUST_CHECK;
