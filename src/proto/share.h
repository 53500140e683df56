/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a monitor asks hull-share itself, on the socket that the guest's FUSE messages go over and
 * under the same headers, by opcodes that FUSE does not have. A guest's message with one of them is
 * never handed on. The answer to a failure has behind its header the text that tells why.
 */
#pragma once

#include <stdint.h>

enum share_opcode {
	SHARE_OPCODES = 0x70000000, /* from here on none is a guest's */
	SHARE_SAVE, /* comes with one file, which becomes the share's state */
	SHARE_STATE, /* which state was it made from? Before anything else is asked */
};

enum {
	SHARE_WHY_MAX = 512, /* bytes of the text */
	SHARE_PATIENCE_MS = 10000, /* the share's, for what it was sent before */
};

/* Several threads receive: what was sent before this may be in another's hands still. */
struct share_save_in {
	uint64_t sent; /* messages before this one, since the socket was made */
};

/* The answer to both. */
struct share_state_out {
	uint32_t checksum; /* of the state that was written, or that it was made from */
};
