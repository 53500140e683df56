/* SPDX-License-Identifier: Apache-2.0 */
/* The making of a kernel's folder, in the worker program hull-kernel: the parts of `hull kernel
 * add`. */
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
