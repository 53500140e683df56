/* SPDX-License-Identifier: Apache-2.0 */
#include "base/state.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"

/* The checksum is of everything behind itself. */
struct header {
	char magic[STATE_MAGIC_LEN];
	uint32_t checksum;
	uint32_t version;
	uint64_t length; /* of all, this included */
};

struct part {
	uint32_t kind, number;
	uint64_t length; /* of what follows */
};

enum { CHECKED_FROM = offsetof(struct header, version) };

/* --- writing --- */

void state_begin(struct buf *b, const struct state_form *form)
{
	struct header h = {.version = htole32(form->version)};

	memcpy(h.magic, form->magic, sizeof(h.magic));
	buf_add(b, &h, sizeof(h));
}

size_t state_part(struct buf *b, uint32_t kind, uint32_t number)
{
	struct part p = {.kind = htole32(kind), .number = htole32(number)};
	size_t at = b->len;

	buf_add(b, &p, sizeof(p));
	return at;
}

/* A field of what has been written, `at` bytes from the beginning. */
static void fill(struct buf *b, size_t at, const void *bytes, size_t n)
{
	if (!b->bad)
		memcpy(b->data + at, bytes, n);
}

void state_end_part(struct buf *b, size_t at)
{
	uint64_t length = htole64(b->len - at - sizeof(struct part));

	fill(b, at + offsetof(struct part, length), &length, sizeof(length));
}

uint32_t state_seal(struct buf *b)
{
	uint64_t length = htole64(b->len);

	fill(b, offsetof(struct header, length), &length, sizeof(length));
	if (b->bad)
		return 0;
	uint32_t checksum = crc32c(b->data + CHECKED_FROM, b->len - CHECKED_FROM);
	uint32_t le = htole32(checksum);
	fill(b, offsetof(struct header, checksum), &le, sizeof(le));
	return checksum;
}

void state_put16(struct buf *b, uint16_t v)
{
	uint16_t le = htole16(v);

	buf_add(b, &le, sizeof(le));
}

void state_put_flag(struct buf *b, bool v)
{
	uint8_t byte = v;

	buf_add(b, &byte, sizeof(byte));
}

/* --- reading --- */

int state_open(struct state *ret, const struct state_form *form, const void *bytes, size_t n,
	       struct err *err)
{
	const uint8_t *at = bytes;
	struct header h;

	if (n < sizeof(h) || memcmp(bytes, form->magic, sizeof(h.magic)) != 0)
		return err_set(err, EINVAL, "this is no state of a %s", form->of);
	memcpy(&h, bytes, sizeof(h));
	if (le32toh(h.version) != form->version)
		return err_set(err, EINVAL, "the state has version %u, and %u is understood",
			       le32toh(h.version), form->version);
	if (le64toh(h.length) != n)
		return err_set(err, EINVAL, "the state is not whole: %zu of %ju bytes", n,
			       (uintmax_t)le64toh(h.length));
	if (le32toh(h.checksum) != crc32c(at + CHECKED_FROM, n - CHECKED_FROM))
		return err_set(err, EINVAL, "the state has been changed: its checksum is another");
	*ret = (struct state){at + sizeof(h), n - sizeof(h), le32toh(h.checksum)};
	return 0;
}

int state_next(struct state *s, uint32_t kind, uint32_t number, struct state_reader *ret,
	       struct err *err)
{
	struct part p;

	if (s->left < sizeof(p))
		return err_set(err, EINVAL, "the state ends where there should be more");
	memcpy(&p, s->at, sizeof(p));
	if (le32toh(p.kind) != kind || le32toh(p.number) != number)
		return err_set(err, EINVAL, "the state goes on with part %u/%u, not with %u/%u",
			       le32toh(p.kind), le32toh(p.number), kind, number);
	size_t left = s->left - sizeof(p);
	uint64_t length = le64toh(p.length);
	if (length > left)
		return err_set(err, EINVAL, "a part of the state is longer than the state");
	*ret = (struct state_reader){.at = s->at + sizeof(p), .left = length};
	s->at = ret->at + length;
	s->left = left - length;
	return 0;
}

int state_close(const struct state *s, struct err *err)
{
	return s->left > 0 ? err_set(err, EINVAL, "the state has more than belongs there") : 0;
}

const uint8_t *state_take_ref(struct state_reader *r, size_t n)
{
	const uint8_t *at = r->at;

	if (n > r->left) {
		r->left = 0;
		r->bad = true;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return at;
}

void state_take(struct state_reader *r, void *to, size_t n)
{
	const uint8_t *at = state_take_ref(r, n);

	if (at)
		memcpy(to, at, n);
	else
		memset(to, 0, n);
}

uint64_t state_take64(struct state_reader *r)
{
	uint64_t le;

	state_take(r, &le, sizeof(le));
	return le64toh(le);
}

uint32_t state_take32(struct state_reader *r)
{
	uint32_t le;

	state_take(r, &le, sizeof(le));
	return le32toh(le);
}

uint16_t state_take16(struct state_reader *r)
{
	uint16_t le;

	state_take(r, &le, sizeof(le));
	return le16toh(le);
}

bool state_take_flag(struct state_reader *r)
{
	uint8_t v;

	state_take(r, &v, sizeof(v));
	r->bad |= v > 1;
	return v == 1;
}

bool state_take_same(struct state_reader *r, const void *bytes, size_t n)
{
	const uint8_t *at = state_take_ref(r, n);

	return at && memcmp(at, bytes, n) == 0;
}

int state_taken(const struct state_reader *r, struct err *err)
{
	return r->bad || r->left > 0 ? err_set(err, EINVAL, "it does not hold what belongs there")
				     : 0;
}
