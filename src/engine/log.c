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
	struct buf out;
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

static bool is_utf8(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;

	while (n > 0) {
		size_t len = utf8_len(p, n);
		if (len == 0)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

static void put_text(struct buf *to, const char *text, size_t n, bool bytes)
{
	size_t plain = 0; /* bytes before i that stand as they are */

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		bool quoted = c == '"' || c == '\\';
		if (!quoted && c >= 0x20 && c != 0x7f && (c < 0x80 || !bytes))
			continue;
		buf_add(to, text + plain, i - plain);
		plain = i + 1;
		if (quoted)
			buf_printf(to, "\\%c", c);
		else if (c == '\n')
			buf_str(to, "\\n");
		else
			buf_printf(to, "\\u%04x", c);
	}
	buf_add(to, text + plain, n - plain);
}

static int put_entry(struct log *log, enum log_stream stream, const char *text, size_t n,
		     struct err *err)
{
	static const char *const names[] = {"stdout", "stderr", "kernel"};
	struct timespec now;
	struct tm tm;
	char date[32];

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	bool bytes = !is_utf8(text, n);
	buf_clear(&log->out);
	buf_str(&log->out, "{\"log\":\"");
	put_text(&log->out, text, n, bytes);
	buf_printf(&log->out, "\",\"stream\":\"%s\",\"time\":\"%s.%09ldZ\"%s}\n", names[stream],
		   date, now.tv_nsec, bytes ? ",\"bytes\":true" : "");
	int r = buf_check(&log->out, err);
	if (r == 0 && log->size > 0 && log->size + log->out.len > log->max)
		r = rotate(log, err);
	if (r == 0)
		r = write_all(log->fd, log->out.data, log->out.len, "log", err);
	if (r == 0)
		log->size += log->out.len;
	return r;
}

int log_write(struct log *log, enum log_stream stream, const void *bytes, size_t n, struct err *err)
{
	struct buf *waiting = &log->waiting[stream];
	const char *p = bytes;
	int r = 0;

	while (n > 0 && r == 0) {
		size_t room = LINE_MAX_BYTES - waiting->len;
		const char *nl = memchr(p, '\n', n < room ? n : room);
		size_t part = nl ? (size_t)(nl - p) + 1 : n < room ? n : room;
		bool whole = nl || part == room;
		if (whole && waiting->len == 0) {
			r = put_entry(log, stream, p, part, err);
		} else {
			buf_add(waiting, p, part);
			r = buf_check(waiting, err);
			if (r == 0 && whole) {
				r = put_entry(log, stream, waiting->data, waiting->len, err);
				buf_clear(waiting);
			}
		}
		p += part;
		n -= part;
	}
	return r;
}

int log_flush(struct log *log, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; i < LOG_STREAMS && r == 0; i++) {
		if (log->waiting[i].len > 0)
			r = put_entry(log, (enum log_stream)i, log->waiting[i].data,
				      log->waiting[i].len, err);
		buf_done(&log->waiting[i]);
	}
	return r;
}
