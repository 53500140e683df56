/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648 section 4), as HTTP's basic scheme and the files of credentials have it. */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct buf;
struct err;

/* Appends n bytes as base64. */
void base64_encode(struct buf *to, const void *bytes, size_t n);

/* Appends what text holds; EINVAL for anything but whole, padded base64. */
int base64_decode(struct buf *to, const char *text, struct err *err) HULL_MUST_CHECK;
