/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest: it writes registers, memory and ports as it likes, and the host, the network and
 * the share say something now and then. The input is a list of acts, each a byte and its arguments.
 * Devices begin as a good driver leaves them, so that the first act may already be a queue's.
 *
 * The tap is a socket here, so that what is asked of a tap, or of vhost, is answered with yes
 * (ioctl). That a stream is at its end is said to nobody (write).
 */
#include <endian.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/vhost.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rig.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/balloon.h"
#include "vmm/block.h"
#include "vmm/bus.h"
#include "vmm/fs.h"
#include "vmm/hotmem.h"
#include "vmm/net.h"
#include "vmm/port.h"
#include "vmm/rng.h"
#include "vmm/vmm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int __wrap_ioctl(int fd, unsigned long request, ...);
ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);

enum { DISKS = 2, PAIRS = 2, QUEUES = 2 * PAIRS + 1 };
enum { DEVICES = DISKS + 8, SECTORS = 32, USED_MEMORY = 0x40000, ACTS_MAX = 512 };

struct world {
	struct gmem *mem;
	struct block disks[DISKS], place; /* place: for one that comes */
	struct port port;
	struct virtio rng;
	struct net net, streamed;
	struct fs fs;
	struct balloon balloon;
	struct hotmem hotmem;
	struct bus bus;
	struct loop *loop;
	int files[DISKS], host;
	int taps[PAIRS], wire; /* both ends of the network */
	int stream, peer; /* and of the one over a stream */
	int share, other; /* its end, and the share's */
};

/* What is left of the input; zeros behind its end. */
struct input {
	const uint8_t *data;
	size_t n;
};

static uint64_t take(struct input *in, size_t n)
{
	uint64_t v = 0;

	n = n < in->n ? n : in->n;
	memcpy(&v, in->data, n);
	in->data += n;
	in->n -= n;
	return v;
}

static void skip(struct input *in, size_t n)
{
	in->data += n;
	in->n -= n;
}

/* A vhost that can all and does nothing. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list more;

	(void)fd;
	va_start(more, request);
	if (request == VHOST_GET_FEATURES)
		*va_arg(more, uint64_t *) = UINT64_MAX;
	va_end(more);
	return 0;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
	return fd == STDERR_FILENO ? (ssize_t)n : __real_write(fd, bytes, n);
}

static void make_disks(struct world *w)
{
	struct err err = ERR_INIT;

	for (int i = 0; i < DISKS; i++) {
		struct disk disk = {.readonly = i == 0};
		w->files[i] = memfd_create("disk", MFD_CLOEXEC);
		if (w->files[i] < 0 || ftruncate(w->files[i], SECTORS * DISK_SECTOR) < 0 ||
		    disk_add(&disk, w->files[i], 0, &err) < 0 ||
		    block_init(&w->disks[i], &disk, "serial", w->loop, w->mem, &err) < 0)
			abort();
		w->bus.devices[w->bus.n++] = &w->disks[i].v;
	}
}

static void make_network_and_share(struct world *w)
{
	static const struct limit much = {.requests = UINT32_MAX};
	struct err err = ERR_INIT;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	w->wire = pair[0];
	for (int i = 0; i < PAIRS; i++)
		w->taps[i] = i ? fcntl(w->taps[0], F_DUPFD_CLOEXEC, 3) : pair[1];
	const struct net_config config = {.taps = w->taps,
					  .vhosts = w->taps,
					  .n_pairs = PAIRS,
					  .mac = {2, 0, 0, 0, 0, 1}};
	if (net_init(&w->net, &config, w->loop, w->mem, &err) < 0)
		abort();
	net_limit(&w->net, NET_TO_GUEST, &much); /* or the kernel has it, until change() */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
	    fs_init(&w->fs, pair[1], "share", w->loop, w->mem, &err) < 0)
		abort();
	w->other = pair[0];
	w->share = pair[1];
	w->bus.devices[w->bus.n++] = &w->net.v;
	w->bus.devices[w->bus.n++] = &w->fs.v;
}

static void make_streamed(struct world *w)
{
	const struct net_config config = {.stream = &w->stream, .n_pairs = 1};
	struct err err = ERR_INIT;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	w->stream = pair[0];
	w->peer = pair[1];
	if (net_init(&w->streamed, &config, w->loop, w->mem, &err) < 0)
		abort();
	w->bus.devices[w->bus.n++] = &w->streamed.v;
}

static void make(struct world *w)
{
	struct err err = ERR_INIT;
	int pair[2];

	memset(rig_at(w->mem, 0), 0, USED_MEMORY);
	if (loop_new(&w->loop, &err) < 0)
		abort();
	make_disks(w);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
	    port_init(&w->port, pair[1], "fuzz", w->loop, w->mem, &err) < 0 ||
	    rng_init(&w->rng, w->mem, &err) < 0 || balloon_init(&w->balloon, w->mem, &err) < 0 ||
	    hotmem_init(&w->hotmem, w->mem, &err) < 0 ||
	    block_init(&w->place, &(struct disk){0}, "", w->loop, w->mem, &err) < 0 ||
	    ports_init(&w->bus.ports, -1, &err) < 0)
		abort();
	w->host = pair[0];
	w->bus.devices[w->bus.n++] = &w->port.v;
	w->bus.devices[w->bus.n++] = &w->rng;
	make_network_and_share(w);
	w->bus.devices[w->bus.n++] = &w->balloon.v;
	w->bus.devices[w->bus.n++] = &w->hotmem.v;
	hotmem_ask(&w->hotmem, GMEM_ROOM_ALIGN / 2);
	w->bus.devices[w->bus.n++] = &w->place.v;
	make_streamed(w);
	for (unsigned i = 0; i < w->bus.n; i++)
		rig_start(w->bus.devices[i], 0);
}

static void done(struct world *w)
{
	for (int i = 0; i < DISKS; i++) {
		block_done(&w->disks[i]);
		auto_close(&w->files[i]);
	}
	block_done(&w->place);
	port_done(&w->port);
	virtio_done(&w->rng);
	net_done(&w->net);
	net_done(&w->streamed);
	fs_done(&w->fs);
	balloon_done(&w->balloon);
	hotmem_done(&w->hotmem);
	ports_done(&w->bus.ports);
	loop_free(w->loop);
	auto_close(&w->host);
	for (int i = 0; i < PAIRS; i++)
		auto_close(&w->taps[i]);
	auto_close(&w->wire);
	auto_close(&w->stream);
	auto_close(&w->peer);
	auto_close(&w->other);
	auto_close(&w->share);
}

static int stop(void *ctx, struct err *err)
{
	(void)err;
	loop_stop(ctx);
	return 0;
}

static void serve(struct world *w)
{
	struct err err = ERR_INIT;
	struct timer *timer;

	for (unsigned i = 0; i < w->bus.n; i++)
		virtio_kicked(w->bus.devices[i]);
	if (loop_timer(w->loop, 0, stop, w->loop, &timer, &err) == 0)
		(void)!loop_run(w->loop, &err);
}

static void poke(struct world *w, struct input *in)
{
	uint64_t at = take(in, 3) % USED_MEMORY;
	size_t n = take(in, 1);

	n = n < in->n ? n : in->n;
	n = n < USED_MEMORY - at ? n : USED_MEMORY - at;
	if (n > 0)
		memcpy(rig_at(w->mem, at), in->data, n);
	skip(in, n);
}

/* Descriptors and entries all devices find, for their queues lie in the same places. */
static void describe(struct world *w, struct input *in)
{
	unsigned queue = (unsigned)take(in, 1) % QUEUES;
	struct vring_desc *table = rig_at(w->mem, RIG_RINGS + queue * RIG_RINGS_SIZE);
	struct vring_desc *d = &table[take(in, 1) % RIG_SIZE];

	*d = (struct vring_desc){take(in, 3), (uint32_t)take(in, 3), (uint16_t)take(in, 1),
				 (uint16_t)take(in, 1)};
}

static void offer(struct world *w, struct input *in)
{
	unsigned queue = (unsigned)take(in, 1) % QUEUES;
	struct rig_queue g = {.avail = rig_at(w->mem, RIG_RINGS + queue * RIG_RINGS_SIZE + 0x1000)};

	rig_offer(&g, (uint16_t)take(in, 1));
}

static uint64_t address(struct input *in)
{
	uint64_t device = take(in, 1) % (DEVICES + 1);

	return ARCH_MMIO_BASE + device * ARCH_MMIO_STRIDE + take(in, 2);
}

static void host(struct world *w, struct input *in)
{
	static uint8_t heard[65536];
	size_t n = take(in, 1);

	n = n < in->n ? n : in->n;
	if (n == 0)
		auto_close(&w->host);
	if (w->host < 0)
		return;
	ssize_t r = write(w->host, in->data, n);
	r = read(w->host, heard, sizeof(heard));
	(void)r;
	skip(in, n);
}

/* The same from the stream: a frame behind its length; or as it is, and nothing is read. */
static void stream_frame(struct world *w, const uint8_t *bytes, size_t n, size_t given)
{
	static uint8_t heard[2 * 65536];
	uint32_t length = htobe32((uint32_t)n);
	struct iovec iov[] = {{&length, sizeof(length)}, {(void *)(uintptr_t)bytes, n}};

	if (n == 0 && given == 0)
		auto_close(&w->peer);
	if (w->peer < 0)
		return;
	ssize_t r = given % 2 ? write(w->peer, bytes, given) : writev(w->peer, iov, 2);
	while (given % 2 == 0 && read(w->peer, heard, sizeof(heard)) > 0)
		;
	(void)r;
}

/* A frame from the wire, longer than the input by zeros; what the guest sent is thrown away. */
static void frame(struct world *w, struct input *in)
{
	static uint8_t bytes[2 * 65536];
	size_t n = take(in, 2) * 2;
	size_t given = take(in, 1);

	given = given < in->n ? given : in->n;
	given = given < n ? given : n;
	memset(bytes, 0, n);
	if (given > 0)
		memcpy(bytes, in->data, given);
	skip(in, given);
	stream_frame(w, bytes, n, given);
	ssize_t r = write(w->wire, bytes, n);
	while (read(w->wire, bytes, sizeof(bytes)) > 0)
		;
	(void)r;
}

/* A packet of the share: the answer to what it was asked first, or anything. */
static void answer(struct world *w, struct input *in)
{
	struct fuse_in_header asked = {0};
	uint8_t body[UINT8_MAX];
	bool honest = take(in, 1) & 1;
	size_t n = take(in, 1);

	n = n < in->n ? n : in->n;
	ssize_t r = recv(w->other, &asked, sizeof(asked), 0);
	struct fuse_out_header head = {.len = (uint32_t)(sizeof(head) + n), .unique = asked.unique};
	struct iovec iov[] = {{&head, honest ? sizeof(head) : 0}, {body, n}};
	if (n > 0)
		memcpy(body, in->data, n);
	r = writev(w->other, iov, 2);
	(void)r;
	skip(in, n);
}

/* What the host does to disks while the guest uses them. */
static void change(struct world *w, struct input *in)
{
	struct err ignored = ERR_INIT; /* the guest holds the device, or the size is wrong */
	struct block *b = take(in, 1) % 2 ? &w->disks[1] : &w->place;
	struct limit limit = {0};
	struct block_file file = {.serial = "late", .fd = w->files[1]};

	switch (take(in, 1) % 5) {
	case 0:
		file.size = take(in, 2) * 256;
		file.readonly = take(in, 1) % 2;
		file.fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 3);
		if (block_plug(b, &file, &ignored) < 0)
			auto_close(&file.fd);
		break;
	case 1:
		(void)!block_unplug(b, &ignored);
		break;
	case 2:
		(void)!block_resize(b, take(in, 2) * 256, &ignored);
		break;
	case 4:
		limit.requests = take(in, 1) % 2 ? UINT32_MAX : 0;
		net_limit(&w->net, NET_TO_GUEST, &limit);
		break;
	default:
		limit.bytes = take(in, 4);
		limit.requests = take(in, 2);
		block_limit(b, (unsigned)take(in, 1) % THROTTLE_WAYS, &limit);
		break;
	}
}

static void act(struct world *w, struct input *in)
{
	uint64_t value;
	size_t width;
	uint64_t at;

	switch (take(in, 1) % 12) {
	case 0:
		poke(w, in);
		break;
	case 1:
		describe(w, in);
		break;
	case 2:
		offer(w, in);
		break;
	case 3:
		at = address(in);
		width = 1 + take(in, 1) % 8;
		value = take(in, 8);
		bus_write(&w->bus, at, &value, width);
		break;
	case 4: /* the common case: a whole register */
		at = address(in) & ~3ULL;
		value = take(in, 4);
		bus_write(&w->bus, at, &value, 4);
		break;
	case 5:
		at = address(in);
		bus_read(&w->bus, at, &value, 1 + take(in, 1) % 8);
		break;
	case 6:
		at = take(in, 2);
		value = take(in, 4);
		(void)ports_write(&w->bus.ports, (uint16_t)at, &value, 1U << take(in, 1) % 3);
		ports_read(&w->bus.ports, (uint16_t)at, &value, 1U << take(in, 1) % 3);
		break;
	case 7:
		host(w, in);
		break;
	case 9:
		frame(w, in);
		break;
	case 10:
		answer(w, in);
		break;
	case 11:
		change(w, in);
		break;
	default:
		serve(w);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct gmem *mem;
	struct input in = {data, n};

	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (!mem) {
		struct err err = ERR_INIT;
		mem = rig_memory();
		if (gmem_add_room(mem, GMEM_ROOM_ALIGN, &err) < 0)
			abort();
	}
	struct world *w = calloc(1, sizeof(*w));
	if (!w)
		return 0;
	w->mem = mem;
	make(w);
	for (int i = 0; i < ACTS_MAX && in.n > 0; i++)
		act(w, &in);
	serve(w);
	done(w);
	free(w);
	return 0;
}
