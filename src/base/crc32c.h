/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli): finds damage, proves nothing against who means it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Of n bytes, begun with ones and not inverted at the end, as EROFS counts it. */
uint32_t crc32c(const void *bytes, size_t n);
