/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tree_hash.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "image/tree.h"

enum { FIRST_BUCKETS = 1024 };

int tree_hash_init(struct tree_hash *h, struct err *err)
{
	*h = (struct tree_hash){.n_buckets = FIRST_BUCKETS};
	if (getrandom(h->key, sizeof(h->key), 0) != (ssize_t)sizeof(h->key))
		return err_sys(err, "random bytes");
	h->buckets = calloc(h->n_buckets, sizeof(struct dent *));
	return h->buckets ? 0 : err_set(err, ENOMEM, "out of memory");
}

void tree_hash_done(struct tree_hash *h)
{
	free(h->buckets);
	*h = (struct tree_hash){0};
}

static uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 of the folder's address and the name. */
static uint64_t hash(const struct tree_hash *h, const struct inode *parent, const char *name,
		     size_t len)
{
	uint64_t v[4] = {h->key[0] ^ 0x736f6d6570736575, h->key[1] ^ 0x646f72616e646f6d,
			 h->key[0] ^ 0x6c7967656e657261, h->key[1] ^ 0x7465646279746573};
	uint64_t word = (uintptr_t)parent;

	for (size_t at = 0;; at += 8) {
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
		if (at > len)
			break;
		word = 0;
		memcpy(&word, name + at, len - at < 8 ? len - at : 8);
		if (len - at < 8)
			word |= (uint64_t)len << 56;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct dent **bucket_of(const struct tree_hash *h, const struct inode *parent,
			       const char *name, size_t len)
{
	return &h->buckets[hash(h, parent, name, len) & (h->n_buckets - 1)];
}

struct dent *tree_hash_find(const struct tree_hash *h, const struct inode *parent, const char *name,
			    size_t len)
{
	struct dent *d = *bucket_of(h, parent, name, len);

	while (d && (d->parent != parent || d->name_len != len || memcmp(d->name, name, len) != 0))
		d = d->hash_next;
	return d;
}

/* Twice the buckets; keeps the old ones when there is no memory for that. */
static void grow(struct tree_hash *h)
{
	struct tree_hash more = *h;

	more.n_buckets *= 2;
	more.buckets = calloc(more.n_buckets, sizeof(struct dent *));
	if (!more.buckets)
		return;
	for (size_t i = 0; i < h->n_buckets; i++) {
		for (struct dent *d = h->buckets[i], *next; d; d = next) {
			next = d->hash_next;
			struct dent **to = bucket_of(&more, d->parent, d->name, d->name_len);
			d->hash_next = *to;
			*to = d;
		}
	}
	free(h->buckets);
	*h = more;
}

void tree_hash_add(struct tree_hash *h, struct dent *d)
{
	if (h->count >= h->n_buckets)
		grow(h);
	struct dent **to = bucket_of(h, d->parent, d->name, d->name_len);
	d->hash_next = *to;
	*to = d;
	h->count++;
}
