/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a log back. The files are read oldest first; a follower then waits for changes in the
 * folder (inotify) and, when the newest file was rotated away, reads the old one to its end before
 * it opens the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "engine/log.h"

enum { FILES_MAX = 1000, WAIT_MS = 500 };

struct reader {
	const struct log_query *query;
	uint64_t skip; /* entries before the tail */
	int damaged;
	bool count_only;
	uint64_t counted;
	struct buf text; /* of the entry at hand */
};

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One \uXXXX of ours: always below 0x100, a byte of text that was no UTF-8, or a control character.
 */
static bool unescape_u(const char *p, struct buf *to)
{
	int hi = hex_digit(p[2]);
	int lo = hi < 0 ? -1 : hex_digit(p[3]);

	if (p[0] != '0' || p[1] != '0' || lo < 0)
		return false;
	buf_add(to, &(char){(char)(hi << 4 | lo)}, 1);
	return true;
}

/* Undoes put_text() from p up to the closing quote; returns what follows it, NULL when the line is
 * damaged. */
static const char *unescape(const char *p, struct buf *to)
{
	for (;;) {
		size_t plain = strcspn(p, "\"\\");
		buf_add(to, p, plain);
		p += plain;
		if (*p == '"')
			return p + 1;
		if (*p == '\0')
			return NULL;
		if (p[1] == 'u') {
			if (!unescape_u(p + 2, to))
				return NULL;
			p += 6;
		} else {
			buf_add(to, p[1] == 'n' ? "\n" : p + 1, p[1] ? 1 : 0);
			p += p[1] ? 2 : 1;
		}
	}
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Undoes put_base64() in place; false when it is damaged. */
static bool unbase64(struct buf *text)
{
	const char *in = text->data;
	size_t n = text->len;
	char *out = text->data;

	if (n == 0 || n % 4 != 0)
		return false;
	size_t padding = in[n - 1] != '=' ? 0 : in[n - 2] != '=' ? 1 : 2;
	for (size_t i = 0; i < n; i += 4) {
		uint32_t v = 0;
		for (size_t k = 0; k < 4; k++) {
			int digit = i + k >= n - padding ? 0 : base64_digit(in[i + k]);
			if (digit < 0)
				return false;
			v = v << 6 | (uint32_t)digit;
		}
		*out++ = (char)(v >> 16);
		*out++ = (char)(v >> 8);
		*out++ = (char)v;
	}
	text->len = n / 4 * 3 - padding;
	text->data[text->len] = '\0';
	return true;
}

static bool parse_time(const char *text, struct timespec *ret)
{
	struct tm tm = {0};
	long ns;
	char zone;

	/* NOLINTNEXTLINE(cert-err34-c): widths bound it, and the count is judged */
	int n = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%9ld%c", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		       &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ns, &zone);
	if (n != 8 || zone != 'Z')
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ret = (struct timespec){.tv_sec = timegm(&tm), .tv_nsec = ns};
	return true;
}

static bool parse_line(struct reader *r, const char *line, struct log_entry *entry)
{
	static const char *const names[] = {"stdout", "stderr", "kernel"};
	static const char head[] = "{\"log\":\"";
	char stream[16], date[40];

	buf_clear(&r->text);
	if (strncmp(line, head, sizeof(head) - 1) != 0)
		return false;
	const char *rest = unescape(line + sizeof(head) - 1, &r->text);
	if (!rest || r->text.bad ||
	    sscanf(rest, ",\"stream\":\"%15[a-z]\",\"time\":\"%39[^\"]\"", stream, date) != 2 ||
	    !parse_time(date, &entry->time))
		return false;
	if (strstr(rest, ",\"base64\":true") && !unbase64(&r->text))
		return false;
	for (unsigned i = 0; i < LOG_STREAMS; i++) {
		if (strcmp(stream, names[i]) == 0) {
			entry->stream = (enum log_stream)i;
			entry->text = r->text.data ? r->text.data : "";
			entry->len = r->text.len;
			return true;
		}
	}
	return false;
}

static int compare(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

static bool wanted(const struct log_query *q, const struct log_entry *e)
{
	unsigned streams = q->streams ? q->streams : 1U << LOG_STDOUT | 1U << LOG_STDERR;

	return (streams & 1U << e->stream) &&
	       (!q->since.tv_sec || compare(&e->time, &q->since) >= 0) &&
	       (!q->until.tv_sec || compare(&e->time, &q->until) <= 0);
}

static int take_line(struct reader *r, const char *line, struct err *err)
{
	struct log_entry e;

	if (!parse_line(r, line, &e)) {
		r->damaged += !r->count_only;
		return 0;
	}
	if (!wanted(r->query, &e))
		return 0;
	if (r->count_only) {
		r->counted++;
		return 0;
	}
	if (r->skip > 0) {
		r->skip--;
		return 0;
	}
	return r->query->entry(r->query->ctx, &e, err);
}

/* Hands on every whole line that can be read from fd now; what is left of a line stays in *part. */
static int take_file(struct reader *r, int fd, struct buf *part, struct err *err)
{
	enum { STEP = 65536 };
	ssize_t n;

	do {
		char *at = buf_reserve(part, STEP);
		if (!at)
			return buf_check(part, err);
		n = read(fd, at, STEP);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "read log");
		part->len += n > 0 ? (size_t)n : 0;
		part->data[part->len] = '\0';
		char *line = part->data;
		char *nl;
		while ((nl = memchr(line, '\n', part->len - (size_t)(line - part->data)))) {
			*nl = '\0';
			int rc = take_line(r, line, err);
			if (rc < 0)
				return rc;
			line = nl + 1;
		}
		buf_consume(part, (size_t)(line - part->data));
	} while (n != 0);
	return 0;
}

static int open_file(int dirfd, uint32_t i)
{
	char name[32];

	(void)snprintf(name, sizeof(name), i > 0 ? "log.%u" : "log", i);
	return openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static bool same_file(int fd, int other)
{
	struct stat a, b;

	return fd >= 0 && other >= 0 && fstat(fd, &a) == 0 && fstat(other, &b) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* Which file fd is by now, after rotations; as many as there are when it was rotated out. */
static uint32_t file_index(int dirfd, int fd)
{
	for (uint32_t i = 0; i < FILES_MAX; i++) {
		AUTO_CLOSE int at = open_file(dirfd, i);
		if (at < 0 && i > 0)
			return i;
		if (same_file(fd, at))
			return i;
	}
	return FILES_MAX;
}

/* The file after the one at hand, *ret_fd, and 1; or 0 when that is the newest. A rotation between
 * the two looks would make it the one after the next. */
static int open_next(int dirfd, int fd, int *ret_fd)
{
	for (;;) {
		uint32_t at = file_index(dirfd, fd);
		if (at == 0)
			return 0;
		AUTO_CLOSE int next = open_file(dirfd, at - 1);
		if (file_index(dirfd, fd) != at)
			continue;
		*ret_fd = TAKE_FD(next);
		return 1;
	}
}

/* What came since: the rest of the file at hand (-1: none yet), then each newer one. */
static int take_more(struct reader *r, int dirfd, struct buf *part, int *fd, struct err *err)
{
	for (;;) {
		AUTO_CLOSE int next = -1;
		/* before reading: what is rotated now grows no more */
		int more = open_next(dirfd, *fd, &next);
		int rc = *fd >= 0 ? take_file(r, *fd, part, err) : 0;
		if (rc < 0 || !more || next < 0)
			return rc;
		auto_close(fd);
		*fd = TAKE_FD(next);
	}
}

static int follow(struct reader *r, int dirfd, struct buf *part, int *fd, struct err *err)
{
	char path[64];
	char events[4096];

	AUTO_CLOSE int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dirfd);
	if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		return err_sys(err, "watch log folder");
	for (;;) {
		bool last = !r->query->alive(r->query->ctx);
		int rc = take_more(r, dirfd, part, fd, err);
		if (rc < 0 || last)
			return rc;
		struct pollfd pfd = {.fd = watch, .events = POLLIN};
		(void)poll(&pfd, 1, WAIT_MS);
		while (read(watch, events, sizeof(events)) > 0)
			;
	}
}

int log_read(int dirfd, const struct log_query *query, struct err *err)
{
	struct reader r = {.query = query};
	AUTO_BUF struct buf part = BUF_INIT;
	AUTO_CLOSE int fd = -1;
	int rc = 0;

	if (query->has_tail) {
		r.count_only = true;
		rc = take_more(&r, dirfd, &part, &fd, err);
		r.count_only = false;
		r.skip = r.counted > query->tail ? r.counted - query->tail : 0;
		auto_close(&fd);
		buf_clear(&part);
	}
	if (rc == 0)
		rc = take_more(&r, dirfd, &part, &fd, err);
	if (rc == 0 && query->follow)
		rc = follow(&r, dirfd, &part, &fd, err);
	buf_done(&r.text);
	return rc < 0 ? rc : r.damaged;
}
