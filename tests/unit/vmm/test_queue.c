/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "rig.h"

#include "base/err.h"

static void enable(struct queue *q, const struct gmem *mem, bool event_idx)
{
	*q = (struct queue){.size = RIG_SIZE,
			    .desc_at = RIG_RINGS,
			    .avail_at = RIG_RINGS + 0x1000,
			    .used_at = RIG_RINGS + 0x2000};
	queue_enable(q, mem, event_idx);
}

TEST(a_chain_comes_as_it_was_described)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct rig_queue g = rig_queue(mem, 0);
	struct queue q;
	struct chain c;
	char text[16] = "";

	enable(&q, mem, false);
	EXPECT(q.ready);
	EXPECT_EQ(queue_pop(&q, &c), QUEUE_EMPTY);
	memcpy(rig_at(mem, RIG_DATA), "hello ", 6);
	memcpy(rig_at(mem, RIG_DATA + 0x1000), "guest", 5);
	rig_buffer(&g, RIG_DATA, 6, false, true);
	rig_buffer(&g, RIG_DATA + 0x1000, 5, false, true);
	rig_buffer(&g, RIG_DATA + 0x2000, 32, true, false);
	rig_offer(&g, 0);
	EXPECT_EQ(queue_pop(&q, &c), QUEUE_CHAIN);
	EXPECT_EQ(c.n_out, 2);
	EXPECT_EQ(c.n_in, 1);
	EXPECT_EQ(c.out_bytes, 11);
	EXPECT_EQ(c.in_bytes, 32);
	EXPECT_EQ(chain_read(&c, 3, text, sizeof(text)), 8);
	EXPECT_STR(text, "lo guest");
	EXPECT_EQ(chain_write(&c, 2, "host", 5), 5);
	EXPECT_STR((const char *)rig_at(mem, RIG_DATA + 0x2002), "host");
	queue_push(&q, c.head, 7);
	uint32_t len = 0;
	EXPECT_EQ(rig_used(&g, &len), 1);
	EXPECT_EQ(len, 7);
	EXPECT_EQ(queue_pop(&q, &c), QUEUE_EMPTY);
}

TEST(indirect_tables_are_followed)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct rig_queue g = rig_queue(mem, 0);
	struct vring_desc *table = rig_at(mem, RIG_DATA);
	struct queue q;
	struct chain c;

	enable(&q, mem, false);
	for (uint16_t i = 0; i < 40; i++) /* more than the queue has entries */
		table[i] = (struct vring_desc){RIG_DATA + 0x1000 + i * 16U, 16,
					       (i >= 20 ? VRING_DESC_F_WRITE : 0) |
						       (i < 39 ? VRING_DESC_F_NEXT : 0),
					       (uint16_t)(i + 1)};
	g.desc[3] = (struct vring_desc){RIG_DATA, 40 * sizeof(table[0]), VRING_DESC_F_INDIRECT, 0};
	rig_offer(&g, 3);
	EXPECT_EQ(queue_pop(&q, &c), QUEUE_CHAIN);
	EXPECT_EQ(c.n_out, 20);
	EXPECT_EQ(c.n_in, 20);
	EXPECT_EQ(c.head, 3);
}

/* One descriptor of what follows breaks the queue, and it stays broken. */
static bool breaks(const struct gmem *mem, const struct vring_desc *first, size_t n)
{
	struct rig_queue g = rig_queue(mem, 0);
	struct queue q;
	struct chain c;

	enable(&q, mem, false);
	memcpy(g.desc, first, n * sizeof(*first));
	rig_offer(&g, 0);
	bool broke = queue_pop(&q, &c) < 0 && q.broken;
	rig_offer(&g, 0);
	return broke && queue_pop(&q, &c) == QUEUE_EMPTY && q.next_used == 0;
}

TEST(a_loop_of_descriptors_ends)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	const struct vring_desc self = {RIG_DATA, 1, VRING_DESC_F_NEXT, 0};
	const struct vring_desc two[] = {{RIG_DATA, 1, VRING_DESC_F_NEXT, 1},
					 {RIG_DATA, 1, VRING_DESC_F_NEXT, 0}};
	const struct vring_desc empty = {RIG_DATA, 0, VRING_DESC_F_NEXT, 0};

	EXPECT(breaks(mem, &self, 1));
	EXPECT(breaks(mem, two, 2));
	EXPECT(breaks(mem, &empty, 1));
}

TEST(addresses_outside_of_memory_break_the_queue)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	static const struct vring_desc bad[] = {
		{RIG_MEMORY, 1, 0, 0},
		{RIG_MEMORY - 4, 5, 0, 0},
		{RIG_DATA, UINT32_MAX, VRING_DESC_F_WRITE, 0},
		{UINT64_MAX, 1, 0, 0},
		{UINT64_MAX - 3, 8, VRING_DESC_F_WRITE, 0},
		{0xd0000000, 4, VRING_DESC_F_WRITE, 0}, /* a device's registers */
		{RIG_DATA, 1, VRING_DESC_F_NEXT, RIG_SIZE}, /* next one beyond the table */
		{RIG_DATA, 1, VRING_DESC_F_NEXT, UINT16_MAX},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT(breaks(mem, &bad[i], 1));
}

TEST(indirect_tables_of_odd_size_or_place_break_the_queue)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct vring_desc *table = rig_at(mem, RIG_DATA);
	static const struct vring_desc bad[] = {
		{RIG_DATA, 0, VRING_DESC_F_INDIRECT, 0},
		{RIG_DATA, 15, VRING_DESC_F_INDIRECT, 0},
		{RIG_DATA, 24, VRING_DESC_F_INDIRECT, 0},
		{RIG_DATA, 16 * (QUEUE_MAX + 1), VRING_DESC_F_INDIRECT, 0},
		{RIG_DATA + 8, 16, VRING_DESC_F_INDIRECT, 0},
		{RIG_MEMORY - 16, 32, VRING_DESC_F_INDIRECT, 0},
		{RIG_DATA, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1},
	};

	table[0] = (struct vring_desc){RIG_DATA + 0x1000, 1, 0, 0};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT(breaks(mem, &bad[i], 1));
	/* a table within a table */
	const struct vring_desc good = {RIG_DATA, 16, VRING_DESC_F_INDIRECT, 0};
	table[0] = (struct vring_desc){RIG_DATA + 0x1000, 16, VRING_DESC_F_INDIRECT, 0};
	EXPECT(breaks(mem, &good, 1));
	/* a loop in a table */
	table[0] = (struct vring_desc){RIG_DATA + 0x1000, 16, VRING_DESC_F_NEXT, 0};
	EXPECT(breaks(mem, &good, 1));
}

TEST(a_readable_buffer_behind_a_writable_one_breaks_the_queue)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	const struct vring_desc two[] = {{RIG_DATA, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1},
					 {RIG_DATA, 1, 0, 0}};

	EXPECT(breaks(mem, two, 2));
}

TEST(a_head_beyond_the_table_breaks_the_queue)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct rig_queue g = rig_queue(mem, 0);
	struct queue q;
	struct chain c;

	enable(&q, mem, false);
	rig_offer(&g, RIG_SIZE);
	EXPECT(queue_pop(&q, &c) < 0);
}

TEST(an_index_further_ahead_than_the_queue_is_long_breaks_it)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct rig_queue g = rig_queue(mem, 0);
	struct queue q;
	struct chain c;

	enable(&q, mem, false);
	g.avail[1] = RIG_SIZE + 1;
	EXPECT(queue_pop(&q, &c) < 0);
	EXPECT(!queue_rearm(&q));
}

TEST(sizes_and_places_that_cannot_be_do_not_enable_a_queue)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	static const struct queue bad[] = {
		{.size = 0, .desc_at = 0x1000, .avail_at = 0x2000, .used_at = 0x3000},
		{.size = 3, .desc_at = 0x1000, .avail_at = 0x2000, .used_at = 0x3000},
		{.size = 512, .desc_at = 0x1000, .avail_at = 0x2000, .used_at = 0x3000},
		{.size = UINT32_MAX, .desc_at = 0x1000, .avail_at = 0x2000, .used_at = 0x3000},
		{.size = 16, .desc_at = 0x1008, .avail_at = 0x2000, .used_at = 0x3000},
		{.size = 16, .desc_at = 0x1000, .avail_at = 0x2001, .used_at = 0x3000},
		{.size = 16, .desc_at = 0x1000, .avail_at = 0x2000, .used_at = 0x3002},
		{.size = 16, .desc_at = RIG_MEMORY - 240, .avail_at = 0x2000, .used_at = 0x3000},
		{.size = 16, .desc_at = 0x1000, .avail_at = RIG_MEMORY - 36, .used_at = 0x3000},
		{.size = 16, .desc_at = 0x1000, .avail_at = 0x2000, .used_at = RIG_MEMORY - 132},
		{.size = 16, .desc_at = UINT64_MAX - 15, .avail_at = 0x2000, .used_at = 0x3000},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct queue q = bad[i];
		struct chain c;
		queue_enable(&q, mem, true);
		EXPECT(!q.ready);
		EXPECT_EQ(queue_pop(&q, &c), QUEUE_EMPTY);
	}
}

TEST(a_chain_given_back_comes_again)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct rig_queue g = rig_queue(mem, 0);
	struct queue q;
	struct chain c;

	enable(&q, mem, false);
	rig_buffer(&g, RIG_DATA, 4, true, false);
	rig_offer(&g, 0);
	EXPECT_EQ(queue_pop(&q, &c), QUEUE_CHAIN);
	queue_unpop(&q);
	EXPECT_EQ(queue_pop(&q, &c), QUEUE_CHAIN);
	EXPECT_EQ(queue_pop(&q, &c), QUEUE_EMPTY);
}

TEST(the_guest_is_interrupted_as_it_asks)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct rig_queue g = rig_queue(mem, 0);
	struct queue q;

	enable(&q, mem, false);
	EXPECT(!queue_wants_interrupt(&q));
	queue_push(&q, 0, 0);
	EXPECT(queue_wants_interrupt(&q));
	EXPECT(!queue_wants_interrupt(&q));
	g.avail[0] = VRING_AVAIL_F_NO_INTERRUPT;
	queue_push(&q, 0, 0);
	EXPECT(!queue_wants_interrupt(&q));

	g = rig_queue(mem, 0);
	enable(&q, mem, true);
	g.avail[2 + RIG_SIZE] = 2; /* used_event: when the third is used */
	queue_push(&q, 0, 0);
	EXPECT(!queue_wants_interrupt(&q));
	queue_push(&q, 0, 0);
	EXPECT(!queue_wants_interrupt(&q));
	queue_push(&q, 0, 0);
	EXPECT(queue_wants_interrupt(&q));
	rig_offer(&g, 0);
	EXPECT(queue_rearm(&q));
	EXPECT_EQ(g.used[2 + 4 * RIG_SIZE], 0); /* avail_event */
}

/* --- a guest that changes what was read --- */

static atomic_bool done;

static void store(struct vring_desc *to, const struct vring_desc *d)
{
	__atomic_store_n(&to->addr, d->addr, __ATOMIC_RELAXED);
	__atomic_store_n(&to->len, d->len, __ATOMIC_RELAXED);
	__atomic_store_n(&to->flags, d->flags, __ATOMIC_RELAXED);
	__atomic_store_n(&to->next, d->next, __ATOMIC_RELAXED);
}

static void *change(void *ctx)
{
	struct vring_desc *desc = ctx;
	static const struct vring_desc good = {RIG_DATA, 16, VRING_DESC_F_NEXT, 1};
	static const struct vring_desc bad = {UINT64_MAX - 8, UINT32_MAX, VRING_DESC_F_INDIRECT, 9};

	while (!done) {
		store(desc, &good);
		store(desc, &bad);
	}
	return NULL;
}

TEST(descriptors_that_change_while_they_are_read_never_lead_outside)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct rig_queue g = rig_queue(mem, 0);
	pthread_t thread;
	struct chain c;
	bool inside = true;
	int chains = 0;

	g.desc[1] = (struct vring_desc){RIG_DATA, 16, VRING_DESC_F_WRITE, 0};
	uint8_t *low = rig_at(mem, 0);
	done = false;
	EXPECT_EQ(pthread_create(&thread, NULL, change, g.desc), 0);
	for (int i = 0; i < 200000; i++) {
		struct queue q;
		enable(&q, mem, false);
		g.avail[1] = 1;
		if (queue_pop(&q, &c) != QUEUE_CHAIN)
			continue;
		chains++;
		for (int k = 0; k < c.n_out + c.n_in; k++) {
			const uint8_t *at = c.iov[k].iov_base;
			inside &= at >= low && at < low + RIG_MEMORY &&
				  c.iov[k].iov_len <= (size_t)(low + RIG_MEMORY - at);
		}
	}
	done = true;
	(void)pthread_join(thread, NULL);
	EXPECT(inside);
	EXPECT(chains > 0);
}
