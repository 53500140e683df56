/* SPDX-License-Identifier: Apache-2.0 */
/* What an importer may do once it has given up its rights, and what somebody may who has taken it
 * over. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "image/import_confine.h"
#include "image/sha256.h"
#include "taken.h"

/* A store and a source, in a folder of their own. */
struct place {
	char path[64], store[80];
	int top, root, source;
};

static bool set_up(struct place *p)
{
	(void)snprintf(p->path, sizeof(p->path), "/var/tmp/hull-confine.XXXXXX");
	if (geteuid() != 0 || !mkdtemp(p->path))
		return false;
	(void)snprintf(p->store, sizeof(p->store), "%s/store", p->path);
	p->top = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)mkdirat(p->top, "store", 0700);
	(void)mkdirat(p->top, "store/tmp", 0700);
	(void)mkdirat(p->top, "store/layers", 0700);
	(void)mkdirat(p->top, "source", 0700);
	auto_close(&(int){openat(p->top, "source/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)});
	auto_close(&(int){openat(p->top, "secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)});
	p->root = openat(p->top, "store", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p->source = openat(p->top, "source", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->root >= 0 && p->source >= 0 &&
	       fchownat(p->top, "source/file", 1000, 1000, 0) == 0;
}

static void take_down(struct place *p)
{
	static const char *const files[] = {"store/layers/two", "store/tmp/one", "source/file",
					    "secret"};
	static const char *const folders[] = {"store/tmp", "store/layers", "store", "source"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		(void)unlinkat(p->top, files[i], 0);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		(void)unlinkat(p->top, folders[i], AT_REMOVEDIR);
	(void)rmdir(p->path);
	auto_close(&p->source);
	auto_close(&p->root);
	auto_close(&p->top);
}

/* Runs fn in a process that is confined, with or without the source being there; what it says,
 * which should be nothing, is appended to *said. seen: told the process while fn's words are
 * awaited. */
static void run_confined(struct place *p, bool folder, const char *(*fn)(const struct place *),
			 struct buf *said, void (*seen)(pid_t, struct buf *))
{
	struct err err = ERR_INIT;
	int ends[2], gate[2];
	char words[200];

	if (pipe2(ends, O_CLOEXEC) < 0 || pipe2(gate, O_CLOEXEC) < 0) {
		buf_str(said, "no pipe");
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		auto_close(&p->top); /* which an importer has not */
		auto_close(&ends[0]);
		auto_close(&gate[1]);
		const char *why = import_confine(p->store, folder ? p->source : -1, &err) < 0
					  ? err.msg
					  : fn(p);
		(void)!write(ends[1], why ? why : "", why ? strlen(why) : 0);
		auto_close(&ends[1]);
		_exit(read(gate[0], words, 1) < 0); /* stays to be looked at */
	}
	auto_close(&ends[1]);
	auto_close(&gate[0]);
	ssize_t n = read_upto(ends[0], words, sizeof(words) - 1, "its words", &err);
	words[n > 0 ? n : 0] = '\0';
	buf_str(said, n < 0 ? "it says nothing" : words);
	if (seen)
		seen(pid, said);
	auto_close(&gate[1]);
	auto_close(&ends[0]);
	(void)waitpid(pid, NULL, 0);
}

static const char *taken(const struct place *p)
{
	const char *reached = NULL;

	(void)p;
	(void)taken_try(true, &reached);
	if (!reached && openat(p->source, "../secret", O_RDONLY | O_CLOEXEC) >= 0)
		reached = "a file beside the source";
	if (!reached && openat(p->root, "../secret", O_WRONLY | O_CLOEXEC) >= 0)
		reached = "a file beside the store";
	return reached;
}

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 2;
}

static void try_taken(bool folder)
{
	AUTO(take_down) struct place p = {.top = -1, .root = -1, .source = -1};
	AUTO_BUF struct buf said = BUF_INIT;

	if (!has_landlock() || !set_up(&p))
		return;
	run_confined(&p, folder, taken, &said, NULL);
	(void)unlink("/taken"); /* which is there when it should have been refused */
	EXPECT_STR(said.data ? said.data : "", "");
}

TEST(an_importer_taken_over_reaches_nothing_but_the_store)
{
	try_taken(false);
}

TEST(nor_does_one_that_reads_a_folder_reach_more_than_that)
{
	try_taken(true);
}

static void *nothing(void *ctx)
{
	return ctx;
}

static const char *work(const struct place *p)
{
	char hex[DIGEST_HEX + 1];
	struct err err = ERR_INIT;
	pthread_t thread;

	AUTO_CLOSE int tmp = openat(p->root, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int layers = openat(p->root, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int fd = openat(tmp, "one", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write_all(fd, "text", 4, "one", &err) < 0 || fsync(fd) < 0)
		return "no file";
	if (linkat(tmp, "one", layers, "two", 0) < 0 || flock(layers, LOCK_SH) < 0)
		return "no link from folder to folder";
	if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
		return "no thread";
	return sha256_hex("text", 4, hex, &err) < 0 ? "no digest" : NULL;
}

static const char *work_with_folder(const struct place *p)
{
	if (openat(p->source, "file", O_RDONLY | O_CLOEXEC) < 0)
		return "no file of another user of the folder";
	return openat(p->source, "file", O_WRONLY | O_CLOEXEC) < 0 ? work(p)
								   : "the folder can be changed";
}

/* What /proc says of it. */
static void look(pid_t pid, struct buf *said)
{
	static const char *const lines[] = {"\nCapPrm:\t0000000000000000\n",
					    "\nCapEff:\t0000000000000000\n", "\nNoNewPrivs:\t1\n",
					    "\nSeccomp:\t2\n"};
	AUTO_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (file_read(AT_FDCWD, path, 1 << 16, &text, &err) < 0)
		buf_str(said, err.msg);
	for (size_t i = 0; text.data && i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (!strstr(text.data, lines[i]))
			buf_printf(said, "not %s", lines[i]);
	}
}

TEST(an_importer_works_in_the_store_without_any_capability)
{
	AUTO(take_down) struct place p = {.top = -1, .root = -1, .source = -1};
	AUTO_BUF struct buf said = BUF_INIT;

	if (!set_up(&p))
		return;
	run_confined(&p, false, work, &said, look);
	EXPECT_STR(said.data ? said.data : "", "");
}

TEST(a_folder_is_read_whoever_its_files_are_of)
{
	AUTO(take_down) struct place p = {.top = -1, .root = -1, .source = -1};
	AUTO_BUF struct buf said = BUF_INIT;

	if (!has_landlock() || !set_up(&p))
		return;
	run_confined(&p, true, work_with_folder, &said, NULL);
	EXPECT_STR(said.data ? said.data : "", "");
}
