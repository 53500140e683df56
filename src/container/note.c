/* SPDX-License-Identifier: Apache-2.0 */
#include "container/note.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

int note_pair(int ret[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
		return err_sys(err, "create socket pair");
	return 0;
}

int note_send(int sock, const struct note *note, struct err *err)
{
	return fd_send(sock, note, sizeof(*note), note->fds, note->n_fds, 0) < 0
		       ? err_sys(err, "send to the workload's first process")
		       : 0;
}

int note_receive(int sock, struct note *ret, struct err *err)
{
	int fds[NOTE_FDS_MAX];
	size_t n_fds = NOTE_FDS_MAX;

	ssize_t n = fd_receive(sock, ret, sizeof(*ret), fds, &n_fds);
	ret->n_fds = (uint32_t)n_fds;
	memcpy(ret->fds, fds, sizeof(fds));
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return 0;
	if (n < 0)
		return err_sys(err, "hear from the workload's first process");
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
