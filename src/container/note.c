/* SPDX-License-Identifier: Apache-2.0 */
#include "container/note.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(NOTE_FDS_MAX * sizeof(int))];
};

int note_pair(int ret[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
		return err_sys(err, "create socket pair");
	return 0;
}

int note_send(int sock, const struct note *note, struct err *err)
{
	struct note copy = *note; /* iovec knows no const */
	struct iovec iov = {&copy, sizeof(copy)};
	union control control = {.bytes = {0}};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (note->n_fds > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(note->n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(note->n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), note->fds, note->n_fds * sizeof(int));
	}
	ssize_t n;
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? err_sys(err, "send to the workload's first process") : 0;
}

/* Puts the descriptors that came into note->fds; all others are -1. */
static void take_fds(struct msghdr *msg, struct note *note)
{
	note->n_fds = 0;
	memset(note->fds, -1, sizeof(note->fds));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		note->n_fds = (uint32_t)n;
		memcpy(note->fds, CMSG_DATA(c), n * sizeof(int));
	}
}

int note_receive(int sock, struct note *ret, struct err *err)
{
	struct iovec iov = {ret, sizeof(*ret)};
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno == ECONNRESET)) {
		ret->n_fds = 0;
		memset(ret->fds, -1, sizeof(ret->fds));
		return 0;
	}
	if (n < 0)
		return err_sys(err, "hear from the workload's first process");
	take_fds(&msg, ret);
	if ((size_t)n != sizeof(*ret)) {
		note_done(ret);
		return err_set(err, EPROTO, "note of %zd bytes", n);
	}
	ret->err.msg[sizeof(ret->err.msg) - 1] = '\0';
	return 1;
}

void note_done(struct note *note)
{
	for (size_t i = 0; i < NOTE_FDS_MAX; i++)
		auto_close(&note->fds[i]);
	note->n_fds = 0;
}
