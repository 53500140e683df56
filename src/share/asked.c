/* SPDX-License-Identifier: Apache-2.0 */
/* What the monitor asks itself. Messages that nobody answers, such as that a file is closed, may be
 * in another thread's hands when the monitor asks for what there is: it tells how many it has sent,
 * and so many have to be done with. */
#include <errno.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "proto/share.h"
#include "share/share.h"

static struct {
	uint64_t done; /* messages; atomic */
	bool awaited; /* somebody waits for it to grow; atomic */
	pthread_mutex_t lock;
	pthread_cond_t grown;
} count = {.lock = PTHREAD_MUTEX_INITIALIZER, .grown = PTHREAD_COND_INITIALIZER};

static struct {
	enum { NOTHING, STATE, HISTORY } what; /* atomic */
	uint32_t checksum;
} made_from;

void share_made_from(uint32_t checksum)
{
	made_from.what = STATE;
	made_from.checksum = checksum;
}

void share_begin(void)
{
	if (__atomic_load_n(&made_from.what, __ATOMIC_RELAXED) == STATE)
		__atomic_store_n(&made_from.what, HISTORY, __ATOMIC_RELAXED);
}

void share_count(void)
{
	(void)__atomic_add_fetch(&count.done, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&count.awaited, __ATOMIC_SEQ_CST))
		return;
	(void)pthread_mutex_lock(&count.lock);
	(void)pthread_cond_broadcast(&count.grown);
	(void)pthread_mutex_unlock(&count.lock);
}

static bool is_done(uint64_t sent)
{
	return __atomic_load_n(&count.done, __ATOMIC_SEQ_CST) >= sent;
}

static int wait_for(uint64_t sent, struct err *err)
{
	struct timespec until = clock_after(SHARE_PATIENCE_MS);
	int code = 0;

	(void)pthread_mutex_lock(&count.lock);
	__atomic_store_n(&count.awaited, true, __ATOMIC_SEQ_CST);
	while (!is_done(sent) && code == 0)
		code = pthread_cond_clockwait(&count.grown, &count.lock, CLOCK_MONOTONIC, &until);
	__atomic_store_n(&count.awaited, false, __ATOMIC_SEQ_CST);
	(void)pthread_mutex_unlock(&count.lock);
	return code ? err_set(err, code, "what the guest asked before does not end") : 0;
}

static int save(const void *message, size_t n, int file, pthread_rwlock_t *serving,
		uint32_t *ret_checksum, struct err *err)
{
	struct share_save_in in;

	if (file < 0 || n != sizeof(struct fuse_in_header) + sizeof(in))
		return err_set(err, EINVAL, "a state is written to one file");
	memcpy(&in, (const uint8_t *)message + sizeof(struct fuse_in_header), sizeof(in));
	int r = wait_for(in.sent, err);
	if (r < 0)
		return r;
	(void)pthread_rwlock_wrlock(serving);
	r = share_save(file, ret_checksum, err);
	(void)pthread_rwlock_unlock(serving);
	return r;
}

static int tell_state(uint32_t *ret_checksum, struct err *err)
{
	switch (__atomic_load_n(&made_from.what, __ATOMIC_RELAXED)) {
	case NOTHING:
		return err_set(err, ENOENT, "it was not made from a state");
	case HISTORY:
		return err_set(err, EBUSY, "it has gone on from its state already");
	case STATE:
		break;
	}
	*ret_checksum = made_from.checksum;
	return 0;
}

void share_asked(int channel, const void *message, size_t n, int file, pthread_rwlock_t *serving)
{
	struct share_state_out state = {0};
	AUTO_CLOSE int own = file;
	struct err err = ERR_INIT;
	struct fuse_in_header in;

	memcpy(&in, message, sizeof(in));
	int r = in.opcode == SHARE_SAVE ? save(message, n, own, serving, &state.checksum, &err)
					: tell_state(&state.checksum, &err);
	auto_close(&own); /* before whoever sent it hears of it */
	struct fuse_out_header out = {.error = r, .unique = in.unique};
	struct iovec iov[2] = {{&out, sizeof(out)}, {&state, sizeof(state)}};
	if (r < 0)
		iov[1] = (struct iovec){err.msg, strnlen(err.msg, SHARE_WHY_MAX)};
	out.len = (uint32_t)(sizeof(out) + iov[1].iov_len);
	/* a monitor that is gone is noticed by the next read */
	(void)!fd_sendv(channel, iov, 2, NULL, 0, 0);
}
