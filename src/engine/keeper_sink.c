/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/keeper_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* A new open file description of the same pipe or terminal, so that O_NONBLOCK is ours alone. */
static int open_anew(int fd)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void sink_open(struct sink *k, int fd)
{
	struct stat st;

	*k = (struct sink){.fd = fd, .kind = SINK_CLOSED};
	if (fd < 0)
		return;
	if (fstat(fd, &st) < 0) {
		auto_close(&k->fd);
		return;
	}
	k->kind = SINK_FILE;
	if (S_ISSOCK(st.st_mode)) {
		k->kind = SINK_SOCKET;
	} else if (S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd))) {
		int own = open_anew(fd);
		k->kind = own >= 0 ? SINK_OWN : SINK_CAREFUL;
		if (own >= 0) {
			auto_close(&k->fd);
			k->fd = own;
		}
	}
}

static ssize_t careful_write(int fd, const char *bytes, size_t n)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};

	if (poll(&pfd, 1, 0) < 0 || !(pfd.revents & (POLLOUT | POLLERR))) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, bytes, n < PIPE_BUF ? n : PIPE_BUF);
}

ssize_t sink_write(struct sink *k, const char *bytes, size_t n)
{
	ssize_t w = -1;

	errno = EPIPE;
	switch (k->kind) {
	case SINK_CLOSED:
		break;
	case SINK_SOCKET:
		w = send(k->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case SINK_OWN:
	case SINK_FILE:
		w = write(k->fd, bytes, n);
		break;
	case SINK_CAREFUL:
		w = careful_write(k->fd, bytes, n);
		break;
	}
	return w >= 0 ? w : errno == EAGAIN || errno == EINTR ? 0 : -1;
}

bool sink_is_open(const struct sink *k)
{
	return k->kind != SINK_CLOSED;
}

int sink_fd(const struct sink *k)
{
	return k->fd;
}

void sink_close(struct sink *k)
{
	if (k->kind != SINK_CLOSED)
		auto_close(&k->fd);
	k->kind = SINK_CLOSED;
}

ssize_t source_read(int fd, char *bytes, size_t n)
{
	ssize_t r = recv(fd, bytes, n, MSG_DONTWAIT);
	if (r >= 0 || errno != ENOTSOCK)
		return r;

	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	if (poll(&pfd, 1, 0) <= 0) {
		errno = EAGAIN;
		return -1;
	}
	return read(fd, bytes, n);
}
