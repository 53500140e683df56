/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mem.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "rig.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "vmm/hotmem.h"
#include "vmm/state.h"

enum { REQUEST = RIG_DATA, RESPONSE = RIG_DATA + 0x1000, LAST = 1023 /* block of 2 GiB */ };

#define ROOM  (2ULL << 30)
#define AT(i) (k.hotmem.addr + (uint64_t)(i)*HOTMEM_BLOCK)

struct kit {
	struct gmem *mem;
	struct hotmem hotmem;
	struct rig_queue g;
};

static void kit_init(struct kit *k)
{
	struct err err = ERR_INIT;

	*k = (struct kit){.mem = rig_memory()};
	if (gmem_add_room(k->mem, ROOM, &err) < 0 || hotmem_init(&k->hotmem, k->mem, &err) < 0)
		abort();
	k->g = rig_queue(k->mem, 0);
	rig_start(&k->hotmem.v, 0);
}

static void kit_done(struct kit *k)
{
	hotmem_done(&k->hotmem);
	gmem_free(k->mem);
}

#define AUTO_KIT AUTO(kit_done)

/* What the device answers to a request of `len` bytes. */
static struct virtio_mem_resp send(struct kit *k, uint16_t type, uint64_t addr, uint16_t n,
				   uint32_t len)
{
	const struct virtio_mem_req req = {.type = type, .u.plug = {.addr = addr, .nb_blocks = n}};
	struct virtio_mem_resp resp = {.type = UINT16_MAX};
	uint16_t head = k->g.next % RIG_SIZE;
	uint32_t written = 0;

	memcpy(rig_at(k->mem, REQUEST), &req, sizeof(req));
	rig_buffer(&k->g, REQUEST, len, false, true);
	rig_buffer(&k->g, RESPONSE, sizeof(resp), true, false);
	rig_offer(&k->g, head);
	virtio_kicked(&k->hotmem.v);
	if (rig_used(&k->g, &written) == 1 && written == sizeof(resp))
		memcpy(&resp, rig_at(k->mem, RESPONSE), sizeof(resp));
	return resp;
}

static int ask(struct kit *k, uint16_t type, uint64_t addr, uint16_t n)
{
	return send(k, type, addr, n, sizeof(struct virtio_mem_req)).type;
}

static int state(struct kit *k, uint64_t addr, uint16_t n)
{
	struct virtio_mem_resp resp = send(k, VIRTIO_MEM_REQ_STATE, addr, n,
					   sizeof(struct virtio_mem_req));

	return resp.type == VIRTIO_MEM_RESP_ACK ? resp.u.state.state : -1;
}

static uint64_t config(struct kit *k, size_t offset)
{
	uint64_t low = rig_read(&k->hotmem.v, VIRTIO_MMIO_CONFIG + (uint32_t)offset);

	return low | (uint64_t)rig_read(&k->hotmem.v, VIRTIO_MMIO_CONFIG + (uint32_t)offset + 4)
			     << 32;
}

#define CONFIG(k, field) config(k, offsetof(struct virtio_mem_config, field))

TEST(the_room_lies_behind_all_memory_and_is_told)
{
	AUTO_KIT struct kit k;

	kit_init(&k);
	EXPECT_EQ(rig_read(&k.hotmem.v, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_MEM);
	EXPECT_EQ(CONFIG(&k, block_size), HOTMEM_BLOCK);
	EXPECT_EQ(CONFIG(&k, addr), 4ULL << 30);
	EXPECT_EQ(CONFIG(&k, region_size), ROOM);
	EXPECT_EQ(CONFIG(&k, usable_region_size), ROOM);
	EXPECT_EQ(CONFIG(&k, plugged_size), 0);
	EXPECT_EQ(CONFIG(&k, requested_size), 0);
	EXPECT_EQ(hotmem_plugged(&k.hotmem), 0);
}

TEST(blocks_are_plugged_up_to_what_is_asked_for)
{
	AUTO_KIT struct kit k;

	kit_init(&k);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_PLUG, AT(0), 1), VIRTIO_MEM_RESP_NACK);
	(void)rig_interrupt(&k.hotmem.v);
	uint32_t generation = rig_read(&k.hotmem.v, VIRTIO_MMIO_CONFIG_GENERATION);
	hotmem_ask(&k.hotmem, 4 * HOTMEM_BLOCK - 1);
	EXPECT_EQ(rig_interrupt(&k.hotmem.v), VIRTIO_MMIO_INT_CONFIG);
	EXPECT(rig_read(&k.hotmem.v, VIRTIO_MMIO_CONFIG_GENERATION) != generation);
	EXPECT_EQ(CONFIG(&k, requested_size), 4 * HOTMEM_BLOCK);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_PLUG, AT(10), 3), VIRTIO_MEM_RESP_ACK);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_PLUG, AT(20), 2), VIRTIO_MEM_RESP_NACK);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_PLUG, AT(LAST), 1), VIRTIO_MEM_RESP_ACK);
	EXPECT_EQ(hotmem_plugged(&k.hotmem), 4 * HOTMEM_BLOCK);
	EXPECT_EQ(CONFIG(&k, plugged_size), 4 * HOTMEM_BLOCK);
	EXPECT_EQ(state(&k, AT(10), 3), VIRTIO_MEM_STATE_PLUGGED);
	EXPECT_EQ(state(&k, AT(9), 2), VIRTIO_MEM_STATE_MIXED);
	EXPECT_EQ(state(&k, AT(13), 1), VIRTIO_MEM_STATE_UNPLUGGED);
	hotmem_ask(&k.hotmem, UINT64_MAX);
	EXPECT_EQ(CONFIG(&k, requested_size), ROOM);
}

TEST(what_is_unplugged_has_gone_back_to_the_host)
{
	AUTO_KIT struct kit k;

	kit_init(&k);
	hotmem_ask(&k.hotmem, 8 * HOTMEM_BLOCK);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_PLUG, AT(0), 8), VIRTIO_MEM_RESP_ACK);
	for (unsigned i = 0; i < 8; i++)
		*(uint8_t *)rig_at(k.mem, AT(i)) = 0xee;
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_UNPLUG, AT(2), 3), VIRTIO_MEM_RESP_ACK);
	for (unsigned i = 0; i < 8; i++)
		EXPECT_EQ(*(uint8_t *)rig_at(k.mem, AT(i)), i >= 2 && i < 5 ? 0 : 0xee);
	EXPECT_EQ(hotmem_plugged(&k.hotmem), 5 * HOTMEM_BLOCK);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0), VIRTIO_MEM_RESP_ACK);
	EXPECT_EQ(hotmem_plugged(&k.hotmem), 0);
	EXPECT_EQ(*(uint8_t *)rig_at(k.mem, AT(0)), 0);
}

TEST(a_driver_that_comes_anew_finds_what_was_plugged)
{
	AUTO_KIT struct kit k;

	kit_init(&k);
	hotmem_ask(&k.hotmem, HOTMEM_BLOCK);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_PLUG, AT(0), 1), VIRTIO_MEM_RESP_ACK);
	k.g = rig_queue(k.mem, 0);
	rig_start(&k.hotmem.v, 0);
	EXPECT_EQ(CONFIG(&k, plugged_size), HOTMEM_BLOCK);
	EXPECT_EQ(state(&k, AT(0), 1), VIRTIO_MEM_STATE_PLUGGED);
}

TEST(requests_for_what_cannot_be_are_errors)
{
	AUTO_KIT struct kit k;
	static const uint16_t types[] = {VIRTIO_MEM_REQ_PLUG, VIRTIO_MEM_REQ_UNPLUG,
					 VIRTIO_MEM_REQ_STATE};

	kit_init(&k);
	hotmem_ask(&k.hotmem, ROOM);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		EXPECT_EQ(ask(&k, types[i], AT(0) - HOTMEM_BLOCK, 1), VIRTIO_MEM_RESP_ERROR);
		EXPECT_EQ(ask(&k, types[i], AT(0) + 4096, 1), VIRTIO_MEM_RESP_ERROR);
		EXPECT_EQ(ask(&k, types[i], AT(0), 0), VIRTIO_MEM_RESP_ERROR);
		EXPECT_EQ(ask(&k, types[i], AT(LAST), 2), VIRTIO_MEM_RESP_ERROR);
		EXPECT_EQ(ask(&k, types[i], AT(LAST + 1), 1), VIRTIO_MEM_RESP_ERROR);
		EXPECT_EQ(ask(&k, types[i], AT(1), UINT16_MAX), VIRTIO_MEM_RESP_ERROR);
		EXPECT_EQ(ask(&k, types[i], 0, 1), VIRTIO_MEM_RESP_ERROR);
		EXPECT_EQ(ask(&k, types[i], -HOTMEM_BLOCK, 1), VIRTIO_MEM_RESP_ERROR);
	}
	EXPECT_EQ(ask(&k, 77, AT(0), 1), VIRTIO_MEM_RESP_ERROR);
	EXPECT_EQ(hotmem_plugged(&k.hotmem), 0);
}

TEST(blocks_in_the_wrong_state_are_errors_and_nothing_is_done)
{
	AUTO_KIT struct kit k;

	kit_init(&k);
	hotmem_ask(&k.hotmem, ROOM);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_PLUG, AT(4), 2), VIRTIO_MEM_RESP_ACK);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_PLUG, AT(3), 2), VIRTIO_MEM_RESP_ERROR);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_UNPLUG, AT(5), 2), VIRTIO_MEM_RESP_ERROR);
	EXPECT_EQ(hotmem_plugged(&k.hotmem), 2 * HOTMEM_BLOCK);
	EXPECT_EQ(state(&k, AT(3), 1), VIRTIO_MEM_STATE_UNPLUGGED);
	EXPECT_EQ(state(&k, AT(5), 1), VIRTIO_MEM_STATE_PLUGGED);
}

TEST(a_request_that_is_cut_short_is_an_error)
{
	AUTO_KIT struct kit k;

	kit_init(&k);
	hotmem_ask(&k.hotmem, ROOM);
	for (uint32_t len = 1; len < sizeof(struct virtio_mem_req); len++)
		EXPECT_EQ(send(&k, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0, len).type,
			  VIRTIO_MEM_RESP_ERROR);
}

/* --- written down --- */

/* Memory of a kit, and its room's plugged blocks, in a new file. */
static int write_memory(const struct kit *k, struct err *err)
{
	int file = memfd_create("memory", MFD_CLOEXEC);

	if (gmem_save(k->mem, file, err) < 0 || hotmem_save_memory(&k->hotmem, file, err) < 0)
		abort();
	return file;
}

TEST(what_is_plugged_comes_back_with_what_it_holds)
{
	AUTO_KIT struct kit k;
	AUTO_KIT struct kit back;
	AUTO_BUF struct buf state = BUF_INIT;
	struct err err = ERR_INIT;

	kit_init(&k);
	kit_init(&back);
	hotmem_ask(&k.hotmem, 8 * HOTMEM_BLOCK);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_PLUG, AT(3), 1), VIRTIO_MEM_RESP_ACK);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_PLUG, AT(LAST - 1), 2), VIRTIO_MEM_RESP_ACK);
	*(uint8_t *)rig_at(k.mem, AT(3)) = 3;
	*(uint8_t *)rig_at(k.mem, AT(LAST) + HOTMEM_BLOCK - 1) = 99;
	*(uint8_t *)rig_at(k.mem, AT(5)) = 5; /* which it was not given */
	EXPECT_EQ(virtio_save(&k.hotmem.v, &state, &err), 0);
	EXPECT(state.len <= 1024 + hotmem_state_size(&k.hotmem));
	AUTO_CLOSE int file = write_memory(&k, &err);
	struct state_reader from = {(const uint8_t *)state.data, state.len, false};
	EXPECT_EQ(virtio_load(&back.hotmem.v, &from, &err), 0);
	EXPECT_EQ(hotmem_map_memory(&back.hotmem, file, &err), 0);
	EXPECT_EQ(hotmem_plugged(&back.hotmem), 3 * HOTMEM_BLOCK);
	EXPECT_EQ(CONFIG(&back, requested_size), 8 * HOTMEM_BLOCK);
	EXPECT_EQ(*(uint8_t *)rig_at(back.mem, AT(3)), 3);
	EXPECT_EQ(*(uint8_t *)rig_at(back.mem, AT(LAST) + HOTMEM_BLOCK - 1), 99);
	EXPECT_EQ(*(uint8_t *)rig_at(back.mem, AT(5)), 0);
}

TEST(a_state_whose_parts_do_not_agree_is_refused)
{
	AUTO_KIT struct kit k;
	AUTO_BUF struct buf state = BUF_INIT;
	struct err err = ERR_INIT;

	kit_init(&k);
	hotmem_ask(&k.hotmem, 8 * HOTMEM_BLOCK);
	EXPECT_EQ(ask(&k, VIRTIO_MEM_REQ_PLUG, AT(3), 1), VIRTIO_MEM_RESP_ACK);
	EXPECT_EQ(virtio_save(&k.hotmem.v, &state, &err), 0);
	/* the last bytes are the blocks, before them is what is asked for, then comes the room */
	const size_t at[] = {state.len - 1, state.len - hotmem_state_size(&k.hotmem),
			     21 + offsetof(struct virtio_mem_config, addr),
			     21 + offsetof(struct virtio_mem_config, region_size)};
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		AUTO_KIT struct kit other;
		struct err why = ERR_INIT;
		kit_init(&other);
		state.data[at[i]] ^= 0x40;
		struct state_reader from = {(const uint8_t *)state.data, state.len, false};
		EXPECT_EQ(virtio_load(&other.hotmem.v, &from, &why), -EINVAL);
		state.data[at[i]] ^= 0x40;
	}
}
