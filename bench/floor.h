/* SPDX-License-Identifier: Apache-2.0 */
/* What floor.c and floor_cgroup.c share. Whatever fails ends the process. */
#pragma once

/* Ends it when r is negative. */
void must(long r, const char *what);

/* The cgroups of one container: made by the parent, entered by the child (v1; v2 by the clone),
 * mounted in the new root, removed by the parent. */
void cgroups_make(void);
void cgroups_enter(void);
void cgroups_mount(void);
void cgroups_remove(void);

/* v2's folder for the clone, or -1. */
int cgroups_folder(void);
