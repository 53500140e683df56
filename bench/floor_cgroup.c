/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroups of the floor: each hierarchy of v1 that this host has, or the one tree of v2 with a
 * device program of two instructions. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "floor.h"

static const char *const controllers[] = {"cpu",     "cpuacct", "cpuset", "memory", "devices",
					  "freezer", "blkio",   "pids",   "systemd"};
enum { N_CONTROLLERS = sizeof(controllers) / sizeof(controllers[0]) };
static char name[64];
static int folder = -1; /* v2's */

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	(void)close(fd);
	return n < 0 ? -1 : 0;
}

static bool is_v2(void)
{
	return access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0;
}

static void cgroup_path(char path[static 160], size_t i, const char *file)
{
	(void)snprintf(path, 160, "/sys/fs/cgroup/%s/%s%s%s", controllers[i], name,
		       *file ? "/" : "", file);
}

static void v2_path(char path[static 160])
{
	(void)snprintf(path, 160, "/sys/fs/cgroup/%s", name);
}

static void make_v2(void)
{
	struct bpf_insn allow_all[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uint64_t)(uintptr_t)allow_all,
		.insn_cnt = 2,
		.license = (uint64_t)(uintptr_t) "Apache-2.0",
	};
	union bpf_attr attach = {.attach_type = BPF_CGROUP_DEVICE,
				 .attach_flags = BPF_F_ALLOW_MULTI};
	char path[160];

	v2_path(path);
	must(mkdir(path, 0755), path);
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(folder, path);
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	must(program, "load");
	attach.target_fd = (uint32_t)folder;
	attach.attach_bpf_fd = (uint32_t)program;
	must(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)), "attach");
	(void)close(program);
}

static void make_v1(void)
{
	static const char *const allow[] = {"c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm",
					    "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm"};
	char path[160];

	for (size_t i = 0; i < N_CONTROLLERS; i++) {
		cgroup_path(path, i, "");
		if (mkdir(path, 0755) == 0 && strcmp(controllers[i], "cpuset") == 0) {
			cgroup_path(path, i, "cpuset.cpus");
			(void)put(path, "0");
			cgroup_path(path, i, "cpuset.mems");
			(void)put(path, "0");
		}
	}
	cgroup_path(path, 4, "devices.deny");
	if (put(path, "a") < 0)
		return;
	cgroup_path(path, 4, "devices.allow");
	for (size_t i = 0; i < sizeof(allow) / sizeof(allow[0]); i++)
		must(put(path, allow[i]), "devices.allow");
}

void cgroups_make(void)
{
	(void)snprintf(name, sizeof(name), "hull-floor-%d", getpid());
	if (is_v2())
		make_v2();
	else
		make_v1();
}

int cgroups_folder(void)
{
	return folder;
}

void cgroups_enter(void)
{
	char path[160];

	for (size_t i = 0; folder < 0 && i < N_CONTROLLERS; i++) {
		cgroup_path(path, i, "tasks");
		if (access(path, F_OK) == 0)
			must(put(path, "0"), "tasks");
	}
}

void cgroups_remove(void)
{
	char path[160];

	if (folder >= 0) {
		v2_path(path);
		must(rmdir(path), path);
		return;
	}
	for (size_t i = 0; i < N_CONTROLLERS; i++) {
		cgroup_path(path, i, "");
		if (rmdir(path) < 0 && errno != ENOENT)
			perror(path);
	}
}

void cgroups_mount(void)
{
	char path[160];
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (folder >= 0) {
		must(mount("cgroup", "sys/fs/cgroup", "cgroup2", flags | MS_RDONLY, NULL),
		     "cgroup2");
		return;
	}
	must(mount("tmpfs", "sys/fs/cgroup", "tmpfs", flags, "mode=755"), "cgroup");
	for (size_t i = 0; i < N_CONTROLLERS; i++) {
		const char *what = strcmp(controllers[i], "systemd") ? controllers[i]
								     : "none,name=systemd";
		(void)snprintf(path, sizeof(path), "sys/fs/cgroup/%s", controllers[i]);
		must(mkdir(path, 0755), path);
		if (mount("cgroup", path, "cgroup", flags | MS_RDONLY, what) < 0 && errno != EINVAL)
			must(-1, path);
	}
	must(mount(NULL, "sys/fs/cgroup", NULL, flags | MS_REMOUNT | MS_RDONLY | MS_BIND, NULL),
	     "cgroup");
}
