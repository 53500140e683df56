/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/criu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/proc.h"

enum { MESSAGE_MAX = 65536, LOG_MAX = 64 << 20 };

/* Of criu_req, criu_resp and criu_notify. */
enum { REQ_TYPE = 1, REQ_OPTS = 2, REQ_NOTIFY_SUCCESS = 3 };
enum { RESP_TYPE = 1, RESP_SUCCESS = 2, RESP_RESTORE = 4, RESP_NOTIFY = 5 };
enum { RESTORE_PID = 1, NOTIFY_SCRIPT = 1, NOTIFY_PID = 2 };
enum { TYPE_NOTIFY = 6 };

/* How a member is written (protocol buffers, "Encoding"). */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, WIRE_BITS = 3 };

static void put_varint(struct buf *to, uint64_t value)
{
	do {
		uint8_t byte = value & 0x7f;
		value >>= 7;
		byte = (uint8_t)(byte | (value ? 0x80 : 0));
		buf_add(to, &byte, 1);
	} while (value);
}

static void put_bytes(struct buf *to, unsigned member, const void *bytes, size_t n)
{
	put_varint(to, member << WIRE_BITS | WIRE_BYTES);
	put_varint(to, n);
	buf_add(to, bytes, n);
}

void criu_number(struct buf *to, unsigned member, uint64_t value)
{
	put_varint(to, member << WIRE_BITS | WIRE_VARINT);
	put_varint(to, value);
}

void criu_text(struct buf *to, unsigned member, const char *text)
{
	put_bytes(to, member, text, strlen(text));
}

static void put_message(struct buf *to, unsigned member, const struct buf *inner)
{
	put_bytes(to, member, inner->data ? inner->data : "", inner->len);
	to->bad |= inner->bad;
}

void criu_text_pair(struct buf *to, unsigned member, const char *first, const char *second)
{
	AUTO_BUF struct buf inner = BUF_INIT;

	criu_text(&inner, 1, first);
	criu_text(&inner, 2, second);
	put_message(to, member, &inner);
}

void criu_fd_pair(struct buf *to, unsigned member, const char *key, int fd)
{
	AUTO_BUF struct buf inner = BUF_INIT;

	criu_text(&inner, 1, key);
	criu_number(&inner, 2, (uint64_t)fd);
	put_message(to, member, &inner);
}

void criu_cgroup_root(struct buf *to, const char *path)
{
	AUTO_BUF struct buf inner = BUF_INIT;

	criu_text(&inner, 2, path); /* its member 1 would name one hierarchy */
	put_message(to, CRIU_CGROUP_ROOT, &inner);
}

/* A message being read. */
struct span {
	const uint8_t *at, *end;
};

/* One member of it. */
struct member {
	unsigned number;
	uint64_t value; /* of a number */
	struct span bytes; /* of a text or message */
};

static bool get_varint(struct span *from, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; from->at < from->end && shift < 64; shift += 7) {
		uint8_t byte = *from->at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static bool take_bytes(struct span *from, uint64_t n, struct span *ret)
{
	if (n > (uint64_t)(from->end - from->at))
		return false;
	*ret = (struct span){from->at, from->at + n};
	from->at += n;
	return true;
}

/* The next member; false at the end, and where the message makes no sense. */
static bool next(struct span *from, struct member *ret)
{
	uint64_t key;
	uint64_t n;

	*ret = (struct member){.number = 0};
	if (!get_varint(from, &key))
		return false;
	ret->number = (unsigned)(key >> WIRE_BITS);
	switch (key & ((1U << WIRE_BITS) - 1)) {
	case WIRE_VARINT:
		return get_varint(from, &ret->value);
	case WIRE_BYTES:
		return get_varint(from, &n) && take_bytes(from, n, &ret->bytes);
	case WIRE_64:
		return take_bytes(from, 8, &ret->bytes);
	case WIRE_32:
		return take_bytes(from, 4, &ret->bytes);
	default:
		return false;
	}
}

struct answer {
	uint64_t type;
	bool success;
	pid_t pid; /* restored, or told of */
	char script[64]; /* what is told */
	int fd; /* that came along, or -1 */
};

static void read_inner(struct span inner, unsigned pid_number, struct answer *ret)
{
	struct member m;

	while (next(&inner, &m)) {
		size_t n = (size_t)(m.bytes.end - m.bytes.at);
		if (m.number == pid_number)
			ret->pid = (pid_t)m.value;
		else if (m.number == NOTIFY_SCRIPT && n < sizeof(ret->script))
			memcpy(ret->script, m.bytes.at, n);
	}
}

static void read_answer(struct span message, struct answer *ret)
{
	struct member m;

	while (next(&message, &m)) {
		if (m.number == RESP_TYPE)
			ret->type = m.value;
		else if (m.number == RESP_SUCCESS)
			ret->success = m.value;
		else if (m.number == RESP_RESTORE)
			read_inner(m.bytes, RESTORE_PID, ret);
		else if (m.number == RESP_NOTIFY)
			read_inner(m.bytes, NOTIFY_PID, ret);
	}
}

/* 1, or 0 when criu has ended. */
static int receive(int sock, struct answer *ret, struct err *err)
{
	static uint8_t bytes[MESSAGE_MAX];
	size_t n_fds = 1;

	*ret = (struct answer){.fd = -1};
	ssize_t n = fd_receive(sock, bytes, sizeof(bytes), &ret->fd, &n_fds);
	if (n < 0 && errno != ECONNRESET)
		return err_sys(err, "hear from criu");
	if (n <= 0)
		return 0;
	read_answer((struct span){bytes, bytes + n}, ret);
	return 1;
}

static int tell(int sock, const struct buf *message, struct err *err)
{
	int r = buf_check(message, err);

	if (r == 0 && send(sock, message->data, message->len, MSG_NOSIGNAL) < 0)
		r = err_sys(err, "speak to criu");
	return r;
}

static int ask(const struct criu_call *call, int sock, struct err *err)
{
	AUTO_BUF struct buf opts = BUF_INIT;
	AUTO_BUF struct buf message = BUF_INIT;

	buf_add(&opts, call->opts->data ? call->opts->data : "", call->opts->len);
	opts.bad |= call->opts->bad;
	criu_number(&opts, CRIU_WORK_FD, (uint64_t)call->work);
	criu_text(&opts, CRIU_LOG_FILE, call->log);
	if (call->notify)
		criu_number(&opts, CRIU_NOTIFY, 1);
	criu_number(&message, REQ_TYPE, (uint64_t)call->request);
	put_message(&message, REQ_OPTS, &opts);
	return tell(sock, &message, err);
}

/* criu waits for the word that a thing it told was done. */
static int answer_notice(const struct criu_call *call, int sock, const struct answer *told, int fd,
			 struct err *err)
{
	AUTO_BUF struct buf message = BUF_INIT;
	int r = call->notify ? call->notify(call->ctx, told->script, told->pid, fd, err) : 0;

	if (r < 0)
		return r;
	criu_number(&message, REQ_TYPE, TYPE_NOTIFY);
	criu_number(&message, REQ_NOTIFY_SUCCESS, 1);
	return tell(sock, &message, err);
}

/* The exchange up to criu's last word: 1 when that was success, 0 when it failed. */
static int converse(const struct criu_call *call, int sock, pid_t *ret_pid, struct err *err)
{
	int r = ask(call, sock, err);

	for (;;) {
		struct answer answer;
		r = r < 0 ? r : receive(sock, &answer, err);
		if (r <= 0)
			return r;
		AUTO_CLOSE int fd = answer.fd;
		(void)fd; /* for clang, to which its release is no use */
		if (answer.type != TYPE_NOTIFY) {
			*ret_pid = answer.pid;
			return answer.success;
		}
		r = answer_notice(call, sock, &answer, fd, err);
	}
}

/* The last line of an error in what criu wrote, but for the one that only closes the matter ("…
 * FAILED."); NULL: none. Cut in place. */
static const char *last_error(struct buf *text)
{
	static const char mark[] = "Error (";
	static const char closing[] = " FAILED.";
	char *last = NULL;

	for (char *at = text->data; at && (at = strstr(at, mark));) {
		size_t n = strcspn(at, "\n");
		bool closes = n > strlen(closing) &&
			      strncmp(at + n - strlen(closing), closing, strlen(closing)) == 0;
		if (!last || !closes)
			last = at;
		at += n;
	}
	if (last)
		last[strcspn(last, "\n")] = '\0';
	return last;
}

/* Why it failed, in its own words: of its log, or (before it had one) of its standard error. */
static int complain(const struct criu_call *call, int said, struct err *err)
{
	AUTO_BUF struct buf log = BUF_INIT;
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* without a log the other has to do */
	char own[32];
	const char *why = NULL;

	(void)snprintf(own, sizeof(own), "/proc/self/fd/%d", said);
	if (file_read(call->work, call->log, LOG_MAX, &log, &ignored) == 0)
		why = last_error(&log);
	if (!why && file_read(AT_FDCWD, own, LOG_MAX, &text, &ignored) == 0)
		why = last_error(&text);
	if (!why)
		why = "it gave no reason";
	return err_set(err, EIO, "criu: %s", why);
}

static int keep_open(const struct criu_call *call, int sock, struct err *err)
{
	for (size_t i = 0; i < call->n_keep; i++) {
		if (fcntl(call->keep[i], F_SETFD, 0) < 0)
			return err_sys(err, "hand a descriptor to criu");
	}
	return fcntl(sock, F_SETFD, 0) < 0 ? err_sys(err, "hand a socket to criu") : 0;
}

/* In the child: what it cannot do, it says where criu's own complaints go. */
_Noreturn static void become_criu(const struct criu_call *call, int sock, int said)
{
	struct err err = ERR_INIT;
	char number[16];
	char *const argv[] = {(char[]){"criu"}, (char[]){"swrk"}, number, NULL};
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)snprintf(number, sizeof(number), "%d", sock);
	int r = call->prepare ? call->prepare(call->ctx, &err) : 0;
	if (r == 0)
		r = keep_open(call, sock, &err);
	if (r == 0 && (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(said, 2) < 0))
		r = err_sys(&err, "arrange criu's streams");
	if (r == 0) {
		proc_default_signals();
		(void)execvp(argv[0], argv);
		if (errno == ENOENT) /* not on a service's PATH, perhaps */
			(void)execv("/usr/sbin/criu", argv);
		(void)err_set(&err, errno, "%s",
			      errno == ENOENT ? "the program criu is not there"
					      : strerrordesc_np(errno));
	}
	dprintf(said, "Error (hull-oci): %s\n", err.msg);
	_exit(127);
}

static int start(const struct criu_call *call, int said, int *ret_sock, pid_t *ret_pid,
		 struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "make a socket for criu");
	AUTO_CLOSE int ours = pair[0];
	AUTO_CLOSE int theirs = pair[1];
	pid_t pid = fork();
	if (pid == 0)
		become_criu(call, theirs, said);
	if (pid < 0)
		return err_sys(err, "start criu");
	*ret_sock = TAKE_FD(ours);
	*ret_pid = pid;
	return 0;
}

pid_t criu_run(const struct criu_call *call, struct err *err)
{
	struct err ignored = ERR_INIT; /* its status adds nothing to what it said */
	pid_t criu = 0;
	pid_t restored = 0;
	AUTO_CLOSE int sock = -1;
	AUTO_CLOSE int said = memfd_create("criu", MFD_CLOEXEC);

	if (said < 0)
		return err_sys(err, "get memory for criu's complaints");
	if (unlinkat(call->work, call->log, 0) < 0 && errno != ENOENT) /* an earlier one's */
		return err_sys(err, "remove '%s'", call->log);
	int r = start(call, said, &sock, &criu, err);
	if (r < 0)
		return r;
	r = converse(call, sock, &restored, err);
	auto_close(&sock); /* a criu that waits for our word gives up */
	if (proc_wait(criu, &ignored) < 0)
		ignored = ERR_INIT;
	if (r == 0 || (r < 0 && (err->code == EPIPE || err->code == ECONNRESET))) {
		*err = ERR_INIT;
		return complain(call, said, err);
	}
	return r < 0 ? r : restored;
}
