/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/fs_ask.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"

struct answer {
	struct fuse_out_header head;
	union {
		struct share_state_out state;
		char why[SHARE_WHY_MAX + 1];
	};
};

int fs_ask_init(int share, struct err *err)
{
	struct timeval patience = {.tv_sec = FS_PATIENCE_S};

	if (setsockopt(share, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(share, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return err_sys(err, "the share's socket");
	return 0;
}

static int lost(struct err *err)
{
	return err_set(err, ENOTCONN, "hull-share is gone");
}

/* Receives the answer with that number; others are to questions before a reset, which nobody waits
 * for any more. Its length. */
static ssize_t await(int share, uint64_t number, struct answer *a, struct err *err)
{
	uint64_t until = clock_ms() + FS_PATIENCE_S * UINT64_C(1000);
	ssize_t n;

	do {
		AUTO_CLOSE int file = -1;
		size_t n_files = 1;
		n = fd_receive(share, a, sizeof(a->head) + SHARE_WHY_MAX, &file, &n_files);
		bool cut = n < 0 && (errno == EMSGSIZE || errno == E2BIG);
		if (n == 0 || (n < 0 && errno != EAGAIN && !cut))
			return lost(err);
		if ((n < 0 && !cut) || clock_ms() > until)
			return err_set(err, ETIMEDOUT, "hull-share does not answer");
	} while (n < (ssize_t)sizeof(a->head) || a->head.unique != number);
	return n;
}

/* The text of a failure, n bytes, in a line. */
static int tell_why(struct answer *a, size_t n, struct err *err)
{
	int code = a->head.error < 0 && a->head.error > -4096 ? -a->head.error : EIO;

	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)a->why[i] < ' ' || a->why[i] == 0x7f)
			a->why[i] = '?';
	}
	a->why[n] = '\0';
	const char *unknown = strerrordesc_np(code);
	return err_set(err, code, "hull-share: %s", n > 0 ? a->why : unknown ? unknown : "?");
}

int fs_ask(int share, uint64_t *sent, const struct fs_question *q, uint32_t *ret, struct err *err)
{
	struct fuse_in_header head = {.len = (uint32_t)(sizeof(head) + q->n),
				      .opcode = q->opcode,
				      /* odd, which no request's number is */
				      .unique = *sent << 1 | 1};
	struct iovec iov[2] = {{&head, sizeof(head)}, {.iov_len = q->n}};
	struct answer a = {0};

	memcpy(&iov[1].iov_base, &q->body, sizeof(q->body)); /* which is not written to */
	if (share < 0)
		return lost(err);
	if (fd_sendv(share, iov, 2, &q->file, q->file >= 0, 0) < 0)
		return errno == EAGAIN ? err_set(err, ETIMEDOUT, "hull-share takes no questions")
				       : lost(err);
	(*sent)++;
	ssize_t n = await(share, head.unique, &a, err);
	if (n < 0)
		return (int)n;
	size_t len = (size_t)n - sizeof(a.head);
	if (a.head.error != 0)
		return tell_why(&a, len, err);
	if (len != sizeof(a.state))
		return err_set(err, EPROTO, "hull-share answers something else");
	*ret = a.state.checksum;
	return 0;
}
