/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "proto/control.h"

int control_open(int run_fd, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "create socket");
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/ctl", run_fd);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return err_set(err, ESRCH, "it is not running");
		return err_sys(err, "connect to the keeper");
	}
	return TAKE_FD(fd);
}

int control_send(int fd, const struct control_request *request, const int *fds, size_t n,
		 struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT;

	record_encode(&control_request_record, request, &bytes);
	int r = buf_check(&bytes, err);
	if (r < 0)
		return r;
	if (bytes.len > CONTROL_PACKET_MAX)
		return err_set(err, E2BIG, "the request of %zu bytes is too large for a keeper",
			       bytes.len);
	if (fd_send(fd, bytes.data, bytes.len, fds, n, 0) >= 0)
		return 0;
	if (errno == EPIPE || errno == ECONNRESET)
		return err_set(err, ECONNRESET, "the workload's keeper is gone");
	return err_sys(err, "send to the keeper");
}

int control_receive(int fd, struct control_reply *ret, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT;

	ssize_t len;
	while ((len = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC)) < 0) {
		if (errno == ECONNRESET)
			return err_set(err, ECONNRESET, "the workload's keeper is gone");
		if (errno != EINTR)
			return err_sys(err, "receive from the keeper");
	}
	char *at = buf_reserve(&bytes, (size_t)len);
	if (!at)
		return buf_check(&bytes, err);
	len = recv(fd, at, (size_t)len, 0);
	if (len < 0)
		return err_sys(err, "receive from the keeper");
	if (len == 0)
		return err_set(err, ECONNRESET, "the workload's keeper is gone");
	return record_decode(&control_reply_record, at, (size_t)len, ret, err);
}

int control_ask(int fd, const struct control_request *request, const int *fds, size_t n,
		struct control_reply *ret, struct err *err)
{
	int r = control_send(fd, request, fds, n, err);
	if (r == 0)
		r = control_receive(fd, ret, err);
	if (r == 0 && ret->code != 0) {
		r = err_set(err, (int)ret->code, "%s",
			    ret->message ? ret->message : "the keeper gives no reason");
		record_done(&control_reply_record, ret);
	}
	return r;
}
