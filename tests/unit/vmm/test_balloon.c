/* SPDX-License-Identifier: Apache-2.0 */
/* That a page has gone back to the host is seen by its zeros. */
#include "../test.h"

#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

#include "rig.h"

#include "base/err.h"
#include "vmm/balloon.h"

enum { INFLATE, DEFLATE, REPORT, QUEUES, PAGE = 4096, PAGES = RIG_MEMORY / PAGE };

enum {
	NUM_PAGES = VIRTIO_MMIO_CONFIG + offsetof(struct virtio_balloon_config, num_pages),
	ACTUAL = VIRTIO_MMIO_CONFIG + offsetof(struct virtio_balloon_config, actual),
};

/* Where the numbers of pages are written, behind pages that are filled. */
#define NUMBERS (RIG_DATA + 64 * PAGE)

struct kit {
	struct gmem *mem;
	struct balloon balloon;
	struct rig_queue g[QUEUES];
};

static void kit_init(struct kit *k)
{
	struct err err = ERR_INIT;

	*k = (struct kit){.mem = rig_memory()};
	if (balloon_init(&k->balloon, k->mem, &err) < 0)
		abort();
	for (unsigned i = 0; i < QUEUES; i++)
		k->g[i] = rig_queue(k->mem, i);
	rig_start(&k->balloon.v, 0);
	memset(rig_at(k->mem, RIG_DATA), 0xee, 64 * PAGE);
}

static void kit_done(struct kit *k)
{
	balloon_done(&k->balloon);
	gmem_free(k->mem);
}

#define AUTO_KIT AUTO(kit_done)

static uint8_t page(const struct kit *k, unsigned i)
{
	return *(const uint8_t *)rig_at(k->mem, RIG_DATA + (uint64_t)i * PAGE);
}

/* Hands n numbers of pages over. */
static void hand_over(struct kit *k, const uint32_t *pfns, size_t n)
{
	struct rig_queue *g = &k->g[INFLATE];
	uint16_t head = g->next % RIG_SIZE;

	memcpy(rig_at(k->mem, NUMBERS), pfns, n * sizeof(pfns[0]));
	rig_buffer(g, NUMBERS, (uint32_t)(n * sizeof(pfns[0])), false, false);
	rig_offer(g, head);
	virtio_kicked(&k->balloon.v);
}

TEST(pages_handed_over_go_back_to_the_host_and_no_others)
{
	AUTO_KIT struct kit k;
	const uint32_t first = RIG_DATA / PAGE;
	/* neighbours upwards, downwards, alone, twice */
	const uint32_t pfns[] = {first + 1, first + 2,  first + 3, first + 9,
				 first + 8, first + 20, first + 1};

	kit_init(&k);
	hand_over(&k, pfns, sizeof(pfns) / sizeof(pfns[0]));
	EXPECT_EQ(rig_used(&k.g[INFLATE], NULL), 1);
	EXPECT(rig_interrupt(&k.balloon.v) & VIRTIO_MMIO_INT_VRING);
	for (unsigned i = 0; i < 24; i++) {
		bool given = (i >= 1 && i <= 3) || i == 8 || i == 9 || i == 20;
		EXPECT_EQ(page(&k, i), given ? 0 : 0xee);
	}
}

TEST(pages_reported_free_go_back_and_parts_of_pages_stay)
{
	AUTO_KIT struct kit k;
	uint32_t written = 1;

	kit_init(&k);
	rig_buffer(&k.g[REPORT], RIG_DATA + PAGE, 3 * PAGE, true, true);
	rig_buffer(&k.g[REPORT], RIG_DATA + 6 * PAGE + 1, PAGE, true, true);
	rig_buffer(&k.g[REPORT], RIG_DATA + 10 * PAGE - 1, PAGE + 2, true, false);
	rig_offer(&k.g[REPORT], 0);
	virtio_kicked(&k.balloon.v);
	EXPECT_EQ(rig_used(&k.g[REPORT], &written), 1);
	EXPECT_EQ(written, 0);
	for (unsigned i = 0; i < 16; i++)
		EXPECT_EQ(page(&k, i), (i >= 1 && i <= 3) || i == 10 ? 0 : 0xee);
}

TEST(pages_that_are_not_there_are_passed_over)
{
	AUTO_KIT struct kit k;
	const uint32_t first = RIG_DATA / PAGE;
	const uint32_t pfns[] = {first, PAGES, UINT32_MAX, first + 1, PAGES - 1, PAGES};

	kit_init(&k);
	hand_over(&k, pfns, sizeof(pfns) / sizeof(pfns[0]));
	EXPECT_EQ(rig_used(&k.g[INFLATE], NULL), 1);
	EXPECT_EQ(page(&k, 0), 0);
	EXPECT_EQ(page(&k, 1), 0);
	EXPECT_EQ(page(&k, 2), 0xee);
	EXPECT(virtio_alive(&k.balloon.v));
}

TEST(numbers_without_end_are_read_to_a_bound)
{
	AUTO_KIT struct kit k;
	enum { MANY = 300 };
	uint32_t pfns[MANY];

	kit_init(&k);
	for (uint32_t i = 0; i < MANY; i++)
		pfns[i] = i < MANY - 1 ? PAGES : RIG_DATA / PAGE;
	hand_over(&k, pfns, MANY);
	EXPECT_EQ(rig_used(&k.g[INFLATE], NULL), 1);
	EXPECT_EQ(page(&k, 0), 0xee);
}

/* The guest's own rings among them: it forgets what it said, and is the only one who is hurt. */
TEST(a_balloon_that_takes_all_empties_only_the_guest)
{
	AUTO_KIT struct kit k;
	uint32_t pfns[256];

	kit_init(&k);
	for (uint32_t from = 0; from < PAGES; from += 256) {
		for (uint32_t i = 0; i < 256; i++)
			pfns[i] = from + i;
		k.g[INFLATE] = rig_queue(k.mem, INFLATE);
		rig_start(&k.balloon.v, 0);
		hand_over(&k, pfns, 256);
	}
	EXPECT_EQ(page(&k, 0), 0);
	for (unsigned i = 0; i < QUEUES; i++)
		k.g[i] = rig_queue(k.mem, i);
	rig_start(&k.balloon.v, 0);
	rig_buffer(&k.g[REPORT], 0, RIG_MEMORY, true, false);
	rig_offer(&k.g[REPORT], 0);
	virtio_kicked(&k.balloon.v);
	/* its own ring was among what it reported */
	EXPECT_EQ(rig_used(&k.g[REPORT], NULL), 1);
	/* and it may begin anew */
	for (unsigned i = 0; i < QUEUES; i++)
		k.g[i] = rig_queue(k.mem, i);
	rig_start(&k.balloon.v, 0);
	memset(rig_at(k.mem, RIG_DATA), 0xee, PAGE);
	hand_over(&k, (const uint32_t[]){RIG_DATA / PAGE}, 1);
	EXPECT_EQ(page(&k, 0), 0);
}

TEST(deflated_pages_are_left_alone)
{
	AUTO_KIT struct kit k;
	const uint32_t pfn = RIG_DATA / PAGE;

	kit_init(&k);
	memcpy(rig_at(k.mem, NUMBERS), &pfn, sizeof(pfn));
	rig_buffer(&k.g[DEFLATE], NUMBERS, sizeof(pfn), false, false);
	rig_offer(&k.g[DEFLATE], 0);
	virtio_kicked(&k.balloon.v);
	EXPECT_EQ(rig_used(&k.g[DEFLATE], NULL), 1);
	EXPECT_EQ(page(&k, 0), 0xee);
}

TEST(what_is_asked_for_is_told_and_what_was_handed_over_is_heard)
{
	AUTO_KIT struct kit k;

	kit_init(&k);
	uint32_t generation = rig_read(&k.balloon.v, VIRTIO_MMIO_CONFIG_GENERATION);
	EXPECT_EQ(rig_read(&k.balloon.v, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_BALLOON);
	EXPECT_EQ(rig_read(&k.balloon.v, NUM_PAGES), 0);
	EXPECT_EQ(rig_interrupt(&k.balloon.v), 0);
	balloon_ask(&k.balloon, 100 * PAGE);
	EXPECT_EQ(rig_interrupt(&k.balloon.v), VIRTIO_MMIO_INT_CONFIG);
	EXPECT_EQ(rig_read(&k.balloon.v, NUM_PAGES), 100);
	EXPECT(rig_read(&k.balloon.v, VIRTIO_MMIO_CONFIG_GENERATION) != generation);
	EXPECT_EQ(balloon_holds(&k.balloon), 0);
	rig_write(&k.balloon.v, ACTUAL, 77);
	EXPECT_EQ(balloon_holds(&k.balloon), 77 * PAGE);
	EXPECT_EQ(rig_read(&k.balloon.v, ACTUAL), 77);
	/* a driver that starts anew has handed over nothing, and is still asked */
	rig_start(&k.balloon.v, 0);
	EXPECT_EQ(balloon_holds(&k.balloon), 0);
	EXPECT_EQ(rig_read(&k.balloon.v, NUM_PAGES), 100);
}

TEST(of_the_configuration_only_one_field_is_the_drivers)
{
	AUTO_KIT struct kit k;
	uint64_t both = UINT64_MAX;

	kit_init(&k);
	rig_write(&k.balloon.v, NUM_PAGES, 5);
	virtio_write(&k.balloon.v, NUM_PAGES, &both, sizeof(both));
	virtio_write(&k.balloon.v, ACTUAL, &both, 2);
	virtio_write(&k.balloon.v, ACTUAL + 2, &both, 4);
	rig_write(&k.balloon.v, ACTUAL + 4, 5);
	EXPECT_EQ(rig_read(&k.balloon.v, NUM_PAGES), 0);
	EXPECT_EQ(rig_read(&k.balloon.v, ACTUAL), 0);
	EXPECT_EQ(rig_read(&k.balloon.v, ACTUAL + 4), 0);
}
