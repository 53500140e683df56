/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workload's root file system as a detached mount, made in the caller's mount namespace: its
 * layers (mounted once per store, left mounted as a cache), and one overlay on top.
 */
#pragma once

#include "base/attr.h"

struct err;
struct plan_root;

/*
 * Makes the root. layers_fd is the folder that holds the mounted layers by name; scratch_fd a
 * folder of the workload's own that older kernels need to mount on for a moment. Returns the
 * detached mount; whoever attaches it closes it in every process, else its overlay outlives the
 * workload.
 */
int root_new(const struct plan_root *root, int layers_fd, int scratch_fd, struct err *err)
	HULL_MUST_CHECK;
