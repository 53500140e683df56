/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit that hull's starts are measured in: what the kernel itself takes for one container.
 * Bare system calls ask it for the same as `hull run --rm --network none` does: six namespaces, the
 * usual mounts, the cgroups of this host (v1's entered by `tasks`, v2's by CLONE_INTO_CGROUP), an
 * overlay, pivot_root, execve, wait, and everything away again. No checks beyond "did it work", no
 * error texts.
 *
 *	floor [--no-cgroups] ROOT PROGRAM [ARG…]
 *
 * ROOT is a folder (made the lower one of an overlay, whose upper one is below TMPDIR).
 *FLOOR_TIMES=1 prints the microseconds of each step on standard error.
 */
#include <errno.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "floor.h"

static bool with_cgroups;
static double last;

void must(long r, const char *what)
{
	if (r < 0) {
		perror(what);
		_exit(125);
	}
}

static void step(const char *what)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	double now = (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
	if (last > 0 && getenv("FLOOR_TIMES"))
		fprintf(stderr, "%8.0f us  %s\n", now - last, what);
	last = now;
}

static void make_dev(void)
{
	static const unsigned minors[] = {3, 5, 7, 8, 9};
	static const char *const names[] = {"null", "zero", "full", "random", "urandom"};
	static const char *const links[][2] = {{"ptmx", "pts/ptmx"},
					       {"fd", "/proc/self/fd"},
					       {"stdin", "/proc/self/fd/0"},
					       {"stdout", "/proc/self/fd/1"},
					       {"stderr", "/proc/self/fd/2"},
					       {"core", "/proc/kcore"}};
	char path[64];

	must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"),
	     "dev");
	for (size_t i = 0; i < 5; i++) {
		(void)snprintf(path, sizeof(path), "dev/%s", names[i]);
		must(mknod(path, S_IFCHR | 0666, makedev(1, minors[i])), path);
	}
	must(mknod("dev/tty", S_IFCHR | 0666, makedev(5, 0)), "tty");
	for (size_t i = 0; i < 6; i++) {
		(void)snprintf(path, sizeof(path), "dev/%s", links[i][0]);
		must(symlink(links[i][1], path), path);
	}
	must(mkdir("dev/pts", 0755), "pts");
	must(mkdir("dev/shm", 0755), "shm");
	must(mkdir("dev/mqueue", 0755), "mqueue");
	must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		   "newinstance,ptmxmode=0666,mode=0620,gid=5"),
	     "pts");
	must(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		   "mode=1777,size=65536k"),
	     "shm");
	must(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL),
	     "mqueue");
}

static void hide_paths(void)
{
	static const char *const masked[] = {"proc/acpi",        "proc/asound",
					     "proc/interrupts",  "proc/kcore",
					     "proc/keys",        "proc/latency_stats",
					     "proc/timer_list",  "proc/timer_stats",
					     "proc/sched_debug", "proc/scsi",
					     "sys/firmware",     "sys/devices/virtual/powercap"};
	static const char *const read_only[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys",
						"proc/sysrq-trigger"};
	struct stat st;

	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++) {
		if (stat(masked[i], &st) < 0)
			continue;
		must(S_ISDIR(st.st_mode) ? mount("tmpfs", masked[i], "tmpfs", MS_RDONLY, "size=0")
					 : mount("dev/null", masked[i], NULL, MS_BIND, NULL),
		     masked[i]);
	}
	for (size_t i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++) {
		if (stat(read_only[i], &st) < 0)
			continue;
		must(mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL), read_only[i]);
		must(mount(NULL, read_only[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL),
		     read_only[i]);
	}
}

static void make_root(const char *root, const char *scratch)
{
	char options[1024];
	char path[320];

	(void)snprintf(path, sizeof(path), "%s/upper", scratch);
	must(mkdir(path, 0755), path);
	(void)snprintf(path, sizeof(path), "%s/work", scratch);
	must(mkdir(path, 0755), path);
	(void)snprintf(path, sizeof(path), "%s/root", scratch);
	must(mkdir(path, 0755), path);
	(void)snprintf(options, sizeof(options),
		       "lowerdir=%s,upperdir=%s/upper,workdir=%s/work,volatile", root, scratch,
		       scratch);
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
	must(mount("overlay", path, "overlay", 0, options), "overlay");
	must(chdir(path), "chdir");
	(void)mkdir("proc", 0755);
	(void)mkdir("dev", 0755);
	(void)mkdir("sys", 0755);
}

static void loopback_up(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	must(sock, "socket");
	must(ioctl(sock, SIOCSIFFLAGS, &lo), "lo");
	(void)close(sock);
}

static _Noreturn void child(const char *root, const char *scratch, char **argv)
{
	if (with_cgroups) {
		cgroups_enter();
		must(unshare(CLONE_NEWCGROUP), "cgroup namespace");
		step("enter cgroups");
	}
	must(sethostname("floor", 5), "hostname");
	loopback_up();
	make_root(root, scratch);
	step("root");
	must(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "proc");
	make_dev();
	must(mount("sysfs", "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL),
	     "sys");
	step("mounts");
	if (with_cgroups) {
		cgroups_mount();
		step("cgroup mounts");
	}
	hide_paths();
	step("hidden paths");
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "umount");
	must(chdir("/"), "chdir");
	step("pivot_root");
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	(void)execve(argv[0], argv, (char *[]){(char[]){"PATH=/bin"}, NULL});
	must(-1, argv[0]);
	_exit(127);
}

/* The mark of a volatile overlay is a folder with a file in it. */
static void remove_scratch(const char *scratch)
{
	static const char *const inside[] = {"work/work/incompat/volatile/dirty",
					     "work/work/incompat/volatile",
					     "work/work/incompat",
					     "work/work",
					     "work",
					     "upper/dev",
					     "upper/proc",
					     "upper/sys",
					     "upper",
					     "root",
					     ""};
	char path[320];

	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", scratch, inside[i]);
		if (remove(path) < 0 && errno != ENOENT)
			perror(path);
	}
}

/* The child in its namespaces; 0 in the child. */
static pid_t give_birth(void)
{
	struct clone_args args = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = SIGCHLD,
	};
	int folder = with_cgroups ? cgroups_folder() : -1;

	if (folder >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)folder;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int main(int argc, char **argv)
{
	const char *base = getenv("TMPDIR");
	char scratch[200];
	int status;

	with_cgroups = argc < 2 || strcmp(argv[1], "--no-cgroups") != 0;
	argv += !with_cgroups;
	argc -= !with_cgroups;
	if (argc < 3) {
		(void)fputs("usage: floor [--no-cgroups] ROOT PROGRAM [ARG...]\n", stderr);
		return 2;
	}
	(void)snprintf(scratch, sizeof(scratch), "%s/hull-floor-XXXXXX", base ? base : "/var/tmp");
	step("");
	if (!mkdtemp(scratch)) {
		perror(scratch);
		return 1;
	}
	if (with_cgroups) {
		cgroups_make();
		step("make cgroups");
	}
	pid_t pid = give_birth();
	must(pid, "clone3");
	if (pid == 0)
		child(argv[1], scratch, argv + 2);
	step("clone");
	must(waitpid(pid, &status, 0), "wait");
	step("child");
	if (with_cgroups)
		cgroups_remove();
	remove_scratch(scratch);
	step("clean up");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
