/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message's header is copied once and what goes to the share is the copy, with a number of ours
 * in place of the guest's: whatever the guest writes meanwhile, or numbers twice, each answer finds
 * its own chain. What follows the header is judged by the share, as its copy.
 */
#include "vmm/fs.h"

#include <errno.h>
#include <linux/fuse.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/loop.h"
#include "vmm/fs_ask.h"
#include "vmm/state.h"

/* The queue for forgetting and interrupting comes first (section 5.11.2). */
enum { URGENT, REQUESTS, QUEUES };

/* An answer of so many bytes is small: it is received in one go, and copied. */
enum { NARROW = 4096 + 512 };

/* What the share has been asked, and where the answer goes. */
struct fs_request {
	uint64_t unique; /* the guest's number */
	uint32_t opcode; /* 0: free */
	bool wide; /* its answer may be more than NARROW bytes */
	uint64_t handle; /* that it reads or writes; 0: none */
	uint32_t generation;
	struct chain chain;
};

/* How an answer begins; of an open, all of it; of a small one, too. */
struct answer {
	struct fuse_out_header head;
	union {
		struct fuse_open_out open;
		struct {
			struct fuse_entry_out entry;
			struct fuse_open_out open;
		} create;
		uint8_t body[NARROW - sizeof(struct fuse_out_header)];
	};
};

/* Messages that nobody answers. */
static bool is_silent(uint32_t opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT;
}

/* Messages whose answer tells nothing: the guest has it at once, and the share gives none. */
static bool is_farewell(uint32_t opcode)
{
	return opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR;
}

/* The header that tells of a failure, or with code 0 of a success. */
static int64_t refuse(const struct chain *c, uint64_t unique, int code)
{
	struct fuse_out_header out = {.len = sizeof(out), .error = -code, .unique = unique};

	return (int64_t)chain_write(c, 0, &out, sizeof(out));
}

/* --- requests at the share --- */

static void requests_clear(struct fs *f)
{
	f->n_free = FS_REQUESTS_MAX;
	f->n_wide = 0;
	for (size_t i = 0; i < FS_REQUESTS_MAX; i++) {
		f->free[i] = (uint8_t)i;
		f->requests[i].opcode = 0;
	}
	f->generation++;
}

static uint64_t number_of(const struct fs *f, const struct fs_request *r)
{
	return (uint64_t)f->generation << 32 | (uint64_t)(r - f->requests + 1) << 1;
}

/* The request that the share answers by that number, or NULL. */
static struct fs_request *request_of(const struct fs *f, uint64_t number)
{
	uint64_t i = ((number & UINT32_MAX) >> 1) - 1;
	struct fs_request *r = i < FS_REQUESTS_MAX ? &f->requests[i] : NULL;

	return r && r->opcode && number_of(f, r) == number ? r : NULL;
}

static void request_free(struct fs *f, struct fs_request *r)
{
	r->opcode = 0;
	f->n_wide -= r->wide;
	f->free[f->n_free++] = (uint8_t)(r - f->requests);
	if (f->n_free == FS_REQUESTS_MAX && f->v.held) /* that is waited for */
		(void)pthread_cond_broadcast(&f->v.back);
}

/* The share is gone: what it was asked has failed. */
static void lose(struct fs *f)
{
	struct queue *q = &f->v.queues[REQUESTS];

	for (size_t i = 0; i < FS_REQUESTS_MAX; i++) {
		struct fs_request *r = &f->requests[i];
		if (!r->opcode)
			continue;
		int64_t n = refuse(&r->chain, r->unique, ENOTCONN);
		queue_push(q, r->chain.head, (uint32_t)n);
		request_free(f, r);
	}
	if (virtio_alive(&f->v)) /* else it is told when it is again */
		virtio_tell(&f->v, q);
	fs_files_clear(&f->files);
	watch_remove(&f->watch);
	f->share = -1;
}

/* --- from the guest --- */

/* 1, 0 when the socket is full, -1 when the share is gone. */
static int send_parts(struct fs *f, struct iovec *iov, size_t n, size_t bytes)
{
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};
	/* only for a machine that stands still is there time to wait */
	int wait = f->saving ? 0 : MSG_DONTWAIT;
	ssize_t r;

	do
		r = sendmsg(f->share, &message, wait | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	f->full = f->full || (r < 0 && errno == EAGAIN);
	if (r < 0)
		return errno == EAGAIN ? 0 : -1;
	f->sent++;
	return (size_t)r == bytes ? 1 : -1;
}

/* The guest's message under a header of ours. */
static int send_message(struct fs *f, const struct chain *c, struct fuse_in_header *head)
{
	struct iovec iov[1 + QUEUE_MAX] = {{head, sizeof(*head)}};
	size_t n = chain_part(c, false, sizeof(*head), c->out_bytes, iov + 1);

	return send_parts(f, iov, 1 + n, c->out_bytes);
}

/* Hands the share a message that it does not answer, for it gets the number 0. */
static int64_t say(struct fs *f, const struct chain *c, struct fuse_in_header *head)
{
	bool silent = is_silent(head->opcode);
	uint64_t unique = head->unique;

	head->unique = 0;
	int sent = send_message(f, c, head);
	if (sent == 0)
		return VIRTIO_LATER;
	if (sent < 0)
		lose(f);
	return silent ? 0 : refuse(c, unique, sent < 0 ? ENOTCONN : 0);
}

/* Hands the message, which reads or writes `handle` if any, to the share, and keeps the chain until
 * it answers. */
static int64_t ask(struct fs *f, const struct chain *c, struct fuse_in_header *head,
		   uint64_t handle)
{
	uint64_t unique = head->unique;

	if (f->n_free == 0)
		return VIRTIO_LATER; /* until there is an answer */
	struct fs_request *r = &f->requests[f->free[f->n_free - 1]];
	head->unique = number_of(f, r);
	int sent = send_message(f, c, head);
	if (sent == 0)
		return VIRTIO_LATER;
	if (sent < 0) {
		lose(f);
		return refuse(c, unique, ENOTCONN);
	}
	f->n_free--;
	r->unique = unique;
	r->opcode = head->opcode;
	r->handle = handle;
	chain_copy(&r->chain, c);
	r->wide = c->in_bytes > NARROW;
	f->n_wide += r->wide;
	return VIRTIO_KEPT;
}

/* Tells the share what is forgotten, all in one message. False: it has no room for that now. */
static bool say_forgotten(struct fs *f)
{
	struct fuse_batch_forget_in in = {.count = f->n_forgotten};
	size_t n = f->n_forgotten * sizeof(f->forgotten[0]);
	struct fuse_in_header head = {.len = (uint32_t)(sizeof(head) + sizeof(in) + n),
				      .opcode = FUSE_BATCH_FORGET};
	struct iovec iov[] = {{&head, sizeof(head)}, {&in, sizeof(in)}, {f->forgotten, n}};

	_Static_assert(sizeof(f->forgotten[0]) == sizeof(struct fuse_forget_one), "as it is sent");
	if (n == 0 || f->share < 0)
		return true;
	int sent = send_parts(f, iov, sizeof(iov) / sizeof(iov[0]), head.len);
	if (sent == 0)
		return false;
	f->n_forgotten = 0;
	if (sent < 0)
		lose(f);
	return true;
}

/* A guest that needs memory forgets hundreds of nodes, each by a message. */
static int64_t forget(struct fs *f, const struct chain *c, uint64_t node)
{
	struct fuse_forget_in in;

	if (chain_read(c, sizeof(struct fuse_in_header), &in, sizeof(in)) != sizeof(in))
		return 0;
	if (f->n_forgotten == FS_FORGETS_MAX && !say_forgotten(f))
		return VIRTIO_LATER;
	f->forgotten[f->n_forgotten++] = (struct fs_forgotten){node, in.nlookup};
	return 0;
}

/* Reads what the host has in memory; bytes, or -EAGAIN: that is the share's to do. */
static int64_t read_here(struct fs *f, const struct chain *c, const struct fuse_read_in *in)
{
	struct iovec iov[QUEUE_MAX];
	size_t done = 0;

	int fd = fs_files_get(&f->files, in->fh);
	size_t room = c->in_bytes - sizeof(struct fuse_out_header);
	size_t size = in->size < room ? in->size : room;
	if (fd < 0 || in->offset > (uint64_t)INT64_MAX - size)
		return -EAGAIN;
	while (done < size) {
		size_t n = chain_part(c, true, sizeof(struct fuse_out_header) + done, size - done,
				      iov);
		ssize_t r = preadv2(fd, iov, (int)n, (off_t)(in->offset + done), RWF_NOWAIT);
		if (r < 0 && errno == EOPNOTSUPP) /* of this file system it will never be known */
			fs_files_drop(&f->files, in->fh);
		if (r < 0)
			return -EAGAIN;
		if (r == 0) /* nothing more in the file, which a wait would not change */
			break;
		done += (size_t)r;
	}
	return (int64_t)done;
}

static int64_t read_file(struct fs *f, const struct chain *c, struct fuse_in_header *head)
{
	struct fuse_read_in in;

	if (chain_read(c, sizeof(*head), &in, sizeof(in)) != sizeof(in) ||
	    c->in_bytes < sizeof(struct fuse_out_header))
		return ask(f, c, head, 0);
	int64_t n = read_here(f, c, &in);
	if (n < 0)
		return ask(f, c, head, in.fh);
	struct fuse_out_header out = {.len = (uint32_t)(sizeof(out) + (size_t)n),
				      .unique = head->unique};
	(void)chain_write(c, 0, &out, sizeof(out));
	return out.len;
}

/* Writes into the host's memory, as disks do; bytes or -errno, -EAGAIN: that is the share's to do,
 * as it is while set-user-id bits are there, which go or stay by who writes. */
static int64_t write_here(struct fs *f, const struct chain *c, const struct fuse_write_in *in)
{
	const size_t before = sizeof(struct fuse_in_header) + sizeof(*in);
	struct iovec iov[QUEUE_MAX];
	struct stat st;

	int fd = fs_files_get(&f->files, in->fh);
	if (fd < 0 || in->size != c->out_bytes - before || in->size == 0 ||
	    in->offset > (uint64_t)INT64_MAX - in->size)
		return -EAGAIN;
	/* the C library would take a call that can do more */
	if (syscall(SYS_fstat, fd, &st) < 0 || st.st_mode & (S_ISUID | S_ISGID))
		return -EAGAIN;
	size_t n = chain_part(c, false, before, in->size, iov);
	ssize_t r = pwritev(fd, iov, (int)n, (off_t)in->offset);
	return r < 0 ? -errno : r;
}

static int64_t write_file(struct fs *f, const struct chain *c, struct fuse_in_header *head)
{
	struct fuse_write_in in;

	if (chain_read(c, sizeof(*head), &in, sizeof(in)) != sizeof(in))
		return ask(f, c, head, 0);
	int64_t n = write_here(f, c, &in);
	if (n == -EAGAIN)
		return ask(f, c, head, in.fh);
	if (n < 0)
		return refuse(c, head->unique, (int)-n);
	struct {
		struct fuse_out_header head;
		struct fuse_write_out out;
	} m = {{.len = sizeof(m), .unique = head->unique}, {.size = (uint32_t)n}};
	return (int64_t)chain_write(c, 0, &m, sizeof(m));
}

static void forget_file(struct fs *f, const struct chain *c)
{
	struct fuse_release_in in;

	if (chain_read(c, sizeof(struct fuse_in_header), &in, sizeof(in)) == sizeof(in))
		fs_files_drop(&f->files, in.fh);
}

static int64_t serve_chain(struct virtio *v, const struct chain *c)
{
	struct fs *f = (struct fs *)v;
	struct fuse_in_header in;

	if (chain_read(c, 0, &in, sizeof(in)) != sizeof(in))
		return 0;
	bool silent = is_silent(in.opcode);
	if (in.opcode == FUSE_INTERRUPT) /* what was asked is answered soon in any case */
		return 0;
	if (f->share < 0)
		return silent ? 0 : refuse(c, in.unique, ENOTCONN);
	if (c->out_bytes > FS_MESSAGE_MAX)
		return silent ? 0 : refuse(c, in.unique, E2BIG);
	if (in.opcode >= SHARE_OPCODES) /* only we say such things */
		return refuse(c, in.unique, ENOSYS);
	if (in.opcode == FUSE_READ)
		return read_file(f, c, &in);
	if (in.opcode == FUSE_WRITE)
		return write_file(f, c, &in);
	if (in.opcode == FUSE_FORGET)
		return forget(f, c, in.nodeid);
	if (in.opcode == FUSE_RELEASE)
		forget_file(f, c);
	return silent || is_farewell(in.opcode) ? say(f, c, &in) : ask(f, c, &in, 0);
}

static void serve(struct virtio *v)
{
	struct fs *f = (struct fs *)v;
	struct err ignored = ERR_INIT; /* a watch that cannot be changed stays as it is */

	f->full = false;
	virtio_each(v, URGENT, serve_chain);
	virtio_each(v, REQUESTS, serve_chain);
	(void)say_forgotten(f); /* what somebody waits for goes first */
	if (f->watch)
		(void)!watch_events(f->watch, EPOLLIN | (f->full ? (uint32_t)EPOLLOUT : 0),
				    &ignored);
}

/* --- from the share --- */

/* Keeps the descriptor (taken; -1: none came) of a file that was opened, by the handle it got, or
 * of one that is read or written. r: what was asked; NULL: nobody knows. */
static void note_file(struct fs *f, const struct fs_request *r, const struct answer *a, int fd)
{
	uint32_t opcode = r ? r->opcode : 0;
	bool opened = opcode == FUSE_OPEN && a->head.len == sizeof(a->head) + sizeof(a->open);
	bool created = opcode == FUSE_CREATE && a->head.len == sizeof(a->head) + sizeof(a->create);

	if (opened || created)
		fs_files_put(&f->files, opened ? a->open.fh : a->create.open.fh, fd);
	else if (fd >= 0)
		fs_files_put(&f->files, r ? r->handle : 0, fd);
}

static int passed_fd(struct msghdr *message)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* Takes the next answer off the socket, and its descriptor or -1; its length, however much of it
 * found room. */
static ssize_t take(struct fs *f, struct iovec *iov, size_t n, int *ret_fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = iov,
				 .msg_iovlen = n,
				 .msg_control = &control,
				 /* without the padding, into which a second one would fit */
				 .msg_controllen = CMSG_LEN(sizeof(int))};

	ssize_t r = recvmsg(f->share, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	if (r >= 0)
		*ret_fd = passed_fd(&message);
	return r;
}

/* Whose answer the next one is must be known before, for it goes straight into the guest's
 * buffers: that takes a second look. Returns as take() does. */
static ssize_t take_large(struct fs *f, struct answer *a, int *ret_fd)
{
	struct iovec iov[1 + QUEUE_MAX] = {{a, sizeof(a->head)}};
	size_t n = 1;

	ssize_t r = recv(f->share, a, sizeof(a->head) + sizeof(a->create),
			 MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	if (r < (ssize_t)sizeof(a->head) || (size_t)r != a->head.len)
		return r;
	const struct fs_request *to = request_of(f, a->head.unique);
	if (to && a->head.len <= to->chain.in_bytes)
		n += chain_part(&to->chain, true, sizeof(a->head), a->head.len - sizeof(a->head),
				iov + 1);
	return take(f, iov, n, ret_fd);
}

static ssize_t take_small(struct fs *f, struct answer *a, int *ret_fd)
{
	struct iovec iov = {a, sizeof(*a)};

	return take(f, &iov, 1, ret_fd);
}

/* 1: one answer was taken; 0: there is none; -1: the share is gone. */
static int receive(struct fs *f)
{
	struct queue *q = &f->v.queues[REQUESTS];
	bool large = f->n_wide > 0;
	struct answer a;
	int fd = -1;

	ssize_t n = large ? take_large(f, &a, &fd) : take_small(f, &a, &fd);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	bool sound = n >= (ssize_t)sizeof(a.head) && (size_t)n == a.head.len;
	struct fs_request *r = sound ? request_of(f, a.head.unique) : NULL;
	bool fits = r && a.head.len <= r->chain.in_bytes;
	note_file(f, fits ? r : NULL, &a, fd);
	if (!r) /* asked before a reset */
		return sound ? 1 : -1;
	a.head.unique = r->unique;
	int64_t written = a.head.len;
	if (fits)
		(void)chain_write(&r->chain, 0, &a, large ? sizeof(a.head) : a.head.len);
	else
		written = refuse(&r->chain, r->unique, EIO);
	queue_push(q, r->chain.head, (uint32_t)written);
	request_free(f, r);
	return 1;
}

static int share_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct fs *f = ctx;
	int left = FS_REQUESTS_MAX;
	int r;

	(void)fd;
	(void)events;
	(void)err;
	(void)pthread_mutex_lock(&f->v.lock);
	do /* whether there are more is not asked when nothing more was */
		r = receive(f);
	while (r > 0 && f->n_free < FS_REQUESTS_MAX && --left > 0);
	if (r < 0)
		lose(f);
	if (virtio_alive(&f->v)) {
		virtio_tell(&f->v, &f->v.queues[REQUESTS]);
		serve(&f->v);
	}
	(void)pthread_mutex_unlock(&f->v.lock);
	return 0;
}

/* What the share is still asked finds nobody when it is answered. */
static void reset(struct virtio *v)
{
	requests_clear((struct fs *)v);
}

/* --- written down --- */

/* Whether the share has been asked what it has not answered. A machine that stands still waits for
 * it, a reset does not. */
static bool busy(const struct virtio *v)
{
	return ((const struct fs *)v)->n_free < FS_REQUESTS_MAX;
}

static int save_share(struct fs *f, struct err *err)
{
	if (!say_forgotten(f))
		return err_set(err, ETIMEDOUT, "hull-share takes no messages");
	struct share_save_in in = {.sent = f->sent};
	struct fs_question q = {SHARE_SAVE, &in, sizeof(in), f->saving->file};
	return fs_ask(f->share, &f->sent, &q, &f->written, err);
}

/* Only this thread may send and receive, and it waits for nobody else meanwhile. */
static void serve_held(struct virtio *v)
{
	struct fs *f = (struct fs *)v;
	struct fs_saving *s = f->saving;

	if (!s || s->done)
		return;
	s->answer = save_share(f, s->err);
	s->done = true;
	(void)pthread_cond_broadcast(&v->back);
}

int fs_save(struct fs *f, int file, struct err *err)
{
	struct fs_saving s = {.file = file, .err = err};
	struct timespec until;
	int code = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until); /* as virtio_hold() does */
	until.tv_sec += FS_PATIENCE_MAX_S;
	(void)pthread_mutex_lock(&f->v.lock);
	f->saving = &s;
	virtio_kick(&f->v);
	while (!s.done && code == 0)
		code = pthread_cond_timedwait(&f->v.back, &f->v.lock, &until);
	f->saving = NULL;
	(void)pthread_mutex_unlock(&f->v.lock);
	return s.done ? s.answer : err_set(err, ETIMEDOUT, "the share's thread does not come");
}

static void save(struct virtio *v, struct buf *to)
{
	buf_le32(to, ((struct fs *)v)->written);
}

static int load(struct virtio *v, struct state_reader *from, struct err *err)
{
	struct fs *f = (struct fs *)v;
	struct fs_question q = {SHARE_STATE, NULL, 0, -1};
	uint32_t checksum = 0;

	f->written = state_take32(from);
	int r = state_taken(from, err);
	if (r == 0)
		r = fs_ask(f->share, &f->sent, &q, &checksum, err);
	if (r == 0 && checksum != f->written)
		r = err_set(err, EINVAL, "hull-share was made from the state of another one");
	return r;
}

static const struct virtio_ops fs_ops = {
	.id = VIRTIO_ID_FS,
	.n_queues = QUEUES,
	.serve = serve,
	.reset = reset,
	.busy = busy,
	.serve_held = serve_held,
	.save = save,
	.load = load,
};

int fs_init(struct fs *f, int share, const char *tag, struct loop *loop, const struct gmem *mem,
	    struct err *err)
{
	struct virtio_fs_config config = {.num_request_queues = 1};

	if (strlen(tag) > FS_TAG_MAX)
		return err_set(err, EINVAL, "'%.60s' is too long for a tag", tag);
	*f = (struct fs){.share = share};
	f->requests = calloc(FS_REQUESTS_MAX, sizeof(*f->requests));
	if (!f->requests)
		return err_set(err, ENOMEM, "out of memory");
	requests_clear(f);
	int r = virtio_init(&f->v, &fs_ops, 0, mem, err);
	if (r == 0)
		r = fs_ask_init(share, err);
	if (r == 0)
		r = loop_watch(loop, share, EPOLLIN, share_ready, f, &f->watch, err);
	if (r < 0) {
		fs_done(f);
		return r;
	}
	f->v.label = tag;
	memcpy(config.tag, tag, strlen(tag));
	memcpy(f->v.config, &config, sizeof(config));
	f->v.config_len = sizeof(config);
	return 0;
}

void fs_done(struct fs *f)
{
	watch_remove(&f->watch);
	fs_files_clear(&f->files);
	virtio_done(&f->v);
	free(f->requests);
	f->requests = NULL;
}
