/* SPDX-License-Identifier: Apache-2.0 */
#include "image/gunzip.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { ROOM = 256 << 10 };

struct gunzip {
	struct inflate_state state;
	bool ended, first; /* a member has; none has */
	bool other; /* which room is filled next */
	uint8_t rooms[2][ROOM];
};

static void begin_member(struct gunzip *g)
{
	isal_inflate_reset(&g->state);
	g->state.crc_flag = ISAL_GZIP; /* header and trailer are its own, both checked */
	g->ended = false;
}

int gunzip_new(struct gunzip **ret, struct err *err)
{
	struct gunzip *g = calloc(1, sizeof(*g));

	if (!g)
		return err_set(err, ENOMEM, "out of memory");
	isal_inflate_init(&g->state);
	begin_member(g);
	g->first = true;
	*ret = g;
	return 0;
}

void gunzip_free(struct gunzip *g)
{
	free(g);
}

void gunzip_feed(struct gunzip *g, const void *bytes, size_t n)
{
	union {
		const void *in;
		uint8_t *out;
	} input = {.in = bytes}; /* which ISA-L only reads */

	g->state.next_in = input.out;
	g->state.avail_in = (uint32_t)n;
}

size_t gunzip_left(const struct gunzip *g)
{
	return g->state.avail_in;
}

static int failed(const struct gunzip *g, int code, struct err *err)
{
	bool header = code == ISAL_INVALID_WRAPPER || code == ISAL_UNSUPPORTED_METHOD;

	if (header && !g->first)
		return err_set(err, EINVAL, "bytes behind the end of the compressed archive");
	return err_set(err, EINVAL, "unpack the archive: %s",
		       code == ISAL_INCORRECT_CHECKSUM ? "its checksum is wrong" : "damaged gzip");
}

int gunzip_step(struct gunzip *g, const void **ret, size_t *ret_n, struct err *err)
{
	if (g->ended) {
		if (g->state.avail_in == 0)
			return GUNZIP_MEMBER;
		g->first = false;
		begin_member(g);
	}
	uint8_t *room = g->rooms[g->other];
	g->state.next_out = room;
	g->state.avail_out = ROOM;
	int code = isal_inflate(&g->state);
	if (code < 0)
		return failed(g, code, err);
	g->ended = g->state.block_state == ISAL_BLOCK_FINISH;
	*ret = room;
	*ret_n = ROOM - g->state.avail_out;
	g->other ^= *ret_n > 0;
	return *ret_n > 0 ? GUNZIP_MADE : g->ended ? GUNZIP_MEMBER : GUNZIP_HUNGRY;
}
