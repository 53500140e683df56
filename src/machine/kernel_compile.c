/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel from source: this file has the order of things and their end, the script
 * hull-kernel-build has the calls of make. Whatever is started stands in this process's group: a
 * signal goes to all of it, and is repeated as long as a step lasts, since it may come just before
 * the next program does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "machine/kernel_make.h"
#include "machine/vmlinux.h"

enum { STRIKE_S = 1, RELEASE_MAX = 256 };

/* What the build calls, and the package of Debian's that has it. */
static const struct {
	const char *tool, *package;
} tools[] = {
	{"gcc", "gcc"}, {"make", "make"},   {"flex", "flex"},          {"bison", "bison"},
	{"bc", "bc"},   {"perl", "perl"},   {"ld", "binutils"},        {"objcopy", "binutils"},
	{"tar", "tar"}, {"xz", "xz-utils"}, {"unshare", "util-linux"}, {"setpriv", "util-linux"},
};

/* Headers that the kernel's own tools are compiled with. */
static const struct {
	const char *path, *package;
} headers[] = {
	{"/usr/include/stdio.h", "libc6-dev"},
	{"/usr/include/libelf.h", "libelf-dev"},
};

static volatile sig_atomic_t stopped;

static void strike(int sig)
{
	int saved = errno;

	if (sig == SIGALRM || !stopped) { /* the group's own comes back to us */
		stopped = 1;
		(void)kill(0, SIGTERM);
		(void)alarm(STRIKE_S);
	}
	errno = saved;
}

void kernel_stoppable(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};
	const struct sigaction action = {.sa_handler = strike, .sa_flags = SA_RESTART};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaction(signals[i], &action, NULL);
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
}

bool kernel_settle(void)
{
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	(void)alarm(0);
	return stopped;
}

static bool in_path(const char *tool)
{
	const char *path = getenv("PATH");

	for (const char *at = path ? path : ""; *at;) {
		size_t n = strcspn(at, ":");
		AUTO_FREE char *file = NULL;
		if (asprintf(&file, "%.*s/%s", (int)n, at, tool) >= 0 && access(file, X_OK) == 0)
			return true;
		at += n + (at[n] == ':');
	}
	return false;
}

static void add_once(struct buf *list, const char *package)
{
	const char *at = list->data ? strstr(list->data, package) : NULL;
	size_t n = strlen(package);

	if (at && (at[n] == ' ' || at[n] == '\0'))
		return;
	buf_printf(list, "%s%s", list->len ? " " : "", package);
}

static int check_tools(struct err *err)
{
	AUTO_BUF struct buf lacks = BUF_INIT;
	AUTO_BUF struct buf packages = BUF_INIT;

	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
		if (in_path(tools[i].tool))
			continue;
		buf_printf(&lacks, "%s%s", lacks.len ? ", " : "", tools[i].tool);
		add_once(&packages, tools[i].package);
	}
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		if (access(headers[i].path, R_OK) == 0)
			continue;
		buf_printf(&lacks, "%s%s", lacks.len ? ", " : "", headers[i].path);
		add_once(&packages, headers[i].package);
	}
	int r = buf_check(&lacks, err);
	if (r == 0)
		r = buf_check(&packages, err);
	if (r < 0 || lacks.len == 0)
		return r;
	return err_set(err, ENOENT, "no %s: install Debian's %s", lacks.data, packages.data);
}

static int step(const char *text, struct err *err)
{
	if (stopped)
		return err_set(err, EINTR, "stopped by a signal");
	(void)printf("step %s\n", text);
	(void)fflush(stdout);
	return 0;
}

/* Runs the script with a verb and what it wants (n words). */
static int script(const char *const *words, struct err *err)
{
	AUTO_FREE char *program = NULL;
	const char *argv[8];
	size_t n = 1;

	int r = program_path("hull-kernel-build", &program, err);
	if (r < 0)
		return r;
	argv[0] = program;
	while (words[n - 1] && n < sizeof(argv) / sizeof(argv[0]) - 1) {
		argv[n] = words[n - 1];
		n++;
	}
	argv[n] = NULL;
	pid_t pid = proc_spawn(
		&(struct spawn){.argv = argv, .in = -1, .out = STDOUT_FILENO, .err = STDERR_FILENO},
		err);
	int status = pid < 0 ? pid : proc_wait(pid, err);
	if (status < 0)
		return status;
	if (stopped)
		return err_set(err, EINTR, "stopped by a signal");
	return status ? err_set(err, EIO, "the build ended with status %d", status) : 0;
}

/* The path as it is from anywhere, of something that can be read to an end. */
static int find_file(const char *path, bool folder, char **ret, struct err *err)
{
	struct stat st;

	*ret = realpath(path, NULL);
	if (!*ret || stat(*ret, &st) < 0)
		return err_sys(err, "open '%s'", path);
	if (S_ISREG(st.st_mode) || (folder && S_ISDIR(st.st_mode)))
		return 0;
	return err_set(err, EINVAL, "'%s' is not a regular file%s", path,
		       folder ? ", nor a folder" : "");
}

/* *source and *config: absolute paths, the caller frees; *config stays NULL when none was given. */
static int find_source(const char *dir, const struct kernel_recipe *recipe, char **source,
		       char **config, struct err *err)
{
	int r = 0;

	if (recipe->config[0])
		r = find_file(recipe->config, false, config, err);
	if (r == 0 && recipe->source[0])
		return find_file(recipe->source, true, source, err);
	if (r == 0)
		r = step("fetching the package linux-source", err);
	return r < 0 ? r : kernel_fetch_source(dir, source, err);
}

/* The release that the script left, judged. */
static int read_release(const char *dir, char **ret, struct err *err)
{
	AUTO_FREE char *path = path_join(dir, "release");
	AUTO_BUF struct buf text = BUF_INIT;

	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	int r = file_read(AT_FDCWD, path, RELEASE_MAX, &text, err);
	if (r < 0)
		return r;
	char *release = text.data ? text.data : (char[]){""};
	release[strcspn(release, "\n")] = '\0';
	if (!kernel_release_ok(release))
		return err_set(err, EINVAL, "'%s' cannot be a kernel's name", release);
	*ret = strdup(release);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

int kernel_configure(const char *dir, const struct kernel_recipe *recipe, char **release,
		     struct err *err)
{
	AUTO_FREE char *source = NULL;
	AUTO_FREE char *config = NULL;

	int r = check_tools(err);
	if (r == 0)
		r = find_source(dir, recipe, &source, &config, err);
	if (r == 0)
		r = step("unpacking and configuring", err);
	if (r == 0) {
		const char *const words[] = {"unpack", dir, source, config, NULL};
		r = script(words, err);
	}
	if (r == 0) {
		const char *const words[] = {"configure", dir, NULL};
		r = script(words, err);
	}
	return r < 0 ? r : read_release(dir, release, err);
}

int kernel_compile(const char *dir, const struct kernel_recipe *recipe, char **path,
		   struct err *err)
{
	const char *const words[] = {"compile", dir, recipe->jobs, NULL};

	int r = step("compiling (this takes a while)", err);
	if (r == 0)
		r = script(words, err);
	if (r < 0)
		return r;
	*path = path_join(dir, "kernel");
	return *path ? 0 : err_set(err, ENOMEM, "out of memory");
}
