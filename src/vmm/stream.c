/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading takes as many frames at once as there are, and they are handed out where they lie: the
 * header of zeros is written over what is in front of a frame, its length and the end of the frame
 * before, which has been taken by then.
 *
 * A frame that was sent in part must be sent to its end, or the other end takes the next one for
 * it. What is left of it is copied, so that it depends neither on the guest's memory nor on a
 * driver that resets its device.
 */
#include "vmm/stream.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/queue.h"

enum {
	LENGTH = sizeof(uint32_t),
	IN_BEGIN = WIRE_HEADER - LENGTH, /* room for the first frame's header */
	IN_SIZE = IN_BEGIN + LENGTH + STREAM_FRAME_MAX,
	OUT_SIZE = LENGTH + STREAM_FRAME_MAX,
};

/* --- to the guest --- */

/* The bytes of the first frame, 0 when it has not come to its end yet. No station sends less than
 * an Ethernet header: when a length is none, nothing behind it can be told from anything else. */
static size_t whole_frame(struct stream *s)
{
	size_t have = s->in_end - s->in_at;
	uint32_t length;

	if (have < LENGTH)
		return 0;
	memcpy(&length, s->in + s->in_at, LENGTH);
	length = be32toh(length);
	if (length < ETH_HLEN || length > STREAM_FRAME_MAX) {
		s->wire.lost = "the stream has a length that no frame can have";
		return 0;
	}
	return have - LENGTH >= length ? length : 0;
}

/* There is always room for the rest of a frame that has begun. */
static void make_room(struct stream *s)
{
	size_t have = s->in_end - s->in_at;

	if (s->in_at == IN_BEGIN)
		return;
	memmove(s->in + IN_BEGIN, s->in + s->in_at, have);
	s->in_at = IN_BEGIN;
	s->in_end = IN_BEGIN + have;
}

/* Whether something came. */
static bool fill(struct stream *s)
{
	make_room(s);
	ssize_t r = read(s->wire.fd, s->in + s->in_end, IN_SIZE - s->in_end);
	if (r > 0) {
		s->in_end += (size_t)r;
		return true;
	}
	if (r == 0)
		s->wire.lost = "the other end of the stream is closed";
	else if (errno != EAGAIN && errno != EINTR)
		s->wire.lost = "the stream cannot be read";
	return false;
}

static size_t next(struct wire *w, const uint8_t **ret)
{
	struct stream *s = (struct stream *)w;
	size_t n = 0;

	while (!w->lost && (n = whole_frame(s)) == 0) {
		if (w->lost || !fill(s))
			return 0;
	}
	if (n == 0)
		return 0;
	uint8_t *frame = s->in + s->in_at + LENGTH - WIRE_HEADER;
	memset(frame, 0, WIRE_HEADER);
	s->in_at += LENGTH + n;
	*ret = frame;
	return WIRE_HEADER + n;
}

/* --- from the guest --- */

/* How many bytes went of those that writev() or write() answered r for. */
static size_t sent(struct stream *s, ssize_t r)
{
	if (r >= 0)
		return (size_t)r;
	if (errno != EAGAIN && errno != EINTR)
		s->wire.lost = "the other end of the stream is closed";
	return 0;
}

static bool is_ready(struct wire *w)
{
	struct stream *s = (struct stream *)w;

	if (!w->lost && s->out_at < s->out_end)
		s->out_at += sent(s, write(w->fd, s->out + s->out_at, s->out_end - s->out_at));
	return w->lost || s->out_at == s->out_end;
}

static void send_frame(struct wire *w, const struct chain *c)
{
	struct stream *s = (struct stream *)w;
	size_t n = c->out_bytes - WIRE_HEADER;
	uint32_t length = htobe32((uint32_t)n);
	struct iovec iov[QUEUE_MAX + 1] = {{&length, LENGTH}};

	if (w->lost)
		return;
	size_t parts = 1 + chain_part(c, false, WIRE_HEADER, n, iov + 1);
	s->out_at = sent(s, writev(w->fd, iov, (int)parts));
	s->out_end = LENGTH + n;
	if (s->out_at == s->out_end)
		return;
	memcpy(s->out, &length, LENGTH);
	(void)chain_read(c, WIRE_HEADER, s->out + LENGTH, n);
}

/* --- its life --- */

static const struct wire_ops stream_ops = {.next = next, .is_ready = is_ready, .send = send_frame};

static bool is_stream(int fd)
{
	struct sockaddr_storage peer = {0};
	socklen_t peer_len = sizeof(peer), len = sizeof(int);
	int type = 0;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
	       peer.ss_family == AF_UNIX;
}

int stream_init(struct stream *s, int fd, struct err *err)
{
	*s = (struct stream){.wire = {.ops = &stream_ops, .fd = fd}};
	if (!is_stream(fd))
		return err_set(err, EINVAL, "network: descriptor %d is no connected stream socket",
			       fd);
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_sys(err, "network: descriptor %d", fd);
	s->in = malloc(IN_SIZE);
	s->in_at = s->in_end = IN_BEGIN;
	s->out = malloc(OUT_SIZE);
	return s->in && s->out ? 0 : err_set(err, ENOMEM, "out of memory");
}

void stream_done(struct stream *s)
{
	free(s->in);
	free(s->out);
	s->in = s->out = NULL;
}
