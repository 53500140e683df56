/* SPDX-License-Identifier: Apache-2.0 */
/* libfuse over a socket instead of /dev/fuse. */
#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "proto/share.h"
#include "share/fuse.h"
#include "share/share.h"

enum {
	WRITE_MAX = 128 * 1024, /* a message has to fit into the socket's buffer */
	THREADS = 4, /* so many messages may wait for storage at one time */
	STACK = 512 * 1024, /* with the buffers that each thread has */
};

static void refuse(int fd, const void *bytes, size_t n, int code)
{
	struct fuse_in_header in = {0};

	memcpy(&in, bytes, n < sizeof(in) ? n : sizeof(in));
	if (in.opcode == FUSE_FORGET || in.opcode == FUSE_BATCH_FORGET ||
	    in.opcode == FUSE_INTERRUPT || in.unique == 0)
		return; /* nobody waits for an answer */
	struct fuse_out_header out = {.len = sizeof(out), .error = -code, .unique = in.unique};
	/* a monitor that is gone is noticed by the next read */
	ssize_t w = write(fd, &out, sizeof(out));
	(void)w;
}

/* What libfuse does not hand on of the message that this thread serves. */
static _Thread_local struct {
	bool drops_setid;
	bool offers_setid; /* it is the first one, and the guest leaves these bits to us if we like
			    */
	bool refused; /* it was answered so */
} beside;

static void look_beside(const void *bytes)
{
	struct fuse_in_header head;
	struct fuse_init_in init;

	memcpy(&head, bytes, sizeof(head));
	beside.drops_setid = message_drops_setid(bytes);
	beside.offers_setid = beside.refused = false;
	if (head.opcode != FUSE_INIT)
		return;
	memcpy(&init, (const uint8_t *)bytes + sizeof(head), offsetof(struct fuse_init_in, flags2));
	beside.offers_setid = init.flags & FUSE_HANDLE_KILLPRIV_V2;
}

bool share_drops_setid(void)
{
	return beside.drops_setid;
}

/*
 * This libfuse knows nothing of FUSE_HANDLE_KILLPRIV_V2. With it the guest does not ask for an
 * attribute before each write; the host's kernel drops a file's capabilities, and we its bits.
 */
static void take_setid(const struct iovec *iov, int n)
{
	struct fuse_init_out out;

	if (!beside.offers_setid || n < 2 || iov[1].iov_len < sizeof(out))
		return;
	memcpy(&out, iov[1].iov_base, sizeof(out));
	out.flags |= FUSE_HANDLE_KILLPRIV_V2;
	memcpy(iov[1].iov_base, &out, sizeof(out));
}

static bool is_monitors(const void *bytes, size_t n)
{
	struct fuse_in_header in;

	if (n < sizeof(in))
		return false;
	memcpy(&in, bytes, sizeof(in));
	return in.len == n && (in.opcode == SHARE_SAVE || in.opcode == SHARE_STATE);
}

/* Whether the message, which came with `file` (taken; -1: none), is for libfuse to see; else it has
 * been dealt with. */
static bool sort_out(int fd, const void *bytes, size_t n, int file, pthread_rwlock_t *serving)
{
	AUTO_CLOSE int own = file;

	if (is_monitors(bytes, n)) {
		share_asked(fd, bytes, n, TAKE_FD(own), serving);
		return false;
	}
	int code = message_judge(bytes, n);
	if (code) {
		refuse(fd, bytes, n, code);
		return false;
	}
	share_begin();
	look_beside(bytes);
	return true;
}

/* The next message that libfuse may see. Only the monitor's own come with a file. */
static ssize_t read_message(int fd, void *to, size_t n, void *ctx)
{
	for (;;) {
		AUTO_CLOSE int file = -1;
		size_t n_files = 1;
		memset(to, 0, sizeof(struct fuse_in_header));
		ssize_t r = fd_receive(fd, to, n, &file, &n_files);
		int code = r < 0 ? errno : 0;
		bool cut = code == EMSGSIZE || code == E2BIG;
		if (r == 0) /* the machine has ended: libfuse knows this as the end */
			errno = ENODEV;
		if (r <= 0 && !cut)
			return -1;
		if (cut) /* a file that does not come: for want of a descriptor */
			refuse(fd, to, sizeof(struct fuse_in_header),
			       code == E2BIG ? EMFILE : code);
		else if (sort_out(fd, to, (size_t)r, TAKE_FD(file), ctx))
			return r;
		share_count();
	}
}

/* What goes with the next answer of this thread; -1: nothing. */
static _Thread_local int passing = -1;

void share_pass(int fd)
{
	passing = fd;
}

static ssize_t write_message(int fd, struct iovec *iov, int n, void *ctx)
{
	struct fuse_out_header out;
	int file = passing;

	(void)ctx;
	passing = -1;
	memcpy(&out, iov[0].iov_base, sizeof(out)); /* how libfuse begins each */
	beside.refused = out.error != 0;
	take_setid(iov, n);
	if (out.unique == 0) /* asked by who wants no answer */
		return out.len;
	return fd_sendv(fd, iov, (size_t)n, &file, file >= 0, 0);
}

static void op_init(void *ctx, struct fuse_conn_info *conn)
{
	(void)ctx;
	conn->max_write = WRITE_MAX;
	/* locks and writing back are the guest's own; what it caches it asks about */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_POSIX_LOCKS |
				  FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_WRITEBACK_CACHE);
}

/* --- threads --- */

struct server {
	struct fuse_session *session;
	bool confined;
	/* Held by who serves a message; by one alone for those that change the session, and at the
	 * end, which so comes after what was begun. */
	pthread_rwlock_t serving;
};

static bool changes_session(const struct fuse_buf *b)
{
	struct fuse_in_header in;

	memcpy(&in, b->mem, sizeof(in)); /* judged to be there */
	return in.opcode == FUSE_INIT || in.opcode == FUSE_DESTROY;
}

/* Keeps the message that began the session, for a state; the one that ends it takes it away. */
static void session_changed(const struct fuse_buf *b)
{
	struct fuse_in_header head;
	size_t most = sizeof(head) + sizeof(struct fuse_init_in);
	size_t n = b->size < most ? b->size : most;

	_Static_assert(sizeof(head) + sizeof(struct fuse_init_in) <= SHARE_HELLO_MAX, "it fits");
	if (beside.refused)
		return;
	memcpy(&head, b->mem, sizeof(head));
	share_hello.n = head.opcode == FUSE_INIT ? n : 0;
	memcpy(share_hello.bytes, b->mem, share_hello.n);
	head.len = (uint32_t)n;
	head.unique = 0;
	memcpy(share_hello.bytes, &head, sizeof(head));
}

/* Makes libfuse believe that the guest's session has begun, as a state says: what it would answer
 * the guest has long got. */
static int begin_again(struct fuse_session *session, struct err *err)
{
	struct share_hello hello = share_hello;
	struct fuse_buf b = {.mem = hello.bytes, .size = hello.n};

	if (hello.n == 0)
		return 0;
	look_beside(hello.bytes);
	fuse_session_process_buf(session, &b);
	return beside.refused ? err_set(err, EINVAL, "the guest's session does not begin again")
			      : 0;
}

/* Returns only when it cannot be confined. */
static int serve(struct server *s, struct err *err)
{
	struct fuse_buf b = {0};
	int r = s->confined ? share_confine(err) : 0;

	if (r < 0)
		return r;
	while ((r = fuse_session_receive_buf(s->session, &b)) > 0 || r == -EINTR) {
		if (r == -EINTR)
			continue;
		bool alone = changes_session(&b);
		if (alone)
			(void)pthread_rwlock_wrlock(&s->serving);
		else
			(void)pthread_rwlock_rdlock(&s->serving);
		fuse_session_process_buf(s->session, &b);
		if (alone)
			session_changed(&b);
		(void)pthread_rwlock_unlock(&s->serving);
		share_count();
	}
	(void)pthread_rwlock_wrlock(&s->serving);
	_exit(0);
}

static void *serve_thread(void *ctx)
{
	struct err err = ERR_INIT;

	if (serve(ctx, &err) < 0)
		(void)fprintf(stderr, "hull-share: %s\n", err.msg);
	_exit(1);
}

static int start_threads(struct server *s, struct err *err)
{
	pthread_t thread;
	pthread_attr_t attr;
	int code = pthread_attr_init(&attr);

	if (code == 0)
		code = pthread_attr_setstacksize(&attr, STACK);
	for (int i = 1; i < THREADS && code == 0; i++)
		code = pthread_create(&thread, &attr, serve_thread, s);
	return code ? err_set(err, code, "start a thread: %s", strerrordesc_np(code)) : 0;
}

int share_serve(int channel, bool confined, struct err *err)
{
	static const struct fuse_custom_io io = {.writev = write_message, .read = read_message};
	static struct server server = {.serving = PTHREAD_RWLOCK_INITIALIZER};
	struct fuse_lowlevel_ops ops = {.init = op_init};
	AUTO_CLOSE int own = channel;
	char name[] = "hull-share";
	char *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);

	ops_names(&ops);
	ops_files(&ops);
	ops_dirs(&ops);
	ops_xattr(&ops);
	server.session = fuse_session_new(&args, &ops, sizeof(ops), &server.serving);
	server.confined = confined;
	if (!server.session)
		return err_set(err, ENOMEM, "libfuse makes no session");
	int r = fuse_session_custom_io(server.session, &io, own);
	if (r < 0)
		return err_set(err, -r, "libfuse: %s", strerrordesc_np(-r));
	(void)TAKE_FD(own); /* the session's */
	r = begin_again(server.session, err);
	if (r == 0)
		r = start_threads(&server, err);
	return r < 0 ? r : serve(&server, err);
}
