/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drive [-m MIB] [-r RUN] [-v HOST:PATH[:ro]]… [-x ARGS] [-w] KERNEL-ROOT LAYER… -- PROGRAM [ARG…]
 * runs one machine through machine_isolation alone, without an engine: its first process on our
 * standard streams. The guest's messages go to standard error ("guest: …"), the end's reason too.
 * Answers with the process's status, or 125 when hull failed. -x: kernel arguments, -w: with a
 * writable disk, -r: the run folder.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/str.h"
#include "machine/machine.h"
#include "proto/plan.h"

struct run {
	struct loop *loop;
	struct isolation *iso;
	int status;
	uint64_t began;
};

static void say(const struct run *run, const char *what)
{
	(void)fprintf(stderr, "drive: %llu ms: %s\n", (unsigned long long)(clock_ms() - run->began),
		      what);
}

static void exited(void *ctx, const struct process_exit *end)
{
	struct run *run = ctx;

	if (end->process != 0)
		return;
	run->status = (int)end->status;
	say(run, end->reason ? end->reason : "exited");
	loop_stop(run->loop);
}

static void message(void *ctx, const char *line)
{
	(void)ctx;
	(void)fprintf(stderr, "guest: %s\n", line);
}

static void started(void *ctx, const struct err *failure, const void *answer)
{
	struct run *run = ctx;

	(void)answer;
	say(run, failure ? failure->msg : "started");
	if (failure)
		loop_stop(run->loop);
}

static int add_volume(struct plan *plan, char *text, struct err *err)
{
	struct plan_mount *m = list_add(&plan->mounts, &plan_mount_record);
	char *path = strchr(text, ':');

	if (!m || !path)
		return err_set(err, 22, "-v HOST:PATH[:ro]");
	*path++ = '\0';
	char *ro = strstr(path, ":ro");
	if (ro)
		*ro = '\0';
	m->source = strdup(text);
	m->target = strdup(path);
	m->flags = 4096 /* MS_BIND */ | 16384 /* MS_REC */ | (ro ? 1 /* MS_RDONLY */ : 0);
	return m->source && m->target ? 0 : err_set(err, 12, "out of memory");
}

static int fill(struct plan *plan, const struct kernel *k, uint64_t mib, const char *id,
		struct err *err)
{
	char cgroup[128];
	char why[PROBE_WHY_MAX];

	(void)snprintf(cgroup, sizeof(cgroup), "hull/%s/workload", id);
	plan->id = strdup(id);
	plan->hostname = strdup("box");
	plan->cgroup = strdup(cgroup);
	plan->namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;
	plan->machine.kernel = strdup(k->path);
	plan->machine.initramfs = strdup(k->initramfs);
	plan->machine.modules = k->modules ? strdup(k->modules) : NULL;
	plan->machine.memory = plan_machine_memory(k->need, mib << 20);
	if (getenv("TOTAL"))
		plan->machine.memory = strtoull(getenv("TOTAL"), NULL, 10) << 20;
	plan->machine.cpus = 1;
	plan->machine.accel = machine_accel_probe(why);
	plan->limits.memory = mib << 20;
	plan->process.cwd = strdup("/");
	return strv_add(&plan->process.env, "PATH=/bin:/usr/bin", err);
}

static int drive(struct run *run, const struct plan *plan, const char *dir, struct err *err)
{
	static const struct isolation_events events = {exited, message};
	struct process_io io = {0, 1, 2};

	AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open '%s'", dir);
	struct isolation_config config = {.plan = plan,
					  .state_fd = fd,
					  .state_path = dir,
					  .layers_fd = -1,
					  .loop = run->loop,
					  .events = &events,
					  .ctx = run};
	run->began = clock_ms();
	int r = machine_isolation.create(&config, &run->iso, err);
	if (r < 0)
		return r;
	say(run, "created");
	machine_isolation.start(run->iso, &io, started, run);
	r = loop_run(run->loop, err);
	machine_isolation.delete(run->iso);
	say(run, "deleted");
	return r;
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	struct plan plan = {0};
	struct kernel k = {0};
	char dir[] = "/tmp/hull-drive-XXXXXX";
	const char *run_dir = NULL;
	uint64_t mib = 64;
	bool disk = false;
	int r = 0;

	for (int c; (c = getopt(argc, argv, "+m:r:v:x:w")) != -1;) {
		if (c == 'm')
			mib = strtoull(optarg, NULL, 10);
		else if (c == 'r')
			run_dir = optarg;
		else if (c == 'x')
			plan.machine.kernel_args = strdup(optarg);
		else if (c == 'w')
			disk = true;
		else if (c != 'v' || (r = add_volume(&plan, optarg, &err)) < 0)
			return 2;
	}
	if (argc - optind < 3)
		return 2;
	if (!run_dir)
		run_dir = mkdtemp(dir);
	struct run run = {.status = 125};
	r = kernel_find(argv[optind], NULL, &k, &err);
	if (r == 0)
		r = fill(&plan, &k, mib, strrchr(run_dir, '/') + 1, &err);
	int i = optind + 1;
	for (; i < argc && strcmp(argv[i], "--") != 0 && r == 0; i++)
		r = strv_add(&plan.root.layers, argv[i], &err);
	for (i++; i < argc && r == 0; i++)
		r = strv_add(&plan.process.args, argv[i], &err);
	if (disk && asprintf(&plan.machine.disk, "%s/disk.ext4", run_dir) < 0)
		r = err_set(&err, 12, "out of memory");
	if (r == 0)
		r = loop_new(&run.loop, &err);
	if (r == 0)
		r = drive(&run, &plan, run_dir, &err);
	if (r < 0)
		(void)fprintf(stderr, "drive: %s\n", err.msg);
	if (disk)
		(void)unlink(plan.machine.disk);
	if (run_dir == dir)
		(void)rmdir(dir);
	loop_free(run.loop);
	record_done(&plan_record, &plan);
	kernel_done(&k);
	return r < 0 ? 125 : run.status;
}
