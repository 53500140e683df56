/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "oci/oci.h"
#include "oci/systemd.h"

enum { EXIT_FAILED = 1, EXIT_EXEC_FAILED = 255 };

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* A line of --log, in the form that callers of runc parse. */
static void log_line(const struct oci *oci, const char *level, const char *message, struct buf *to)
{
	struct json_out out = JSON_OUT(to, false);

	if (!oci->log_json) {
		buf_printf(to, "%s: %s\n", level, message);
		return;
	}
	json_begin(&out, NULL);
	json_put_str(&out, "level", level);
	json_put_str(&out, "msg", message);
	json_put_time(&out, "time", now_ns());
	json_end(&out);
	buf_str(to, "\n");
}

/* Callers look for these words as Go writes them (docker: 126 and 127). */
static void speak_as_go(char *message)
{
	static const char *const phrases[] = {"Permission denied", "No such file or directory",
					      "Operation not permitted", "No such process"};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
		char *at = message;
		while ((at = strstr(at, phrases[i])))
			*at++ |= ' '; /* lower case */
	}
}

void oci_log(const struct oci *oci, const char *level, const char *text)
{
	AUTO_BUF struct buf line = BUF_INIT;
	struct err ignored = ERR_INIT; /* there is nowhere left to tell of it */
	char message[ERR_MSG_MAX];

	(void)snprintf(message, sizeof(message), "%s", text);
	speak_as_go(message);
	fprintf(stderr, "hull-oci: ");
	for (const char *p = message; *p; p++)
		(void)fputc((unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p, stderr);
	(void)fputc('\n', stderr);
	if (!oci->log)
		return;
	log_line(oci, level, message, &line);
	AUTO_CLOSE int fd = open(oci->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK,
				 0644);
	if (fd < 0 || buf_check(&line, &ignored) < 0 ||
	    write_all(fd, line.data, line.len, oci->log, &ignored) < 0)
		return;
}

static void warn(void *ctx, const char *line)
{
	oci_log(ctx, "warning", line);
}

static void print_version(void)
{
	printf("hull-oci version %s\ncommit: %s\nspec: 1.2.0\n", HULL_VERSION, HULL_VERSION);
}

static void print_command_help(const struct oci_command *c)
{
	printf("usage: hull-oci [GLOBAL OPTION…] %s [OPTION…] %s\n\n%s\n\n", c->name, c->words,
	       c->help);
	for (const struct oci_option *o = c->options; o->name; o++) {
		printf("  %s%c --%-20s %s\n", o->letter ? "-" : " ", o->letter ? o->letter : ' ',
		       o->name, o->help);
	}
}

static void print_help(void)
{
	puts("usage: hull-oci [GLOBAL OPTION…] COMMAND [OPTION…] [ID …]\n\n"
	     "The OCI runtime of hull, for docker, containerd, CRI-O, podman.\n");
	for (const struct oci_command *c = oci_commands; c->name; c++)
		printf("  %-12s %s\n", c->name, c->help);
	puts("\nglobal options: --root DIR, --log FILE, --log-format text|json, --systemd-cgroup,\n"
	     "--cgroup-manager cgroupfs|systemd|disabled, --debug, --version, --help");
}

/* The folder for states that nobody named: of this boot, and of this user. Who is root only in a
 * user namespace is a user like others. */
static int default_root(char **ret, struct err *err)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	bool has_run = run && *run == '/';
	bool is_user = geteuid() != 0 || (has_run && container_caller_is_mapped());

	if (is_user && !has_run)
		return err_set(err, EINVAL,
			       "no folder for the states of containers: set XDG_RUNTIME_DIR, or "
			       "give --root");
	int n = is_user ? asprintf(ret, "%s/hull-oci", run) : asprintf(ret, "/run/hull-oci");
	return n < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int open_root(struct oci *oci, char **owned, struct err *err)
{
	int r = oci->root ? 0 : default_root(owned, err);

	if (r < 0)
		return r;
	if (!oci->root)
		oci->root = *owned;
	r = path_mkdir_all(AT_FDCWD, oci->root, 0700, err);
	if (r < 0)
		return r;
	oci->root_fd = open(oci->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return oci->root_fd < 0 ? err_sys(err, "open '%s'", oci->root) : 0;
}

/* What was said of the log's form and, in crun's words, of who makes the cgroups; NULL: nothing. */
static int choose(struct oci *oci, const char *format, const char *manager, struct err *err)
{
	static const char *const formats[] = {"text", "json", NULL};
	static const char *const managers[] = {"cgroupfs", "systemd", "disabled", NULL};

	if (format && !str_in(format, formats))
		return err_set(err, EINVAL, "--log-format: '%s' is neither text nor json", format);
	if (manager && !str_in(manager, managers))
		return err_set(err, EINVAL,
			       "--cgroup-manager: '%s' is none of cgroupfs, systemd, disabled",
			       manager);
	if (format)
		oci->log_json = strcmp(format, "json") == 0;
	if (manager)
		oci->systemd_cgroup = strcmp(manager, "systemd") == 0;
	if (manager)
		oci->no_cgroup = strcmp(manager, "disabled") == 0;
	return 0;
}

/* One global option at argv[i]; returns how many words it took, 0 when it is none. */
static int global_option(struct oci *oci, char **argv, int i, int argc, struct err *err)
{
	static const char *const flags[] = {"--debug", "--systemd-cgroup", "--no-pivot", NULL};
	const char *format = NULL;
	const char *manager = NULL;
	const struct {
		const char *name;
		const char **value;
	} options[] = {
		{"--root", &oci->root},         {"--log", &oci->log},
		{"--log-format", &format},      {"--log-level", &(const char *){NULL}},
		{"--cgroup-manager", &manager}, {"--rootless", &(const char *){NULL}},
	};

	if (str_in(argv[i], flags)) {
		oci->systemd_cgroup |= strcmp(argv[i], "--systemd-cgroup") == 0;
		oci->debug |= strcmp(argv[i], "--debug") == 0;
		return 1;
	}
	for (size_t o = 0; o < sizeof(options) / sizeof(options[0]); o++) {
		const char *rest;
		if (!str_prefix(argv[i], options[o].name, &rest) || (*rest && *rest != '='))
			continue;
		if (!*rest && i + 1 == argc)
			return err_set(err, EINVAL, "%s: wants a value", argv[i]);
		*options[o].value = *rest ? rest + 1 : argv[i + 1];
		int r = choose(oci, format, manager, err);
		return r < 0 ? r : *rest ? 1 : 2;
	}
	return 0;
}

static const struct oci_command *find_command(const char *name)
{
	for (const struct oci_command *c = oci_commands; c->name; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static int carry_out(struct oci *oci, const struct oci_command *c, char **argv, size_t n,
		     struct err *err)
{
	AUTO_FREE char *root = NULL;
	int r = oci_args(oci, c, argv, n, err);

	if (r == 0 && oci->options.help) {
		print_command_help(c);
		r = c->able ? c->able(err) : 0;
	} else if (r == 0) {
		r = open_root(oci, &root, err);
		if (r == 0)
			r = c->run(oci, err);
	}
	strv_done(&oci->options.env);
	strv_done(&oci->options.cap);
	systemd_close(oci->systemd);
	auto_close(&oci->root_fd);
	return r;
}

/* What needs no command; true when it was one of those. */
static bool told(const char *word)
{
	if (strcmp(word, "--version") == 0 || strcmp(word, "-v") == 0)
		print_version();
	else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		print_help();
	else
		return false;
	return true;
}

/* The global options; *ret_i is the first word behind them. 1: told, nothing else is asked. */
static int read_globals(struct oci *oci, int argc, char **argv, int *ret_i, struct err *err)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-') {
		if (told(argv[i]))
			return 1;
		int r = global_option(oci, argv, i, argc, err);
		if (r == 0)
			r = err_set(err, EINVAL, "%s: no such option (see hull-oci --help)",
				    argv[i]);
		if (r < 0)
			return r;
		i += r;
	}
	*ret_i = i;
	return 0;
}

static int dispatch(struct oci *oci, const struct oci_command *c, int argc, char **argv,
		    struct err *err)
{
	if (!c)
		return err_set(err, EINVAL, "'%s': no such command (see hull-oci --help)", argv[0]);
	int r = carry_out(oci, c, argv + 1, (size_t)(argc - 1), err);
	if (r >= 0 && (fflush(stdout) != 0 || ferror(stdout)))
		r = err_set(err, EIO, "cannot write to standard output");
	return r;
}

int main(int argc, char **argv)
{
	struct oci oci = {.root_fd = -1, .caller = {.say = warn, .ctx = &oci}};
	struct err err = ERR_INIT;
	const struct oci_command *c = NULL;
	int i = argc;

	int r = read_globals(&oci, argc, argv, &i, &err);
	if (r == 1)
		return 0;
	if (r == 0 && i == argc) {
		print_help();
		return EXIT_FAILED;
	}
	if (r == 0) {
		c = find_command(argv[i]);
		r = dispatch(&oci, c, argc - i, argv + i, &err);
	}
	if (r >= 0)
		return r;
	oci_log(&oci, "error", err.msg);
	return c && strcmp(c->name, "exec") == 0 ? EXIT_EXEC_FAILED : EXIT_FAILED;
}
