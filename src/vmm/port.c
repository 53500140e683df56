/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of what the guest says on the control queue only three things matter: the driver is there, the
 * port is, the port is open or not. What it is told are `words`, each sent once a buffer is there.
 */
#include "vmm/port.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/state.h"

enum { TO_GUEST, FROM_GUEST, WORD_TO_GUEST, WORD_FROM_GUEST, QUEUES };

/* In the order of telling. */
enum word { WORD_ADD, WORD_NAME, WORD_OPEN, WORD_CLOSED, WORDS };

static const struct {
	uint16_t event, value;
} words[WORDS] = {
	[WORD_ADD] = {VIRTIO_CONSOLE_PORT_ADD, 1},
	[WORD_NAME] = {VIRTIO_CONSOLE_PORT_NAME, 1},
	[WORD_OPEN] = {VIRTIO_CONSOLE_PORT_OPEN, 1},
	[WORD_CLOSED] = {VIRTIO_CONSOLE_PORT_OPEN, 0},
};

/* --- bytes --- */

static int64_t send_chain(struct virtio *v, const struct chain *c)
{
	struct port *p = (struct port *)v;
	struct iovec iov[QUEUE_MAX];
	size_t n = chain_part(c, false, p->sent, c->out_bytes, iov);

	ssize_t r = n > 0 ? writev(p->fd, iov, (int)n) : 0;
	p->sending = false;
	if (r < 0 && (errno == EAGAIN || errno == EINTR)) {
		p->sending = true;
		return VIRTIO_LATER;
	}
	if (r >= 0 && p->sent + (size_t)r < c->out_bytes) {
		p->sent += (size_t)r;
		p->sending = true;
		return VIRTIO_LATER;
	}
	p->sent = 0; /* or nobody is there any more to take it */
	return 0;
}

static int64_t fill_chain(struct virtio *v, const struct chain *c)
{
	struct port *p = (struct port *)v;

	if (!p->open || p->closed)
		return VIRTIO_LATER;
	if (c->n_in == 0)
		return 0;
	ssize_t r = readv(p->fd, c->iov + c->n_out, c->n_in);
	p->starving = false;
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return VIRTIO_LATER;
	if (r <= 0) {
		p->closed = true;
		p->due |= 1U << WORD_CLOSED;
		return VIRTIO_LATER;
	}
	p->starving = true; /* until the next chain says otherwise */
	return r;
}

/* --- words --- */

static int64_t hear(struct virtio *v, const struct chain *c)
{
	struct port *p = (struct port *)v;
	struct virtio_console_control word;

	if (chain_read(c, 0, &word, sizeof(word)) != sizeof(word))
		return 0;
	if (word.event == VIRTIO_CONSOLE_DEVICE_READY && word.value == 1)
		p->due |= 1U << WORD_ADD;
	else if (word.id != 0) /* the only port's */
		return 0;
	else if (word.event == VIRTIO_CONSOLE_PORT_READY && word.value == 1)
		p->due |= 1U << WORD_NAME | (p->closed ? 0 : 1U << WORD_OPEN);
	else if (word.event == VIRTIO_CONSOLE_PORT_OPEN)
		p->open = word.value == 1;
	return 0;
}

static int64_t say(struct virtio *v, const struct chain *c)
{
	struct port *p = (struct port *)v;

	if (p->due == 0)
		return VIRTIO_LATER;
	unsigned w = (unsigned)__builtin_ctz(p->due);
	struct virtio_console_control word = {.event = words[w].event, .value = words[w].value};
	size_t n = chain_write(c, 0, &word, sizeof(word));
	if (w == WORD_NAME)
		n += chain_write(c, n, p->name, strlen(p->name));
	p->due &= ~(1U << w);
	return (int64_t)n;
}

static void serve(struct virtio *v)
{
	struct port *p = (struct port *)v;
	struct err ignored = ERR_INIT; /* a watch that cannot be changed stays as it is */

	virtio_each(v, WORD_FROM_GUEST, hear);
	virtio_each(v, FROM_GUEST, send_chain);
	p->starving = true; /* unless fill_chain() is asked */
	virtio_each(v, TO_GUEST, fill_chain);
	virtio_each(v, WORD_TO_GUEST, say);
	uint32_t events = (p->sending ? (uint32_t)EPOLLOUT : 0) |
			  (p->open && !p->starving && !p->closed ? (uint32_t)EPOLLIN : 0);
	if (p->watch)
		(void)!watch_events(p->watch, events, &ignored);
}

static void reset(struct virtio *v)
{
	struct port *p = (struct port *)v;

	p->sent = 0;
	p->sending = p->open = false;
	p->due = 0;
}

/* The bytes go on where they stood; whoever is at the socket's other end knows where that is. */
static void save(struct virtio *v, struct buf *to)
{
	const struct port *p = (const struct port *)v;

	buf_add(to, p->name, sizeof(p->name));
	buf_le64(to, p->sent);
	state_put_flag(to, p->open);
	state_put_flag(to, p->closed);
	buf_le32(to, p->due);
}

/* `sent` may be anything: a chain that is shorter has been sent. */
static int load(struct virtio *v, struct state_reader *from, struct err *err)
{
	struct port *p = (struct port *)v;

	if (!state_take_same(from, p->name, sizeof(p->name)))
		return err_set(err, EINVAL, "its port has another name than it had");
	p->sent = state_take64(from);
	p->open = state_take_flag(from);
	bool was_closed = state_take_flag(from);
	p->due = state_take32(from);
	if (p->due >= 1U << WORDS)
		return err_set(err, EINVAL, "the guest cannot be told what the state says");
	p->due &= ~(1U << WORD_CLOSED);
	if (was_closed) /* the host is back */
		p->due |= 1U << WORD_OPEN;
	return 0;
}

static int socket_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct port *p = ctx;

	(void)fd;
	(void)err;
	(void)pthread_mutex_lock(&p->v.lock);
	if (events & (EPOLLHUP | EPOLLERR)) /* told without end: what is left is read as asked */
		watch_remove(&p->watch);
	if (virtio_alive(&p->v)) {
		serve(&p->v);
	} else if (p->watch) {
		struct err ignored = ERR_INIT;
		(void)!watch_events(p->watch, 0, &ignored);
	}
	(void)pthread_mutex_unlock(&p->v.lock);
	return 0;
}

static const struct virtio_ops port_ops = {
	.id = VIRTIO_ID_CONSOLE,
	.features = 1ULL << VIRTIO_CONSOLE_F_MULTIPORT,
	.n_queues = QUEUES,
	.serve = serve,
	.reset = reset,
	.save = save,
	.load = load,
};

int port_init(struct port *p, int fd, const char *name, struct loop *loop, const struct gmem *mem,
	      struct err *err)
{
	AUTO_CLOSE int own = fd;
	struct virtio_console_config config = {.max_nr_ports = 1};

	if (strlen(name) >= sizeof(p->name))
		return err_set(err, EINVAL, "'%.40s' is too long for a port's name", name);
	if (fcntl(own, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_sys(err, "channel: descriptor %d", own);
	int r = virtio_init(&p->v, &port_ops, 0, mem, err);
	if (r == 0)
		r = loop_watch(loop, own, 0, socket_ready, p, &p->watch, err);
	if (r < 0) {
		virtio_done(&p->v);
		return r;
	}
	memcpy(p->v.config, &config, sizeof(config));
	p->v.config_len = sizeof(config);
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	p->v.label = p->name;
	p->fd = TAKE_FD(own);
	return 0;
}

void port_done(struct port *p)
{
	if (!p->v.ops)
		return;
	watch_remove(&p->watch);
	virtio_done(&p->v);
	auto_close(&p->fd);
}
