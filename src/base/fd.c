/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(FD_PASS_MAX * sizeof(int))];
};

void auto_close(int *fd)
{
	if (*fd < 0)
		return;
	int saved = errno;
	(void)close(*fd);
	*fd = -1;
	errno = saved;
}

ssize_t fd_sendv(int sock, struct iovec *iov, size_t n_iov, const int *fds, size_t n_fds, int flags)
{
	union control control = {.space = {0}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n_iov};
	ssize_t sent;

	if (n_fds > FD_PASS_MAX) {
		errno = E2BIG;
		return -1;
	}
	if (n_fds > 0) {
		size_t n = n_fds * sizeof(int);
		control.head = (struct cmsghdr){CMSG_LEN(n), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.head), fds, n);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n);
	}
	do
		sent = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

ssize_t fd_send(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds, int flags)
{
	struct iovec iov = {.iov_len = n};

	memcpy(&iov.iov_base, &bytes, sizeof(bytes)); /* which is not written to */
	return fd_sendv(sock, &iov, 1, fds, n_fds, flags);
}

/* The descriptors that came, which found room in fds; how many. */
static size_t take_fds(struct msghdr *msg, int *fds)
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	}
	return n;
}

ssize_t fd_receive(int sock, void *bytes, size_t room, int *ret_fds, size_t *n_fds)
{
	union control control;
	struct iovec iov = {bytes, room};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		/* without the padding, into which one more would fit: the kernel keeps the rest */
		.msg_controllen = CMSG_LEN(*n_fds * sizeof(int)),
	};
	ssize_t came;

	assert(*n_fds > 0 && *n_fds <= FD_PASS_MAX);
	memset(ret_fds, -1, *n_fds * sizeof(int));
	*n_fds = 0;
	do
		came = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (came < 0 && errno == EINTR);
	if (came < 0)
		return -1;
	size_t n = take_fds(&msg, ret_fds);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		while (n > 0)
			auto_close(&ret_fds[--n]);
		errno = msg.msg_flags & MSG_TRUNC ? EMSGSIZE : E2BIG;
		return -1;
	}
	*n_fds = n;
	return came;
}
