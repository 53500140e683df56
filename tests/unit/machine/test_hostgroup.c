/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "machine/hostgroup.h"

#include <fcntl.h>

/* The name of a cgroup of this test alone. */
static const char *name(void)
{
	static char text[64];

	(void)snprintf(text, sizeof(text), "hull/test-%d/workload", getpid());
	return text;
}

static bool in_group(pid_t pid)
{
	char path[32];
	AUTO_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	return file_read(AT_FDCWD, path, 65536, &text, &err) == 0 &&
	       strstr(text.data, name()) != NULL;
}

TEST(a_process_that_joins_is_found_and_ended_with_the_cgroup)
{
	struct hostgroup group;
	struct err err = ERR_INIT;
	int pipe_fds[2];
	char byte;

	if (hostgroup_make(name(), 64 << 20, &group, &err) < 0 || group.n == 0) {
		printf("# no cgroups to be made here: %s\n", err.msg);
		return;
	}
	EXPECT_EQ(pipe(pipe_fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (hostgroup_join(&group) < 0 || write(pipe_fds[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(pipe_fds[1]);
	bool told = read(pipe_fds[0], &byte, 1) == 1;
	bool member = in_group(pid);
	(void)close(pipe_fds[0]);
	hostgroup_done(&group);
	int removed = hostgroup_remove(name(), &err);
	int status = 0;
	(void)kill(pid, SIGKILL);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT(told);
	EXPECT(member);
	EXPECT_EQ(removed, 0);
	EXPECT(!in_group(getpid()));
	EXPECT_EQ(hostgroup_remove(name(), &err), 0);
}

TEST(a_path_that_climbs_is_refused)
{
	struct hostgroup group;
	struct err err = ERR_INIT;

	EXPECT_EQ(hostgroup_make("../x", 1 << 20, &group, &err), -EINVAL);
	err = ERR_INIT;
	EXPECT_EQ(hostgroup_make("/hull/x", 1 << 20, &group, &err), -EINVAL);
}
