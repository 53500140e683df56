/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzzer's bytes as frames that get past the first checks: a greeting in front, and in each frame
 * the sequence that is due and a length that fits. What the frames say stays the fuzzer's.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "proto/channel.h"

static inline void frames_put(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline void frames_hello(struct buf *to)
{
	uint8_t hello[FRAME_HEADER + 24] = {24, 0, 0, 0, FRAME_HELLO};

	memcpy(hello + FRAME_HEADER, "hull\1", 5);
	buf_add(to, hello, sizeof(hello));
}

/* Each frame is made of: u8 type, u8 process, u16 flags, u16 length, payload. */
static inline void frames_from(struct buf *to, const uint8_t *data, size_t n)
{
	frames_hello(to);
	for (uint64_t sequence = 1; n >= 6; sequence++) {
		uint8_t header[FRAME_HEADER] = {0};
		size_t len = (size_t)data[4] | (size_t)data[5] << 8;
		len = len < n - 6 ? len : n - 6;
		frames_put(header, len, 4);
		header[4] = data[0];
		header[6] = data[2];
		header[7] = data[3];
		header[8] = 1; /* workload */
		header[12] = data[1];
		frames_put(header + 16, sequence, 8);
		buf_add(to, header, sizeof(header));
		buf_add(to, data + 6, len);
		data += 6 + len;
		n -= 6 + len;
	}
}
