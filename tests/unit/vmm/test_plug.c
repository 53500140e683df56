/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that change a machine, as it is before it runs: its devices and no processors. */
#include "../test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rig.h"

#include "base/fd.h"
#include "base/loop.h"
#include "vmm/vmm_impl.h"

struct kit {
	struct vmm_config config;
	struct vmm *m;
	struct err err;
};

/* Without devices of its own, with one place for a disk in slot 3, and no free one else. */
static int kit_init(struct kit *k)
{
	int r;

	*k = (struct kit){.m = calloc(1, sizeof(*k->m))};
	if (!k->m)
		abort();
	k->m->config = &k->config;
	k->m->mem = rig_memory();
	r = loop_new(&k->m->loop, &k->err);
	for (size_t i = 0; i < VMM_SPARE_DISKS && r == 0; i++) {
		r = block_init(&k->m->spare_disks[i], &(struct disk){0}, i == 3 ? "" : "taken",
			       k->m->loop, k->m->mem, &k->err);
		k->m->bus.devices[k->m->bus.n++] = &k->m->spare_disks[i].v;
	}
	return r;
}

static void kit_done(struct kit *k)
{
	for (size_t i = 0; i < VMM_SPARE_DISKS; i++)
		block_done(&k->m->spare_disks[i]);
	loop_free(k->m->loop);
	gmem_free(k->m->mem);
	free(k->m);
}

#define AUTO_KIT AUTO(kit_done)

/* Asks with a file of 4 KiB, or without one; the answer is in k->m->control.call. */
static int ask(struct kit *k, int (*verb)(void *, struct control_call *, struct err *),
	       const char *args, bool with_file)
{
	struct control_call *call = &k->m->control.call;
	char text[128];

	*call = (struct control_call){.args = text, .n_fds = with_file};
	(void)snprintf(text, sizeof(text), "%s", args);
	if (with_file) {
		call->fds[0] = memfd_create("disk", MFD_CLOEXEC);
		if (call->fds[0] < 0 || ftruncate(call->fds[0], 4096) < 0)
			abort();
	}
	k->err = ERR_INIT;
	int r = verb(k->m, call, &k->err);
	if (with_file)
		auto_close(&call->fds[0]);
	return r;
}

TEST(a_disk_comes_to_the_free_place_and_goes_again)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(ask(&k, plug_disk, "late rw 4096", true), 0);
	EXPECT_STR(k.m->control.call.answer, "3");
	EXPECT(!k.m->spare_disks[3].v.absent);
	EXPECT_EQ(ask(&k, plug_disk, "later rw 4096", true), -ENOSPC);
	EXPECT_EQ(ask(&k, plug_resize, "late 8192", false), 0);
	EXPECT_EQ(k.m->spare_disks[3].disk.size, 8192);
	EXPECT_EQ(ask(&k, plug_remove, "late", false), 0);
	EXPECT(k.m->spare_disks[3].v.absent);
	EXPECT_EQ(ask(&k, plug_remove, "late", false), -ENODEV);
	EXPECT_EQ(ask(&k, plug_resize, "late 8192", false), -ENODEV);
}

TEST(requests_that_make_no_sense_change_nothing)
{
	AUTO_KIT struct kit k;
	static const char *const bad[] = {
		"",
		"late",
		"late rw",
		"late rw x",
		"late rw 0",
		"late rw 4096 ",
		"late  rw 4096",
		"late rw -512",
		"late up 4096",
		"late rw 4095",
		"taken rw 4096",
		" late rw 4096",
		"late rw 4096 1",
		"late rw 1e9",
		"a-serial-of-more-than-20 rw 4096",
	};

	EXPECT_EQ(kit_init(&k), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT(ask(&k, plug_disk, bad[i], true) < 0);
	EXPECT_EQ(ask(&k, plug_disk, "late rw 4096", false), -EINVAL);
	EXPECT(k.m->spare_disks[3].v.absent);
	EXPECT_EQ(ask(&k, plug_remove, "taken", false), -EINVAL);
	EXPECT_EQ(ask(&k, plug_remove, "3", false), -ENODEV); /* no interface */
	EXPECT_EQ(ask(&k, plug_net, "02:00:00:00:00:01", true), -ENOSPC);
	EXPECT_EQ(ask(&k, plug_net, "02:00:00:00:00", true), -EINVAL);
}

TEST(a_limit_is_set_by_the_name_of_the_device)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(ask(&k, plug_disk, "late rw 4096", true), 0);
	EXPECT_EQ(ask(&k, plug_limit, "late write 1000 7", false), 0);
	const struct pace *p = &k.m->spare_disks[3].throttle.ways[BLOCK_WRITE];
	EXPECT_EQ(p->limit.bytes, 1000);
	EXPECT_EQ(p->limit.requests, 7);
	EXPECT_EQ(ask(&k, plug_limit, "late write - 8", false), 0);
	EXPECT_EQ(p->limit.bytes, 1000);
	EXPECT_EQ(p->limit.requests, 8);
	EXPECT_EQ(ask(&k, plug_limit, "net read 1 1", false), -ENODEV);
	EXPECT_EQ(ask(&k, plug_limit, "late both 1 1", false), -EINVAL);
	EXPECT_EQ(ask(&k, plug_limit, "late read 1", false), -EINVAL);
}
