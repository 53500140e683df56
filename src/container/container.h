/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Isolation by this kernel: carries out a plan with namespaces, cgroups, capabilities and seccomp.
 * Everything a user needs is the table of operations; the rules of proto/isolation.h hold.
 *
 * The process that drives it (keeper or agent) has one thread, leaves SIGCHLD at its default and
 * reaps none of the children it did not start itself (no waitpid(-1)).
 *
 * Beyond what the plan says, a workload always gets /proc, /dev with its usual nodes, /dev/pts,
 * /dev/shm, /dev/mqueue, /sys and /sys/fs/cgroup (the latter two read-only), and a device cgroup
 * that denies all but those nodes; a privileged one gets them writable, and every device.
 */
#pragma once

#include "base/attr.h"
#include "proto/isolation.h"

struct err;

extern const struct isolation_ops container_isolation;

/*
 * Moves the calling process (a keeper, before it creates anything) out of its caller's cgroup,
 * where a service manager would end it with the caller's session, into hull/keepers of the v2 tree
 * and of v1's systemd tree: one leaf for all keepers, so that none has a folder to clean up behind
 * itself. Does nothing where no manager has put the process anywhere.
 */
int container_place_keeper(struct err *err) HULL_MUST_CHECK;
