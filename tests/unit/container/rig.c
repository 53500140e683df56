/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "container/container.h"

/* chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot
 * mknod audit_write setfcap */
const uint64_t rig_caps = 0xa80425fb;

static void die(const char *what, const struct err *err)
{
	printf("Bail out! %s: %s\n", what, err ? err->msg : strerror(errno));
	exit(1);
}

bool rig_can(void)
{
	if (geteuid() == 0 && access("/sys/fs/cgroup", X_OK) == 0 &&
	    access("/bin/busybox", X_OK) == 0)
		return true;
	printf("# needs root, cgroups and /bin/busybox\n");
	return false;
}

static void copy_busybox(const char *dir)
{
	char to[160];
	struct err err = ERR_INIT;
	AUTO_BUF struct buf bytes = BUF_INIT;

	if (file_read(AT_FDCWD, "/bin/busybox", 64 << 20, &bytes, &err) < 0)
		die("read busybox", &err);
	(void)snprintf(to, sizeof(to), "%s/root/bin/busybox", dir);
	if (file_replace(AT_FDCWD, to, bytes.data, bytes.len, 0755, &err) < 0)
		die("write busybox", &err);
	(void)chmod(to, 0755);
}

void rig_file(const struct rig *rig, const char *path, const char *text, mode_t mode)
{
	struct err err = ERR_INIT;
	AUTO_FREE char *whole = path_join(rig->dir, path);

	if (!whole || file_replace(AT_FDCWD, whole, text, strlen(text), mode, &err) < 0)
		die(path, &err);
	(void)chmod(whole, mode);
}

static void make_root(struct rig *rig)
{
	static const char *const folders[] = {
		"root",     "root/bin", "root/etc", "root/tmp", "root/home", "root/proc",
		"root/dev", "root/sys", "upper",    "work",     "layers",    "state",
	};
	static const char *const names[] = {
		"sh",     "cat",     "ls",     "id",       "true",   "false",   "sleep",
		"grep",   "stat",    "mount",  "mkdir",    "touch",  "chmod",   "kill",
		"ps",     "head",    "dd",     "wc",       "env",    "pwd",     "hostname",
		"tty",    "stty",    "mknod",  "readlink", "umount", "rm",      "find",
		"ip",     "sync",    "tail",   "awk",      "ln",     "tar",     "sort",
		"printf", "echo",    "test",   "cut",      "nproc",  "date",    "chown",
		"tr",     "cmp",     "sed",    "yes",      "mkfifo", "dirname", "cp",
		"od",     "getconf", "md5sum", "mktemp",   "seq",    "usleep",  "nice",
		"renice", "losetup", "chroot", "unshare",  "free",
	};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		AUTO_FREE char *path = path_join(rig->dir, folders[i]);
		if (!path || mkdir(path, 0755) < 0)
			die("make folder", NULL);
	}
	copy_busybox(rig->dir);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[160];
		(void)snprintf(path, sizeof(path), "%s/root/bin/%s", rig->dir, names[i]);
		if (symlink("busybox", path) < 0)
			die(path, NULL);
	}
	rig_file(rig, "root/etc/passwd",
		 "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001:Alice:/home/alice:/bin/sh\n",
		 0644);
	rig_file(rig, "root/etc/group",
		 "root:x:0:\nalice:x:1001:\nwheel:x:10:root,alice\naudio:x:29:\n", 0644);
}

static void add(struct strv *to, const char *s)
{
	struct err err = ERR_INIT;

	if (strv_add(to, s, &err) < 0)
		die("rig", &err);
}

void rig_args(struct plan_process *p, const char *const *args)
{
	strv_done(&p->args);
	for (; *args; args++)
		add(&p->args, *args);
}

static void process_init(struct plan_process *p, const char *script)
{
	rig_args(p, (const char *const[]){"sh", "-c", script, NULL});
	add(&p->env, "PATH=/bin:/usr/bin");
	p->cap_bounding = p->cap_permitted = p->cap_effective = rig_caps;
}

void rig_init(struct rig *rig, const char *script)
{
	static unsigned number;
	struct err err = ERR_INIT;
	char text[160];

	(void)umask(022);
	*rig = (struct rig){.state_fd = -1, .layers_fd = -1, .in = -1, .out = -1};
	/* TMPDIR: where overlay can have its upper folder, in the lab */
	const char *tmp = getenv("TMPDIR");
	(void)snprintf(rig->dir, sizeof(rig->dir), "%s/hull-rig-XXXXXX", tmp ? tmp : "/var/tmp");
	if (!mkdtemp(rig->dir) || chmod(rig->dir, 0755) < 0 || loop_new(&rig->loop, &err) < 0)
		die("make rig", &err);
	make_root(rig);
	(void)snprintf(text, sizeof(text), "%s/state", rig->dir);
	rig->state_fd = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(text, sizeof(text), "%s/layers", rig->dir);
	rig->layers_fd = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)snprintf(text, sizeof(text), "rig%d-%u", getpid(), number++);
	struct plan *p = &rig->plan;
	p->id = strdup(text);
	p->hostname = strdup("box");
	if (asprintf(&p->cgroup, "hull/%s/workload", text) < 0)
		die("rig", NULL);
	p->namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
			CLONE_NEWCGROUP;
	process_init(&p->process, script);
	AUTO_FREE char *lower = path_join(rig->dir, "root");
	p->root.upper = path_join(rig->dir, "upper");
	p->root.work = path_join(rig->dir, "work");
	p->root.is_volatile = true;
	add(&p->root.lower, lower);
}

struct plan_mount *rig_mount(struct rig *rig, const char *type, const char *source,
			     const char *target, uint64_t flags, const char *data)
{
	struct plan_mount *m = list_add(&rig->plan.mounts, &plan_mount_record);

	if (!m)
		die("rig", NULL);
	m->type = type ? strdup(type) : NULL;
	m->source = type ? strdup(source) : path_join(rig->dir, source);
	m->target = strdup(target);
	m->flags = flags;
	m->data = data ? strdup(data) : NULL;
	return m;
}

/* The device rules that spec/ gives every workload, in short. */
static void usual_rules(struct rig *rig)
{
	static const uint32_t majors[] = {1, 5, 136};

	for (size_t i = 0; i < sizeof(majors) / sizeof(majors[0]); i++) {
		struct plan_device *d = list_add(&rig->plan.limits.devices, &plan_device_record);
		if (!d || !(d->access = strdup("rwm")))
			die("rig", NULL);
		d->type = 'c';
		d->major = majors[i];
		d->minor = UINT32_MAX;
	}
}

void rig_specified(struct rig *rig)
{
	const uint64_t safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	rig->plan.as_specified = true;
	usual_rules(rig);
	rig_mount(rig, "proc", "proc", "/proc", safe, NULL);
	rig_mount(rig, "tmpfs", "tmpfs", "/dev", MS_NOSUID | MS_STRICTATIME,
		  "mode=755,size=65536k");
	rig_mount(rig, "devpts", "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
		  "newinstance,ptmxmode=0666,mode=0620,gid=5");
	rig_mount(rig, "sysfs", "sysfs", "/sys", safe | MS_RDONLY, NULL);
	rig_mount(rig, "cgroup", "cgroup", "/sys/fs/cgroup", safe | MS_RDONLY, NULL);
	rig_mount(rig, "mqueue", "mqueue", "/dev/mqueue", safe, NULL);
	rig_mount(rig, "tmpfs", "shm", "/dev/shm", safe, "mode=1777,size=65536k");
}

static void on_exited(void *ctx, const struct process_exit *end)
{
	struct rig *rig = ctx;

	if (end->process == 0) {
		rig->exit = *end;
		rig->ended = true;
	} else {
		rig->exec_exit = *end;
		rig->exec_ended = true;
	}
}

static void on_message(void *ctx, const char *line)
{
	struct rig *rig = ctx;

	buf_printf(&rig->messages, "%s\n", line);
}

int rig_create(struct rig *rig)
{
	static const struct isolation_events events = {on_exited, on_message};
	struct isolation_config config = {
		.plan = &rig->plan,
		.state_fd = rig->state_fd,
		.state_path = rig->dir,
		.layers_fd = rig->layers_fd,
		.loop = rig->loop,
		.events = &events,
		.ctx = rig,
	};

	rig->failure = ERR_INIT;
	return container_isolation.create(&config, &rig->iso, &rig->failure);
}

void rig_reply(void *ctx, const struct err *failure, const void *answer)
{
	struct rig *rig = ctx;

	rig->answered = true;
	rig->failure = failure ? *failure : ERR_INIT;
}

void rig_stats(void *ctx, const struct err *failure, const void *answer)
{
	struct rig *rig = ctx;

	rig_reply(ctx, failure, NULL);
	if (answer)
		rig->stats = *(const struct isolation_stats *)answer;
}

void rig_top(void *ctx, const struct err *failure, const void *answer)
{
	struct rig *rig = ctx;
	const struct isolation_top *top = answer;

	rig_reply(ctx, failure, NULL);
	buf_clear(&rig->top);
	for (size_t i = 0; top && i < top->processes.n; i++) {
		const struct process_info *p = (const struct process_info *)top->processes.items +
					       i;
		buf_printf(&rig->top, "%s\n", p->command);
	}
}

void rig_remove(const char *dir)
{
	struct err err = ERR_INIT;
	const char *name = strrchr(dir, '/') + 1;
	AUTO_FREE char *above = strndup(dir, (size_t)(name - dir));
	AUTO_CLOSE int tmp = above ? open(above, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	if (path_remove_all(tmp, name, &err) < 0)
		die("remove rig", &err);
}

static int stop(void *ctx, struct err *err)
{
	loop_stop(ctx);
	return 0;
}

/* One turn of the loop of at most ms. */
static void turn(struct rig *rig, unsigned ms)
{
	struct timer *timer = NULL;
	struct err err = ERR_INIT;

	if (loop_timer(rig->loop, ms, stop, rig->loop, &timer, &err) < 0 ||
	    loop_run(rig->loop, &err) < 0)
		die("loop", &err);
}

static void drain(struct rig *rig)
{
	char chunk[8192];
	ssize_t n;

	while (rig->out >= 0 && (n = read(rig->out, chunk, sizeof(chunk))) != 0) {
		if (n < 0)
			return;
		buf_add(&rig->output, chunk, (size_t)n);
	}
}

int rig_answer(struct rig *rig)
{
	for (int i = 0; i < 4000 && !rig->answered; i++) {
		turn(rig, 5);
		drain(rig);
	}
	if (!rig->answered)
		die("no answer", NULL);
	return -rig->failure.code;
}

int rig_start(struct rig *rig)
{
	int in[2] = {-1, -1};
	int out[2] = {-1, -1};
	bool tty = rig->plan.process.tty;

	if (!tty && (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0))
		die("pipe", NULL);
	rig->answered = false;
	container_isolation.start(rig->iso, &(struct process_io){in[0], out[1], out[1]}, rig_reply,
				  rig);
	auto_close(&in[0]);
	auto_close(&out[1]);
	rig->in = in[1];
	rig->out = out[0];
	if (rig->out >= 0)
		(void)fcntl(rig->out, F_SETFL, O_NONBLOCK);
	int r = rig_answer(rig);
	if (r == 0 && tty) {
		struct err err = ERR_INIT;
		rig->out = container_isolation.console(rig->iso, 0, &err);
		if (rig->out < 0)
			die("console", &err);
		rig->in = fcntl(rig->out, F_DUPFD_CLOEXEC, 3);
		(void)fcntl(rig->out, F_SETFL, O_NONBLOCK);
	}
	return r;
}

int rig_finish(struct rig *rig)
{
	for (int i = 0; i < 20000 && !rig->ended; i++) {
		turn(rig, 1);
		drain(rig);
	}
	drain(rig);
	if (!rig->ended)
		return -ETIMEDOUT;
	buf_add(&rig->output, "", 0);
	return 0;
}

int rig_run(struct rig *rig)
{
	int r = rig_create(rig);

	if (r == 0)
		r = rig_start(rig);
	if (r == 0)
		r = rig_finish(rig);
	if (r < 0)
		printf("# %s\n", rig->failure.msg);
	return r < 0 ? r : (int)rig->exit.status;
}

bool rig_until(struct rig *rig, const char *text, int ms)
{
	for (int i = 0; i < ms; i++) {
		drain(rig);
		if (rig->output.data && strstr(rig->output.data, text))
			return true;
		turn(rig, 1);
	}
	return false;
}

int rig_exec_as(struct rig *rig, const struct plan_process *what, int in)
{
	static uint32_t number = 1;
	int out[2];

	if (pipe2(out, O_CLOEXEC) < 0)
		die("pipe", NULL);
	rig->answered = rig->exec_ended = false;
	container_isolation.exec(rig->iso, number++, what, &(struct process_io){in, out[1], out[1]},
				 rig_reply, rig);
	auto_close(&out[1]);
	int old = rig->out;
	rig->out = out[0];
	(void)fcntl(rig->out, F_SETFL, O_NONBLOCK);
	int r = rig_answer(rig);
	for (int i = 0; r == 0 && i < 20000 && !rig->exec_ended; i++) {
		turn(rig, 1);
		drain(rig);
	}
	drain(rig);
	auto_close(&rig->out);
	rig->out = old;
	if (r == 0 && !rig->exec_ended)
		r = -ETIMEDOUT;
	return r < 0 ? r : (int)rig->exec_exit.status;
}

int rig_exec(struct rig *rig, const char *script)
{
	struct plan_process what = {.rows = 0};

	process_init(&what, script);
	buf_clear(&rig->output);
	int r = rig_exec_as(rig, &what, -1);
	record_done(&plan_process_record, &what);
	return r;
}

bool rig_left_anything(const struct rig *rig)
{
	bool found = false;

	for (size_t i = 0; i < 2; i++) {
		AUTO_FREE char *pattern = NULL;
		glob_t left;
		if (asprintf(&pattern, i ? "/sys/fs/cgroup/*/hull/%s" : "/sys/fs/cgroup/hull/%s",
			     rig->plan.id) < 0)
			die("rig", NULL);
		if (glob(pattern, GLOB_NOSORT, NULL, &left) == 0) {
			printf("# left: %s\n", left.gl_pathv[0]);
			found = true;
		}
		globfree(&left);
	}
	return found;
}

void rig_done(struct rig *rig)
{
	container_isolation.delete(rig->iso);
	rig->iso = NULL;
	auto_close(&rig->in);
	auto_close(&rig->out);
	auto_close(&rig->state_fd);
	auto_close(&rig->layers_fd);
	loop_free(rig->loop);
	buf_done(&rig->output);
	buf_done(&rig->messages);
	record_done(&plan_record, &rig->plan);
	buf_done(&rig->top);
	rig_remove(rig->dir);
}
