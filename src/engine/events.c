/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/events.h"

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
#include "base/json.h"
#include "engine/internal.h"

enum { EVENTS_MAX = 4 << 20, LINE_MAX_BYTES = 64 * 1024, WAIT_MS = 60000 };

static void event_text(const struct workload *w, const char *action, const char *detail,
		       struct buf *to)
{
	struct json_out out = JSON_OUT(to, false);
	uint64_t now = now_ns();

	json_begin(&out, NULL);
	json_put_str(&out, "Type", "container");
	json_put_str(&out, "Action", action);
	json_put_str(&out, "status", action);
	json_put_str(&out, "id", w->id);
	json_put_str(&out, "from", w->image);
	json_begin(&out, "Actor");
	json_put_str(&out, "ID", w->id);
	json_begin(&out, "Attributes");
	json_put_str(&out, "name", w->name);
	json_put_str(&out, "image", w->image);
	json_put_str(&out, "isolation", w->vm ? "vm" : "container");
	const char *value = detail ? strchr(detail, '=') : NULL;
	if (value) {
		char key[64];
		(void)snprintf(key, sizeof(key), "%.*s", (int)(value - detail), detail);
		json_put_str(&out, key, value + 1);
	}
	json_end(&out);
	json_end(&out);
	json_put_uint(&out, "time", now / 1000000000);
	json_put_uint(&out, "timeNano", now);
	json_end(&out);
	buf_str(to, "\n");
}

void event_write(struct engine *e, const struct workload *w, const char *action, const char *detail)
{
	AUTO_BUF struct buf line = BUF_INIT;
	struct stat st;

	event_text(w, action, detail, &line);
	AUTO_CLOSE int fd = openat(e->store->root_fd, "events",
				   O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || line.bad)
		return;
	/* Appending one line in one write: lines of several commands never mix. */
	if (write(fd, line.data, line.len) < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size > EVENTS_MAX)
		(void)renameat(e->store->root_fd, "events", e->store->root_fd, "events.1");
}

/* --- reading --- */

struct reader {
	struct engine *e;
	int fd;
	struct buf text;
	const struct event_query *query;
};

static int hand_on(struct reader *rd, const char *line, size_t n, struct err *err)
{
	AUTO(auto_json_free) struct json_object *event = NULL;
	struct err damaged = ERR_INIT; /* a line cut by a full disk: passed over */
	int64_t at = 0;

	if (json_parse(line, n, LINE_MAX_BYTES, "events", &event, &damaged) < 0 ||
	    json_get_int(event, "timeNano", 0, INT64_MAX, &at, &damaged) < 0)
		return 0;
	if ((uint64_t)at < rd->query->since_ns ||
	    (rd->query->until_ns && (uint64_t)at > rd->query->until_ns))
		return 0;
	return rd->query->event(rd->query->ctx, event, err);
}

/* Reads what there is and hands on whole lines. */
static int read_lines(struct reader *rd, struct err *err)
{
	for (;;) {
		char *at = buf_reserve(&rd->text, 16384);
		if (!at)
			return buf_check(&rd->text, err);
		ssize_t n = read(rd->fd, at, 16384);
		if (n < 0)
			return err_sys(err, "read events");
		if (n == 0)
			return 0;
		rd->text.len += (size_t)n;
		for (char *nl; (nl = memchr(rd->text.data, '\n', rd->text.len)) != NULL;) {
			size_t len = (size_t)(nl - rd->text.data);
			int r = hand_on(rd, rd->text.data, len, err);
			if (r < 0)
				return r;
			buf_consume(&rd->text, len + 1);
		}
		if (rd->text.len > LINE_MAX_BYTES)
			buf_clear(&rd->text);
	}
}

static int read_file(struct reader *rd, const char *name, struct err *err)
{
	auto_close(&rd->fd);
	buf_clear(&rd->text);
	rd->fd = openat(rd->e->store->root_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (rd->fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "open events");
	return read_lines(rd, err);
}

/* Whether the file that rd reads is no longer called "events". */
static bool rotated(const struct reader *rd)
{
	struct stat ours;
	struct stat named;

	return rd->fd < 0 || fstat(rd->fd, &ours) < 0 ||
	       fstatat(rd->e->store->root_fd, "events", &named, 0) < 0 ||
	       ours.st_ino != named.st_ino;
}

/* Waits for something new in the folder, at most left_ms. */
static int wait_change(int watch, uint64_t left_ms, struct err *err)
{
	struct pollfd pfd = {.fd = watch, .events = POLLIN};
	char drop[4096];

	if (poll(&pfd, 1, left_ms < WAIT_MS ? (int)left_ms : WAIT_MS) < 0 && errno != EINTR)
		return err_sys(err, "poll");
	while (read(watch, drop, sizeof(drop)) > 0)
		;
	return 0;
}

static int follow(struct reader *rd, struct err *err)
{
	AUTO_CLOSE int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch < 0 ||
	    inotify_add_watch(watch, rd->e->store->root, IN_MODIFY | IN_CREATE | IN_MOVED_FROM) < 0)
		return err_sys(err, "watch events");
	uint64_t until = rd->query->until_ns ? rd->query->until_ns : UINT64_MAX;
	int r = 0;
	for (uint64_t now; r == 0 && (now = now_ns()) < until;) {
		r = rd->fd >= 0 ? read_lines(rd, err) : 0;
		if (r == 0 && rotated(rd))
			r = read_file(rd, "events", err);
		if (r == 0)
			r = wait_change(watch, (until - now) / 1000000 + 1, err);
	}
	return r;
}

int events_read(struct engine *e, const struct event_query *query, struct err *err)
{
	struct reader rd = {.e = e, .fd = -1, .text = BUF_INIT, .query = query};

	int r = 0;
	if (query->past) {
		r = read_file(&rd, "events.1", err);
		if (r == 0)
			r = read_file(&rd, "events", err);
	} else {
		rd.fd = openat(e->store->root_fd, "events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (rd.fd >= 0 && lseek(rd.fd, 0, SEEK_END) < 0)
			r = err_sys(err, "read events");
	}
	if (r == 0 && query->follow)
		r = follow(&rd, err);
	auto_close(&rd.fd);
	buf_done(&rd.text);
	return r;
}
