/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's module index as depmod(8) writes it: modules.dep names each module with all it
 * needs, modules.builtin what the kernel has without a file. Both come with kernels that people
 * hand in: every line is judged, a path that would leave the folder is refused.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct err;
struct moddep;
struct strv;

enum moddep_has { MODULE_ABSENT, MODULE_FILE, MODULE_BUILTIN };

/* Reads the texts of modules.dep and modules.builtin (n bytes each; builtin may be NULL). The
 * caller frees *ret. */
int moddep_parse(const char *dep, size_t n_dep, const char *builtin, size_t n_builtin,
		 struct moddep **ret, struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void moddep_free(struct moddep *m);

/* Whether the kernel has the module, by name ("virtio-rng" and "virtio_rng" are one). */
enum moddep_has moddep_has(const struct moddep *m, const char *name);

/*
 * Appends to *order the files to load for `name`, those it needs first, leaving out what is there
 * already. A module that is built in or absent adds nothing.
 */
int moddep_order(const struct moddep *m, const char *name, struct strv *order, struct err *err)
	HULL_MUST_CHECK;

DEFINE_AUTO(struct moddep, moddep_free)
