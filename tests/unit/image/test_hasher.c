/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "image/digest.h"
#include "image/hasher.h"

enum { ALL = 3 << 20 };

/* By pieces of n bytes, each overwritten when it may be. */
static int hash(const char *text, size_t n, uint8_t ret[LAYER_DIGEST], struct err *err)
{
	AUTO(auto_hasher_free) struct hasher *h = NULL;
	AUTO_FREE char *piece = malloc(n);

	int r = piece ? hasher_new(&h, err) : err_set(err, ENOMEM, "out of memory");
	for (size_t at = 0; r == 0 && at < ALL; at += n) {
		size_t k = ALL - at < n ? ALL - at : n;
		memcpy(piece, text + at, k);
		r = hasher_add(h, piece, k, err);
		if (r == 0)
			r = hasher_wait(h, err);
		memset(piece, 'x', k);
	}
	return r == 0 ? hasher_end(h, ret, err) : r;
}

TEST(a_digest_beside_the_work_is_that_of_the_whole)
{
	static const size_t pieces[] = {ALL, 1 << 20, (64 << 10) + 1, 64 << 10, 1000};
	AUTO(auto_digest_free) struct digest *whole = NULL;
	AUTO_FREE char *text = malloc(ALL);
	uint8_t want[LAYER_DIGEST], got[LAYER_DIGEST];
	struct err err = ERR_INIT;

	EXPECT(text);
	for (size_t i = 0; i < ALL; i++)
		text[i] = (char)(i * 7 + i / 1000);
	EXPECT_EQ(digest_new(&whole, &err), 0);
	EXPECT_EQ(digest_add(whole, text, ALL, &err), 0);
	EXPECT_EQ(digest_end(whole, want, &err), 0);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		EXPECT_EQ(hash(text, pieces[i], got, &err), 0);
		EXPECT(memcmp(want, got, sizeof(want)) == 0);
	}
}

TEST(one_that_is_let_go_at_work_ends)
{
	AUTO_FREE char *text = calloc(1, ALL);
	struct hasher *h = NULL;
	struct err err = ERR_INIT;

	EXPECT(text);
	EXPECT_EQ(hasher_new(&h, &err), 0);
	EXPECT_EQ(hasher_add(h, text, ALL, &err), 0);
	hasher_free(h);
	hasher_free(NULL);
}
