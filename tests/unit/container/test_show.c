/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts in the mount namespace of a process that waits, in the place of a workload. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "container/show.h"

struct kit {
	char folder[64]; /* holds `source`, with the file `note` */
	char source[80], target[80];
	pid_t pid;
	int pidfd;
};

static bool can(void)
{
	if (geteuid() == 0)
		return true;
	printf("# skipped: needs root\n");
	return false;
}

/* The process that waits, with mounts of its own. */
static pid_t waiting(void)
{
	int ready[2];
	char c;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	bool ok = read(ready[0], &c, 1) == 1;
	(void)close(ready[0]);
	return ok ? pid : -1;
}

static bool kit_init(struct kit *k)
{
	char note[96];

	*k = (struct kit){.folder = "/tmp/hull-show-XXXXXX", .pidfd = -1};
	if (!mkdtemp(k->folder))
		return false;
	(void)snprintf(k->source, sizeof(k->source), "%s/source", k->folder);
	(void)snprintf(k->target, sizeof(k->target), "%s/new/target", k->folder);
	(void)snprintf(note, sizeof(note), "%s/note", k->source);
	if (mkdir(k->source, 0755) < 0)
		return false;
	AUTO_CLOSE int fd = open(note, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	k->pid = waiting();
	k->pidfd = k->pid > 0 ? (int)syscall(SYS_pidfd_open, k->pid, 0) : -1;
	return fd >= 0 && k->pidfd >= 0;
}

static void kit_done(struct kit *k)
{
	struct err ignored = ERR_INIT;

	if (k->pid > 0 && kill(k->pid, SIGKILL) == 0)
		(void)waitpid(k->pid, NULL, 0);
	auto_close(&k->pidfd);
	(void)!path_remove_all(AT_FDCWD, k->folder, &ignored);
}

#define AUTO_KIT AUTO(kit_done)

/* Whether the process sees the note at the target. */
static bool sees(const struct kit *k)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "/proc/%d/root%s/note", k->pid, k->target);
	return access(path, F_OK) == 0;
}

TEST(a_folder_is_shown_to_a_process_that_runs_and_to_nobody_else)
{
	AUTO_KIT struct kit k = {.pidfd = -1};
	struct err err = ERR_INIT;
	char here[96];

	if (!can())
		return;
	EXPECT(kit_init(&k));
	EXPECT_EQ(show_mount(k.pidfd, k.source, k.target, &err), 0);
	EXPECT(sees(&k));
	(void)snprintf(here, sizeof(here), "%s/note", k.target);
	EXPECT_EQ(access(here, F_OK), -1);
	EXPECT_EQ(show_no_more(k.pidfd, k.target, &err), 0);
	EXPECT(!sees(&k));
	EXPECT_EQ(show_no_more(k.pidfd, k.target, &err), 0);
}

TEST(what_is_in_use_stays)
{
	AUTO_KIT struct kit k = {.pidfd = -1};
	struct err err = ERR_INIT;
	char path[160];

	if (!can())
		return;
	EXPECT(kit_init(&k));
	EXPECT_EQ(show_mount(k.pidfd, k.source, k.target, &err), 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/root%s/note", k.pid, k.target);
	{
		AUTO_CLOSE int used = open(path, O_RDONLY | O_CLOEXEC);
		EXPECT(used >= 0);
		EXPECT_EQ(show_no_more(k.pidfd, k.target, &err), -EBUSY);
		EXPECT(sees(&k));
	}
	err.code = 0;
	EXPECT_EQ(show_no_more(k.pidfd, k.target, &err), 0);
}

TEST(a_source_or_a_process_that_is_not_there_is_told)
{
	AUTO_KIT struct kit k = {.pidfd = -1};
	struct err err = ERR_INIT;

	if (!can())
		return;
	EXPECT(kit_init(&k));
	EXPECT_EQ(show_mount(k.pidfd, "/no/such", k.target, &err), -ENOENT);
	err.code = 0;
	EXPECT_EQ(kill(k.pid, SIGKILL), 0);
	EXPECT_EQ(waitpid(k.pid, NULL, 0), k.pid);
	k.pid = 0;
	EXPECT_EQ(show_mount(k.pidfd, k.source, k.target, &err), -ESRCH);
}
