/* SPDX-License-Identifier: Apache-2.0 */
/* Isolation by a kernel of its own. The only header of machine/ that others include. */
#pragma once

#include "machine/kernel.h" /* the store's kernels are part of the door */
