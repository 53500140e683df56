/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/str.h"

enum { LINE_MAX_BYTES = 16384 };

struct log {
	int dirfd; /* borrowed */
	int fd;
	uint64_t max, size;
	uint32_t files;
	struct buf waiting[LOG_STREAMS]; /* a line whose end has not come */
	struct buf out; /* entries of the write at hand */
	char time[48]; /* of it */
};

int log_open(struct log **ret, int dirfd, uint64_t max, uint32_t files, struct err *err)
{
	AUTO(auto_log_close) struct log *log = calloc(1, sizeof(*log));
	if (!log)
		return err_set(err, ENOMEM, "out of memory");
	log->dirfd = dirfd;
	log->max = max;
	log->files = files > 0 ? files : 1;
	log->fd = openat(dirfd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
			 0600);
	if (log->fd < 0)
		return err_sys(err, "open log");
	struct stat st;
	if (fstat(log->fd, &st) < 0)
		return err_sys(err, "stat log");
	log->size = (uint64_t)st.st_size;
	*ret = TAKE_PTR(log);
	return 0;
}

void log_close(struct log *log)
{
	if (!log)
		return;
	auto_close(&log->fd);
	for (int i = 0; i < LOG_STREAMS; i++)
		buf_done(&log->waiting[i]);
	buf_done(&log->out);
	free(log);
}

/* log.1 -> log.2 …, log -> log.1; the oldest is overwritten. */
static int rotate(struct log *log, struct err *err)
{
	char from[32], to[32];

	for (uint32_t i = log->files - 1; i > 0; i--) {
		(void)snprintf(to, sizeof(to), "log.%u", i);
		(void)snprintf(from, sizeof(from), i > 1 ? "log.%u" : "log", i - 1);
		if (renameat(log->dirfd, from, log->dirfd, to) < 0 && errno != ENOENT)
			return err_sys(err, "rotate log");
	}
	int fd = openat(log->dirfd, "log",
			O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, "open log");
	auto_close(&log->fd);
	log->fd = fd;
	log->size = 0;
	return 0;
}

static bool is_text(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;

	while (n > 0) {
		size_t len = *p < 0x80 ? *p > 0 : utf8_len(p, n);
		if (len == 0)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

static void put_text(struct buf *to, const char *text, size_t n)
{
	size_t plain = 0; /* where the run of bytes begins that stand as they are */

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
			continue;
		buf_add(to, text + plain, i - plain);
		plain = i + 1;
		if (c == '"' || c == '\\')
			buf_printf(to, "\\%c", c);
		else if (c == '\n')
			buf_str(to, "\\n");
		else
			buf_printf(to, "\\u%04x", c);
	}
	buf_add(to, text + plain, n - plain);
}

/* RFC 4648 section 4. */
static void put_base64(struct buf *to, const char *text, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = (const unsigned char *)text;
	char *out = buf_reserve(to, (n + 2) / 3 * 4);
	size_t i = 0;

	if (!out)
		return;
	for (; i + 2 < n; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = digits[v >> 6 & 63];
		*out++ = digits[v & 63];
	}
	if (i < n) {
		uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0);
		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = digits[v >> 6 & 63];
		*out++ = '=';
		if (i + 1 == n)
			out[-2] = '=';
	}
	to->len += (n + 2) / 3 * 4;
	to->data[to->len] = '\0';
}

/* What an entry's time is: that of the write it came with. */
static void stamp(struct log *log)
{
	struct timespec now;
	struct tm tm;
	char date[32];

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(log->time, sizeof(log->time), "%s.%09ldZ", date, now.tv_nsec);
}

/* Writes the first n bytes of what is put together. */
static int write_out(struct log *log, size_t n, struct err *err)
{
	int r = n > 0 ? write_all(log->fd, log->out.data, n, "log", err) : 0;

	log->size += n;
	buf_consume(&log->out, n);
	return r;
}

static int put_entry(struct log *log, enum log_stream stream, const char *text, size_t n,
		     struct err *err)
{
	static const char *const names[] = {"stdout", "stderr", "kernel"};
	size_t before = log->out.len;
	bool plain = is_text(text, n);

	buf_str(&log->out, "{\"log\":\"");
	if (plain)
		put_text(&log->out, text, n);
	else
		put_base64(&log->out, text, n);
	buf_str(&log->out, "\",\"stream\":\"");
	buf_str(&log->out, names[stream]);
	buf_str(&log->out, "\",\"time\":\"");
	buf_str(&log->out, log->time);
	buf_str(&log->out, plain ? "\"}\n" : "\",\"base64\":true}\n");
	int r = buf_check(&log->out, err);
	if (r < 0 || log->size + log->out.len <= log->max || log->size + before == 0)
		return r;
	r = write_out(log, before, err);
	return r == 0 ? rotate(log, err) : r;
}

static int put_line(struct log *log, enum log_stream stream, const char *text, size_t n, bool whole,
		    struct err *err)
{
	struct buf *waiting = &log->waiting[stream];

	if (whole && waiting->len == 0)
		return put_entry(log, stream, text, n, err);
	buf_add(waiting, text, n);
	int r = buf_check(waiting, err);
	if (r < 0 || !whole)
		return r;
	r = put_entry(log, stream, waiting->data, waiting->len, err);
	buf_clear(waiting);
	return r;
}

int log_write(struct log *log, enum log_stream stream, const void *bytes, size_t n, struct err *err)
{
	const char *p = bytes;
	int r = 0;

	stamp(log);
	while (n > 0 && r == 0) {
		size_t room = LINE_MAX_BYTES - log->waiting[stream].len;
		const char *nl = memchr(p, '\n', n < room ? n : room);
		size_t part = nl ? (size_t)(nl - p) + 1 : n < room ? n : room;
		r = put_line(log, stream, p, part, nl || part == room, err);
		p += part;
		n -= part;
	}
	return r == 0 ? write_out(log, log->out.len, err) : r;
}

int log_flush(struct log *log, struct err *err)
{
	int r = 0;

	stamp(log);
	for (unsigned i = 0; i < LOG_STREAMS && r == 0; i++) {
		if (log->waiting[i].len > 0)
			r = put_entry(log, (enum log_stream)i, log->waiting[i].data,
				      log->waiting[i].len, err);
		buf_done(&log->waiting[i]);
	}
	return r == 0 ? write_out(log, log->out.len, err) : r;
}
