/* SPDX-License-Identifier: Apache-2.0 */
/* Share and monitor, taken over (tests/security/taken.h), in the boxes that machines give them. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../security/taken.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/str.h"
#include "machine/driver.h"
#include "machine/share.h"
#include "machine/trace.h"
#include "proto/plan.h"

/* What the share must not reach: it is not in the share's network namespace. */
static int listen_on_host(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path + 1, TAKEN_LISTENER, sizeof(TAKEN_LISTENER) - 1);
	if (fd < 0 ||
	    bind(fd, (const struct sockaddr *)&at,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(TAKEN_LISTENER))) <
		    0 ||
	    listen(fd, 1) < 0)
		auto_close(&fd);
	return fd;
}

static void plan_done(struct plan *plan)
{
	record_done(&plan_record, plan);
}

/* Runs it on `folder`, writable; what it says of its tries, and its status. */
static int take_over(const char *folder, const char *at, char *said, size_t n, struct err *err)
{
	AUTO_STRV struct strv shares = {0};
	AUTO(plan_done) struct plan plan = {0};
	struct share share = {.pidfd = -1, .connection = -1};

	AUTO_CLOSE int listener = listen_on_host();
	if (listener < 0)
		return err_sys(err, "listen");
	if (!list_add(&plan.mounts, &plan_mount_record))
		return err_set(err, ENOMEM, "out of memory");
	int r = strv_add(&shares, folder, err);
	if (r == 0)
		r = share_start(&(struct share_spec){.shares = &shares,
						     .mounts = &plan.mounts,
						     .at = at,
						     .run_fd = -1,
						     .own = true,
						     .state = -1},
				&share, err);
	if (r < 0)
		return r;
	ssize_t got = recv(share.connection, said, n - 1, 0);
	said[got > 0 ? got : 0] = '\0';
	auto_close(&share.connection);
	auto_close(&share.pidfd);
	return pid_reap(share.pid, err);
}

/* Two folders of its own: one is shared, the other is where its root is made. */
static int run(bool bare, char *said, size_t n, struct err *err)
{
	char top[] = "/tmp/hull-taken-XXXXXX";
	char folder[sizeof(top) + 8], at[sizeof(top) + 8], mark[sizeof(folder) + 8];

	if (!mkdtemp(top))
		return err_sys(err, "make a folder");
	(void)snprintf(folder, sizeof(folder), "%s/shared", top);
	(void)snprintf(at, sizeof(at), "%s/at", top);
	(void)snprintf(mark, sizeof(mark), "%s/bare", folder);
	if (mkdir(folder, 0755) < 0 || mkdir(at, 0755) < 0 || (bare && mkdir(mark, 0755) < 0))
		return err_sys(err, "make a folder");
	int r = take_over(folder, at, said, n, err);
	struct err ignored = ERR_INIT; /* the test is over */
	AUTO_CLOSE int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)!path_remove_all(tmp, top + sizeof("/tmp/") - 1, &ignored);
	return r;
}

/* Whether something was tried and nothing was reached. */
static bool held(const char *said)
{
	size_t tried = 0;
	char reached[64] = "";

	return sscanf(said, "tried=%zu reached=%63[^\n]", &tried, reached) == 2 && tried >= 20 &&
	       strcmp(reached, "nothing") == 0;
}

TEST(a_share_taken_over_reaches_nothing_but_its_folders)
{
	struct err err = ERR_INIT;
	char said[128] = "";

	EXPECT_EQ(run(false, said, sizeof(said), &err), 0);
	EXPECT_STR(err.msg, "");
	printf("# %s\n", said);
	EXPECT(held(said));
}

TEST(nor_does_it_when_its_filter_has_failed_too)
{
	struct err err = ERR_INIT;
	char said[128] = "";

	EXPECT_EQ(run(true, said, sizeof(said), &err), 0);
	EXPECT_STR(err.msg, "");
	printf("# %s\n", said);
	EXPECT(held(said));
}

/* --- the monitor --- */

/* Its last line of complaint. */
static void listen_to(int fd, char *said, size_t n)
{
	size_t len = 0;
	ssize_t got;

	while (len < n - 1 && (got = read(fd, said + len, n - 1 - len)) > 0)
		len += (size_t)got;
	said[len] = '\0';
}

/* Launches one with a disk, a share and two processors; what it says of its tries. */
static int take_monitor(const char *kernel, bool bare, char *said, size_t n, struct err *err)
{
	static struct strv no_layers;
	AUTO(plan_done) struct plan plan = {.machine = {.memory = 32 << 20}};
	struct monitor monitor = {.pidfd = -1};
	char at[] = "/tmp/hull-taken-XXXXXX";
	int pair[2];

	AUTO_CLOSE int listener = listen_on_host();
	if (listener < 0 || !mkdtemp(at) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "prepare");
	AUTO_CLOSE int ours = pair[0];
	AUTO_CLOSE int theirs = pair[1];
	AUTO_CLOSE int scratch = memfd_create("scratch", MFD_CLOEXEC);
	plan.machine.kernel = strdup(kernel);
	plan.machine.kernel_args = strdup(bare ? "bare" : "filtered");
	int r = ours < 0 ? -EBADF : ftruncate(scratch, 1 << 20);
	if (r == 0)
		r = kvm_driver.launch(&(struct monitor_spec){.plan = &plan,
							     .initramfs = kernel,
							     .layers = &no_layers,
							     .scratch = scratch,
							     .modules = -1,
							     .share = theirs,
							     .share_tag = "tag",
							     .cpus = 2,
							     .max_cpus = 2,
							     .root = at},
				      &monitor, err);
	if (r == 0) {
		listen_to(monitor.complaints, said, n);
		r = pid_reap(monitor.pid, err);
	}
	auto_close(&monitor.pidfd);
	auto_close(&monitor.channel);
	auto_close(&monitor.console);
	auto_close(&monitor.control);
	auto_close(&monitor.complaints);
	(void)rmdir(at);
	return r;
}

static void monitor_holds(bool bare)
{
	static const char begins[] = "hull-monitor: ";
	const char *kernel = getenv("TAKEN_KERNEL");
	struct err err = ERR_INIT;
	char said[256] = "";

	if (!kernel) {
		printf("# skipped: needs KVM, and a machine's first program in TAKEN_KERNEL\n");
		return;
	}
	EXPECT_EQ(take_monitor(kernel, bare, said, sizeof(said), &err), 1);
	EXPECT_STR(err.msg, "");
	printf("# %s", said);
	EXPECT_EQ(strncmp(said, begins, sizeof(begins) - 1), 0);
	said[strcspn(said, "\n")] = '\0';
	EXPECT(held(said + sizeof(begins) - 1));
}

TEST(no_thread_of_a_monitor_taken_over_reaches_anything)
{
	monitor_holds(false);
}

TEST(nor_do_they_when_the_filters_have_failed_too)
{
	monitor_holds(true);
}
