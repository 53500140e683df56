/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A written state from anybody: the input is what stands behind its header, which is made right, so
 * that the checksum stops nothing. Devices are loaded as for a machine that has them all, in an
 * order that the input's first byte turns, so that none is far away; and go on over a memory that
 * the input fills too.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "proto/share.h"
#include "vmm/arch.h"
#include "vmm/balloon.h"
#include "vmm/block.h"
#include "vmm/fs.h"
#include "vmm/hotmem.h"
#include "vmm/net.h"
#include "vmm/port.h"
#include "vmm/ports.h"
#include "vmm/rng.h"
#include "vmm/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct state_form form = {"hullvmst", 1, "machine"};

enum { SECTORS = 32, DEVICES = 7, FILLED = 0x20000 };

struct world {
	struct gmem *mem;
	struct loop *loop;
	struct block disk;
	struct port port;
	struct virtio rng;
	struct balloon balloon;
	struct hotmem hotmem;
	struct net net;
	struct fs fs;
	struct ports ports;
	struct virtio *devices[DEVICES];
	int file, host, stream, peer, share, other;
};

static void make_network(struct world *w)
{
	const struct net_config config = {.stream = &w->stream, .n_pairs = 1};
	struct err err = ERR_INIT;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	w->stream = pair[0];
	w->peer = pair[1];
	if (net_init(&w->net, &config, w->loop, w->mem, &err) < 0)
		abort();
}

/* With a share whose answer is there before it is asked: that it was made from state 0. */
static void make_share(struct world *w)
{
	const struct {
		struct fuse_out_header head;
		struct share_state_out state;
	} answer = {.head = {.len = sizeof(answer.head) + sizeof(answer.state), .unique = 1}};
	struct err err = ERR_INIT;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	w->share = pair[0];
	w->other = pair[1];
	if (send(w->other, &answer, answer.head.len, 0) != (ssize_t)answer.head.len ||
	    fs_init(&w->fs, w->share, "share", w->loop, w->mem, &err) < 0)
		abort();
}

static void make(struct world *w, uint8_t first)
{
	struct disk disk = {0};
	struct err err = ERR_INIT;
	int pair[2];

	w->file = memfd_create("disk", MFD_CLOEXEC);
	if (w->file < 0 || ftruncate(w->file, SECTORS * DISK_SECTOR) < 0 ||
	    disk_add(&disk, w->file, 0, &err) < 0 || loop_new(&w->loop, &err) < 0 ||
	    block_init(&w->disk, &disk, "serial", w->loop, w->mem, &err) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
	    port_init(&w->port, pair[1], "fuzz", w->loop, w->mem, &err) < 0 ||
	    rng_init(&w->rng, w->mem, &err) < 0 || balloon_init(&w->balloon, w->mem, &err) < 0 ||
	    hotmem_init(&w->hotmem, w->mem, &err) < 0 || ports_init(&w->ports, -1, &err) < 0)
		abort();
	w->host = pair[0];
	make_network(w);
	make_share(w);
	struct virtio *const all[] = {&w->disk.v,   &w->port.v, &w->rng, &w->balloon.v,
				      &w->hotmem.v, &w->net.v,  &w->fs.v};
	for (size_t i = 0; i < DEVICES; i++)
		w->devices[i] = all[(i + first) % DEVICES];
}

static void done(struct world *w)
{
	block_done(&w->disk);
	port_done(&w->port);
	virtio_done(&w->rng);
	balloon_done(&w->balloon);
	hotmem_done(&w->hotmem);
	net_done(&w->net);
	fs_done(&w->fs);
	ports_done(&w->ports);
	loop_free(w->loop);
	auto_close(&w->file);
	auto_close(&w->host);
	auto_close(&w->stream);
	auto_close(&w->peer);
	auto_close(&w->share);
	auto_close(&w->other);
}

/* What is right of a state is loaded, and goes on; processors have no KVM here. */
static void load(struct world *w, const struct buf *b)
{
	const struct arch_vcpu cpu = {.kvm = -1, .fd = -1, .cpus = 1};
	struct err err = ERR_INIT;
	struct state_reader r;
	struct state s;
	uint32_t i = 0;

	if (state_open(&s, &form, b->data, b->len, &err) < 0)
		abort();
	while (i < DEVICES && state_next(&s, STATE_DEVICE, i, &r, &err) == 0 &&
	       virtio_load(w->devices[i], &r, &err) == 0)
		virtio_release(w->devices[i++]);
	for (uint32_t k = 0; k < i; k++)
		virtio_kicked(w->devices[k]);
	if (state_next(&s, STATE_PORTS, 0, &r, &err) == 0 && ports_load(&w->ports, &r, &err) == 0)
		ports_write(&w->ports, 0x3f8, "\n", 1);
	if (state_next(&s, STATE_CPU, 0, &r, &err) == 0)
		(void)!arch_vcpu_load(&cpu, &r, &err);
	if (state_next(&s, STATE_VM, 0, &r, &err) == 0)
		(void)!arch_vm_load(-1, &r, &err);
	(void)!state_close(&s, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct gmem *mem;
	AUTO_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct state ignored;

	(void)!state_open(&ignored, &form, data, n, &err); /* as it is */
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (!mem) {
		mem = rig_memory();
		if (gmem_add_room(mem, GMEM_ROOM_ALIGN, &err) < 0)
			abort();
	}
	const uint8_t first = n > 0 ? *data : 0;
	for (size_t at = 0; n > 0 && at < FILLED; at += n)
		memcpy(rig_at(mem, at), data, n < FILLED - at ? n : FILLED - at);
	state_begin(&b, &form);
	buf_add(&b, data + (n > 0), n - (n > 0));
	state_seal(&b);
	struct world *w = calloc(1, sizeof(*w));
	if (!w || b.bad) {
		free(w);
		return 0;
	}
	w->mem = mem;
	make(w, first);
	load(w, &b);
	done(w);
	free(w);
	return 0;
}
