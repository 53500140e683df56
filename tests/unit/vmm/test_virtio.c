/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <unistd.h>

#include "rig.h"

#include "base/err.h"
#include "vmm/rng.h"

enum { DRIVEN = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER };

TEST(a_device_says_what_it_is)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct virtio v;
	struct err err = ERR_INIT;

	EXPECT_EQ(rng_init(&v, mem, &err), 0);
	EXPECT_EQ(rig_read(&v, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	EXPECT_EQ(rig_read(&v, VIRTIO_MMIO_VERSION), 2);
	EXPECT_EQ(rig_read(&v, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_RNG);
	EXPECT_EQ(rig_read(&v, VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_MAX);
	rig_write(&v, VIRTIO_MMIO_QUEUE_SEL, 1);
	EXPECT_EQ(rig_read(&v, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	rig_write(&v, VIRTIO_MMIO_QUEUE_SEL, UINT32_MAX);
	EXPECT_EQ(rig_read(&v, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	rig_write(&v, VIRTIO_MMIO_QUEUE_READY, 1);
	rig_write(&v, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 77);
	EXPECT_EQ(rig_read(&v, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	virtio_done(&v);
}

TEST(accesses_of_odd_width_and_place_read_zeros_and_write_nothing)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct virtio v;
	struct err err = ERR_INIT;
	static const size_t widths[] = {1, 2, 8};

	EXPECT_EQ(rng_init(&v, mem, &err), 0);
	for (uint32_t at = 0; at < VIRTIO_MMIO_SIZE; at++) {
		for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
			uint64_t bytes = UINT64_MAX;
			virtio_read(&v, at, &bytes, widths[i]);
			EXPECT_EQ(bytes << 8 * (8 - widths[i]), 0);
			bytes = UINT64_MAX;
			virtio_write(&v, at, &bytes, widths[i]);
		}
		if (at % 4 != 0) {
			uint32_t value = 1;
			virtio_write(&v, at, &value, sizeof(value));
			virtio_read(&v, at, &value, sizeof(value));
			EXPECT_EQ(value, 0);
		}
	}
	EXPECT_EQ(v.status, 0);
	EXPECT_EQ(v.features, 0);
	virtio_done(&v);
}

TEST(features_that_were_not_offered_are_not_agreed_on)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct virtio v;
	struct err err = ERR_INIT;

	EXPECT_EQ(rng_init(&v, mem, &err), 0);
	rig_write(&v, VIRTIO_MMIO_STATUS, DRIVEN);
	/* an old driver, without VERSION_1 */
	rig_write(&v, VIRTIO_MMIO_STATUS, DRIVEN | VIRTIO_CONFIG_S_FEATURES_OK);
	EXPECT_EQ(rig_read(&v, VIRTIO_MMIO_STATUS), DRIVEN);
	rig_write(&v, VIRTIO_MMIO_STATUS,
		  DRIVEN | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	EXPECT_EQ(rig_read(&v, VIRTIO_MMIO_STATUS), DRIVEN);
	/* one that wants everything */
	for (uint32_t half = 0; half < 2; half++) {
		rig_write(&v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		rig_write(&v, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
	}
	rig_write(&v, VIRTIO_MMIO_STATUS, DRIVEN | VIRTIO_CONFIG_S_FEATURES_OK);
	EXPECT_EQ(rig_read(&v, VIRTIO_MMIO_STATUS), DRIVEN);
	rig_start(&v, 0);
	EXPECT(virtio_alive(&v));
	/* too late */
	rig_write(&v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	rig_write(&v, VIRTIO_MMIO_DRIVER_FEATURES, 0);
	EXPECT(v.features & 1ULL << VIRTIO_RING_F_EVENT_IDX);
	virtio_done(&v);
}

TEST(a_queue_in_use_is_not_reconfigured)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct virtio v;
	struct err err = ERR_INIT;

	EXPECT_EQ(rng_init(&v, mem, &err), 0);
	struct rig_queue g = rig_queue(mem, 0);
	rig_start(&v, 0);
	rig_write(&v, VIRTIO_MMIO_QUEUE_SEL, 0);
	rig_write(&v, VIRTIO_MMIO_QUEUE_NUM, 3);
	rig_write(&v, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x8);
	rig_write(&v, VIRTIO_MMIO_QUEUE_USED_HIGH, UINT32_MAX);
	rig_write(&v, VIRTIO_MMIO_QUEUE_READY, 1);
	EXPECT_EQ(v.queues[0].size, RIG_SIZE);
	rig_buffer(&g, RIG_DATA, 64, true, false);
	rig_offer(&g, 0);
	virtio_kicked(&v);
	uint32_t len = 0;
	EXPECT_EQ(rig_used(&g, &len), 1);
	EXPECT_EQ(len, 64);
	EXPECT_EQ(rig_interrupt(&v), VIRTIO_MMIO_INT_VRING);
	/* switched off, it takes nothing */
	rig_write(&v, VIRTIO_MMIO_QUEUE_READY, 0);
	rig_offer(&g, 0);
	virtio_kicked(&v);
	EXPECT_EQ(rig_used(&g, NULL), 0);
	virtio_done(&v);
}

TEST(a_broken_queue_asks_for_a_reset_and_comes_back_by_it)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct virtio v;
	struct err err = ERR_INIT;

	EXPECT_EQ(rng_init(&v, mem, &err), 0);
	struct rig_queue g = rig_queue(mem, 0);
	rig_start(&v, 0);
	rig_buffer(&g, RIG_MEMORY, 64, true, false);
	rig_offer(&g, 0);
	virtio_kicked(&v);
	EXPECT(rig_read(&v, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	EXPECT_EQ(rig_interrupt(&v), VIRTIO_MMIO_INT_CONFIG);
	EXPECT(!virtio_alive(&v));
	rig_write(&v, VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(rig_read(&v, VIRTIO_MMIO_STATUS), 0);
	g = rig_queue(mem, 0);
	rig_start(&v, 0);
	rig_buffer(&g, RIG_DATA, 64, true, false);
	rig_offer(&g, 0);
	virtio_kicked(&v);
	EXPECT_EQ(rig_used(&g, NULL), 1);
	virtio_done(&v);
}

TEST(a_guest_that_never_stops_is_served_in_turns)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct virtio v;
	struct err err = ERR_INIT;
	uint64_t times = 0;

	EXPECT_EQ(rng_init(&v, mem, &err), 0);
	struct rig_queue g = rig_queue(mem, 0);
	rig_start(&v, 1ULL << VIRTIO_RING_F_EVENT_IDX);
	EXPECT_EQ(read(v.kick, &times, sizeof(times)), sizeof(times));
	/* the whole ring is on offer again as soon as it is used: its descriptor is its own avail
	 * ring, which the device fills with new entries */
	rig_buffer(&g, RIG_RINGS + 0x1000, 6 + 2 * RIG_SIZE, true, false);
	rig_offer(&g, 0);
	for (int i = 0; i < 100; i++) {
		virtio_kicked(&v);
		(void)rig_used(&g, NULL);
	}
	virtio_done(&v);
}
