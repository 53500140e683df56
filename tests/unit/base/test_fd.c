/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "kit.h"

/* Two ends, one to send and one to receive. */
struct wire {
	int from, to;
};

static void wire_done(struct wire *w)
{
	auto_close(&w->from);
	auto_close(&w->to);
}

static struct wire wire_make(int type)
{
	int ends[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		abort();
	return (struct wire){ends[0], ends[1]};
}

TEST(descriptors_come_with_their_bytes_and_close_on_exec)
{
	AUTO(wire_done) struct wire w = wire_make(SOCK_SEQPACKET);
	int fds[FD_PASS_MAX];
	char bytes[8];
	size_t n = FD_PASS_MAX;

	EXPECT_EQ(fd_send(w.from, "abc", 3, (const int[]){w.from, w.to}, 2, 0), 3);
	EXPECT_EQ(fd_receive(w.to, bytes, sizeof(bytes), fds, &n), 3);
	EXPECT_EQ(memcmp(bytes, "abc", 3), 0);
	EXPECT_EQ(n, 2);
	for (size_t i = 0; i < n; i++) {
		EXPECT_EQ(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		auto_close(&fds[i]);
	}
	EXPECT_EQ(fds[2], -1);
	EXPECT_EQ(fds[3], -1);
}

TEST(bytes_go_without_descriptors_too_and_in_pieces)
{
	AUTO(wire_done) struct wire w = wire_make(SOCK_SEQPACKET);
	char one[] = "ab", other[] = "c", bytes[8];
	struct iovec iov[] = {{one, 2}, {other, 1}};
	size_t n = 1;
	int fd = 0;

	EXPECT_EQ(fd_sendv(w.from, iov, 2, NULL, 0, 0), 3);
	EXPECT_EQ(fd_receive(w.to, bytes, sizeof(bytes), &fd, &n), 3);
	EXPECT_EQ(memcmp(bytes, "abc", 3), 0);
	EXPECT_EQ(n, 0);
	EXPECT_EQ(fd, -1);
}

TEST(who_has_room_for_fewer_descriptors_gets_none)
{
	AUTO(wire_done) struct wire w = wire_make(SOCK_SEQPACKET);
	int fds[FD_PASS_MAX] = {w.to, w.to, w.to, w.to}, got[FD_PASS_MAX];
	int before = descriptors();
	char bytes[8];

	for (size_t room = 1; room < FD_PASS_MAX; room++) { /* odd ones have padding behind them */
		size_t n = room;
		EXPECT_EQ(fd_send(w.from, "a", 1, fds, room + 1, 0), 1);
		errno = 0;
		EXPECT_EQ(fd_receive(w.to, bytes, sizeof(bytes), got, &n), -1);
		EXPECT_EQ(errno, E2BIG);
		EXPECT_EQ(n, 0);
		EXPECT_EQ(got[0], -1);
		EXPECT_EQ(got[room - 1], -1);
		EXPECT_EQ(descriptors(), before);
	}
}

TEST(who_has_room_for_fewer_bytes_keeps_no_descriptor)
{
	AUTO(wire_done) struct wire w = wire_make(SOCK_SEQPACKET);
	int before = descriptors();
	char bytes[2];
	size_t n = 1;
	int fd = 0;

	EXPECT_EQ(fd_send(w.from, "abc", 3, &w.to, 1, 0), 3);
	EXPECT_EQ(fd_receive(w.to, bytes, sizeof(bytes), &fd, &n), -1);
	EXPECT_EQ(errno, EMSGSIZE);
	EXPECT_EQ(n, 0);
	EXPECT_EQ(fd, -1);
	EXPECT_EQ(descriptors(), before);
}

TEST(a_stream_is_read_in_parts_the_descriptor_comes_with_the_first)
{
	AUTO(wire_done) struct wire w = wire_make(SOCK_STREAM);
	char bytes[2];
	size_t n = 1;
	int fd = -1;

	EXPECT_EQ(fd_send(w.from, "abc", 3, &w.to, 1, 0), 3);
	EXPECT_EQ(fd_receive(w.to, bytes, sizeof(bytes), &fd, &n), 2);
	EXPECT_EQ(n, 1);
	auto_close(&fd);
	EXPECT_EQ(fd_receive(w.to, bytes, sizeof(bytes), &fd, &n), 1);
	EXPECT_EQ(n, 0);
	EXPECT_EQ(bytes[0], 'c');
}

TEST(nothing_there_and_the_end_are_told_as_the_kernel_tells_them)
{
	AUTO(wire_done) struct wire w = wire_make(SOCK_SEQPACKET);
	char bytes[2];
	size_t n = 1;
	int fd = 0;

	EXPECT_EQ(fd_receive(w.to, bytes, sizeof(bytes), &fd, &n), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(n, 0);
	EXPECT_EQ(fd, -1);
	auto_close(&w.from);
	n = 1;
	EXPECT_EQ(fd_receive(w.to, bytes, sizeof(bytes), &fd, &n), 0);
	EXPECT_EQ(fd_send(w.to, "a", 1, NULL, 0, 0), -1); /* and no SIGPIPE */
	EXPECT_EQ(errno, EPIPE);
}

TEST(more_descriptors_than_a_message_takes_are_not_sent)
{
	AUTO(wire_done) struct wire w = wire_make(SOCK_SEQPACKET);
	int fds[FD_PASS_MAX + 1] = {w.to, w.to, w.to, w.to, w.to};

	EXPECT_EQ(fd_send(w.from, "a", 1, fds, FD_PASS_MAX + 1, 0), -1);
	EXPECT_EQ(errno, E2BIG);
}

TEST(a_descriptor_beyond_the_limit_is_an_error_and_not_silence)
{
	AUTO(wire_done) struct wire w = wire_make(SOCK_SEQPACKET);
	struct rlimit old, low;
	char bytes[2];
	size_t n = 1;
	int fd = -1;

	EXPECT_EQ(fd_send(w.from, "a", 1, &w.to, 1, 0), 1);
	EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){(rlim_t)w.from, old.rlim_max};
	EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
	EXPECT_EQ(fd_receive(w.to, bytes, sizeof(bytes), &fd, &n), -1);
	EXPECT_EQ(errno, E2BIG);
	EXPECT_EQ(fd, -1);
	EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
}
