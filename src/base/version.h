/* SPDX-License-Identifier: Apache-2.0 */
/* The version of all of hull's programs; the same as in meson.build. */
#pragma once

#define HULL_VERSION "0.1.0"
