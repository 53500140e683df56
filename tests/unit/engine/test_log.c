/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "engine/log.h"

/* A folder of the test's own, removed with what it holds. */
struct folder {
	char path[32];
	int fd;
};

static void folder_done(struct folder *f)
{
	struct err err = ERR_INIT;

	auto_close(&f->fd);
	AUTO_CLOSE int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (path_remove_all(tmp, strrchr(f->path, '/') + 1, &err) < 0)
		printf("# %s\n", err.msg);
}

static struct folder folder_new(void)
{
	struct folder f = {.path = "/tmp/test-log-XXXXXX", .fd = -1};

	if (mkdtemp(f.path))
		f.fd = open(f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f;
}

/* What a query found: texts joined, entries counted. */
struct found {
	struct buf text;
	int n;
	int stop_after;
	struct timespec first, last;
};

static int collect(void *ctx, const struct log_entry *e, struct err *err)
{
	struct found *f = ctx;

	buf_add(&f->text, e->text, e->len);
	if (f->n++ == 0)
		f->first = e->time;
	f->last = e->time;
	return f->stop_after && f->n >= f->stop_after ? err_set(err, EINTR, "enough") : 0;
}

#define AUTO_FOLDER AUTO(folder_done)
static void found_done(struct found *f)
{
	buf_done(&f->text);
}
#define AUTO_FOUND AUTO(found_done)

static bool put(int dirfd, const void *bytes, size_t n, uint64_t max, uint32_t files)
{
	struct err err = ERR_INIT;
	AUTO(auto_log_close) struct log *log = NULL;

	return log_open(&log, dirfd, max, files, &err) == 0 &&
	       log_write(log, LOG_STDOUT, bytes, n, &err) == 0 && log_flush(log, &err) == 0;
}

TEST(every_byte_value_comes_back_as_it_was)
{
	struct err err = ERR_INIT;
	AUTO_FOLDER struct folder dir = folder_new();
	AUTO_FOUND struct found found = {0};
	unsigned char all[1024];

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (unsigned char)(i * 7 / 3);
	EXPECT(put(dir.fd, all, sizeof(all), 1 << 20, 3));
	EXPECT_EQ(log_read(dir.fd, &(struct log_query){.entry = collect, .ctx = &found}, &err), 0);
	EXPECT_EQ(found.text.len, sizeof(all));
	EXPECT(memcmp(found.text.data, all, sizeof(all)) == 0);
}

TEST(binary_text_of_every_length_comes_back)
{
	struct err err = ERR_INIT;
	static const char bytes[] = "\0\xff\0\x80zz\0";

	for (size_t n = 1; n < sizeof(bytes); n++) {
		AUTO_FOLDER struct folder dir = folder_new();
		AUTO_FOUND struct found found = {0};
		EXPECT(put(dir.fd, bytes, n, 1 << 20, 3));
		EXPECT_EQ(log_read(dir.fd, &(struct log_query){.entry = collect, .ctx = &found},
				   &err),
			  0);
		EXPECT_EQ(found.text.len, n);
		EXPECT(memcmp(found.text.data, bytes, n) == 0);
	}
}

TEST(text_is_kept_as_text_and_the_line_is_json)
{
	struct err err = ERR_INIT;
	AUTO_FOLDER struct folder dir = folder_new();
	AUTO_BUF struct buf file = BUF_INIT;

	EXPECT(put(dir.fd, "gr\xc3\xbc\xc3\x9f \"x\"\\\n", 12, 1 << 20, 3));
	EXPECT_EQ(file_read(dir.fd, "log", 4096, &file, &err), 0);
	EXPECT_EQ(
		strncmp(file.data,
			"{\"log\":\"gr\xc3\xbc\xc3\x9f \\\"x\\\"\\\\\\n\",\"stream\":\"stdout\",\"time\":\"20",
			50),
		0);
	EXPECT(strstr(file.data, "base64") == NULL);
	EXPECT_STR(file.data + file.len - 4, "Z\"}\n");
}

TEST(a_line_written_in_pieces_is_one_entry)
{
	struct err err = ERR_INIT;
	AUTO_FOLDER struct folder dir = folder_new();
	AUTO_FOUND struct found found = {0};
	AUTO(auto_log_close) struct log *log = NULL;

	EXPECT_EQ(log_open(&log, dir.fd, 1 << 20, 1, &err), 0);
	EXPECT_EQ(log_write(log, LOG_STDOUT, "on", 2, &err), 0);
	EXPECT_EQ(log_write(log, LOG_STDERR, "other\n", 6, &err), 0);
	EXPECT_EQ(log_write(log, LOG_STDOUT, "e\ntwo\nthr", 9, &err), 0);
	EXPECT_EQ(log_read(dir.fd, &(struct log_query){.entry = collect, .ctx = &found}, &err), 0);
	EXPECT_STR(found.text.data, "other\none\ntwo\n");
	EXPECT_EQ(found.n, 3);
	EXPECT_EQ(log_flush(log, &err), 0);
	buf_clear(&found.text);
	EXPECT_EQ(log_read(dir.fd,
			   &(struct log_query){.entry = collect,
					       .ctx = &found,
					       .streams = 1U << LOG_STDOUT},
			   &err),
		  0);
	EXPECT_STR(found.text.data, "one\ntwo\nthr");
}

TEST(a_line_without_end_is_bounded)
{
	struct err err = ERR_INIT;
	AUTO_FOLDER struct folder dir = folder_new();
	AUTO_FOUND struct found found = {0};
	AUTO_FREE char *big = malloc(100000);

	EXPECT(big != NULL);
	memset(big, 'x', 100000);
	EXPECT(put(dir.fd, big, 100000, 1 << 20, 1));
	EXPECT_EQ(log_read(dir.fd, &(struct log_query){.entry = collect, .ctx = &found}, &err), 0);
	EXPECT_EQ(found.text.len, 100000);
	EXPECT_EQ(found.n, 7);
}

TEST(files_rotate_and_stay_within_their_number_and_size)
{
	struct err err = ERR_INIT;
	AUTO_FOLDER struct folder dir = folder_new();
	AUTO_FOUND struct found found = {0};
	AUTO(auto_log_close) struct log *log = NULL;
	struct stat st;
	char line[32];

	EXPECT_EQ(log_open(&log, dir.fd, 4096, 3, &err), 0);
	for (int i = 0; i < 1000; i++) {
		int n = snprintf(line, sizeof(line), "line %04d\n", i);
		EXPECT_EQ(log_write(log, LOG_STDOUT, line, (size_t)n, &err), 0);
	}
	EXPECT_EQ(fstatat(dir.fd, "log", &st, 0), 0);
	EXPECT(st.st_size <= 4096);
	EXPECT_EQ(fstatat(dir.fd, "log.2", &st, 0), 0);
	EXPECT(st.st_size <= 4096 && st.st_size > 3000);
	EXPECT(fstatat(dir.fd, "log.3", &st, 0) < 0);
	EXPECT_EQ(log_read(dir.fd, &(struct log_query){.entry = collect, .ctx = &found}, &err), 0);
	EXPECT_STR(found.text.data + found.text.len - 20, "line 0998\nline 0999\n");
	EXPECT(found.n > 80 && found.n < 200);
}

TEST(tail_and_since_and_until_choose_entries)
{
	struct err err = ERR_INIT;
	AUTO_FOLDER struct folder dir = folder_new();
	AUTO_FOUND struct found all = {0};
	AUTO_FOUND struct found some = {0};

	EXPECT(put(dir.fd, "a\nb\nc\n", 6, 1 << 20, 1));
	EXPECT(put(dir.fd, "z\n", 2, 1 << 20, 1));
	EXPECT_EQ(log_read(dir.fd,
			   &(struct log_query){
				   .entry = collect, .ctx = &all, .has_tail = true, .tail = 2},
			   &err),
		  0);
	EXPECT_STR(all.text.data, "c\nz\n");
	EXPECT_EQ(log_read(dir.fd,
			   &(struct log_query){.entry = collect, .ctx = &some, .has_tail = true},
			   &err),
		  0);
	EXPECT_EQ(some.n, 0);
	EXPECT_EQ(log_read(dir.fd,
			   &(struct log_query){.entry = collect, .ctx = &some, .since = all.last},
			   &err),
		  0);
	EXPECT_STR(some.text.data, "z\n");
	EXPECT_EQ(log_read(dir.fd,
			   &(struct log_query){.entry = collect,
					       .ctx = &some,
					       .until = {.tv_sec = 1}},
			   &err),
		  0);
	EXPECT_EQ(some.n, 1);
}

TEST(damaged_lines_are_counted_and_the_rest_is_read)
{
	struct err err = ERR_INIT;
	AUTO_FOLDER struct folder dir = folder_new();
	AUTO_FOUND struct found found = {0};
	static const char junk[] =
		"{\"log\":\"half\nnot json\n{\"log\":\"x\\u12\",\"stream\":\"stdout\"}\n\n";

	EXPECT(put(dir.fd, "before\n", 7, 1 << 20, 1));
	AUTO_CLOSE int fd = openat(dir.fd, "log", O_WRONLY | O_APPEND | O_CLOEXEC);
	EXPECT_EQ(write(fd, junk, sizeof(junk) - 1), (ssize_t)sizeof(junk) - 1);
	EXPECT(put(dir.fd, "after\n", 6, 1 << 20, 1));
	EXPECT_EQ(log_read(dir.fd, &(struct log_query){.entry = collect, .ctx = &found}, &err), 4);
	EXPECT_STR(found.text.data, "before\nafter\n");
}

TEST(no_log_at_all_is_an_empty_one)
{
	struct err err = ERR_INIT;
	AUTO_FOLDER struct folder dir = folder_new();
	AUTO_FOUND struct found found = {0};

	EXPECT_EQ(log_read(dir.fd, &(struct log_query){.entry = collect, .ctx = &found}, &err), 0);
	EXPECT_EQ(found.n, 0);
}

TEST(what_the_reader_says_ends_the_reading)
{
	struct err err = ERR_INIT;
	AUTO_FOLDER struct folder dir = folder_new();
	AUTO_FOUND struct found found = {.stop_after = 1};

	EXPECT(put(dir.fd, "a\nb\n", 4, 1 << 20, 1));
	EXPECT_EQ(log_read(dir.fd, &(struct log_query){.entry = collect, .ctx = &found}, &err),
		  -EINTR);
	EXPECT_STR(found.text.data, "a\n");
}

struct writer {
	struct found found;
	pid_t pid;
	bool gone;
};

static bool writer_alive(void *ctx)
{
	struct writer *w = ctx;

	if (!w->gone && waitpid(w->pid, NULL, WNOHANG) == w->pid)
		w->gone = true;
	return !w->gone;
}

static int collect_followed(void *ctx, const struct log_entry *e, struct err *err)
{
	return collect(&((struct writer *)ctx)->found, e, err);
}

TEST(a_follower_sees_all_lines_across_rotations_until_the_writer_ends)
{
	struct err err = ERR_INIT;
	AUTO_FOLDER struct folder dir = folder_new();
	struct writer w = {.pid = fork()};

	if (w.pid == 0) {
		struct log *log = NULL;
		char line[32];
		bool ok = log_open(&log, dir.fd, 8192, 50, &err) == 0;
		for (int i = 0; i < 2000 && ok; i++) {
			int n = snprintf(line, sizeof(line), "line %04d\n", i);
			ok = log_write(log, LOG_STDOUT, line, (size_t)n, &err) == 0;
			if (i % 200 == 0)
				(void)usleep(1000);
		}
		_exit(!ok);
	}
	EXPECT(w.pid > 0);
	const struct log_query q = {.follow = true,
				    .alive = writer_alive,
				    .entry = collect_followed,
				    .ctx = &w};
	int damaged = log_read(dir.fd, &q, &err);
	int n = w.found.n;
	bool last = w.found.text.len > 10 &&
		    strcmp(w.found.text.data + w.found.text.len - 10, "line 1999\n") == 0;
	found_done(&w.found);
	EXPECT_EQ(damaged, 0);
	EXPECT_EQ(n, 2000);
	EXPECT(last);
}
