/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/tap.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/queue.h"

static size_t next(struct wire *w, const uint8_t **ret)
{
	const struct tap *t = (const struct tap *)w;

	ssize_t r = read(w->fd, t->frame, WIRE_FRAME_MAX);
	*ret = t->frame;
	return r > WIRE_HEADER ? (size_t)r : 0;
}

static void send_frame(struct wire *w, const struct chain *c)
{
	ssize_t r = writev(w->fd, c->iov, c->n_out);
	(void)r;
}

/* It must hand over only what the driver agreed to take. */
static void agree(struct wire *w, uint64_t features)
{
	static const struct {
		unsigned feature, offload;
	} offloads[] = {
		{VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM},
		{VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4},
		{VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6},
		{VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN},
	};
	unsigned long wanted = 0;

	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++) {
		if (features & 1ULL << offloads[i].feature)
			wanted |= offloads[i].offload;
	}
	if (ioctl(w->fd, TUNSETOFFLOAD, wanted) < 0)
		(void)ioctl(w->fd, TUNSETOFFLOAD, 0UL);
}

/* Fails when the tap is gone. */
static bool attach(struct wire *w, bool on)
{
	struct ifreq ifr = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	return ioctl(w->fd, TUNSETQUEUE, &ifr) == 0;
}

static const struct wire_ops tap_ops = {.next = next,
					.send = send_frame,
					.agree = agree,
					.attach = attach};

int tap_init(struct tap *t, struct err *err)
{
	*t = (struct tap){.wire = {.ops = &tap_ops, .fd = -1}, .frame = malloc(WIRE_FRAME_MAX)};
	return t->frame ? 0 : err_set(err, ENOMEM, "out of memory");
}

int tap_connect(struct tap *t, int fd, struct err *err)
{
	int header = WIRE_HEADER;

	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return err_sys(err, "network: descriptor %d is no tap", fd);
	t->wire.fd = fd;
	return 0;
}

void tap_done(struct tap *t)
{
	free(t->frame);
	t->frame = NULL;
}
