/* SPDX-License-Identifier: Apache-2.0 */
/* save, load, export: images and roots as files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "engine/engine.h"
#include "image/image.h"

/* A file that is being written: under a name of its own until it is whole. */
struct outlet {
	int fd;
	char *path, *part; /* part NULL: what is there is written to as it is */
};

static void outlet_done(struct outlet *o)
{
	if (o->part)
		(void)unlink(o->part);
	auto_close(&o->fd);
	free(o->part);
	free(o->path);
}

static int create_part(struct outlet *o, struct err *err)
{
	if (asprintf(&o->part, "%s.%d.part", o->path, getpid()) < 0) {
		o->part = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	o->fd = open(o->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (o->fd >= 0)
		return 0;
	int r = err_sys(err, "create '%s'", o->part);
	free(TAKE_PTR(o->part));
	return r;
}

/* path NULL: standard output, if that is no terminal. A device or pipe is written to as it is. */
static int outlet_open(struct outlet *o, const char *path, struct err *err)
{
	struct stat st;

	if (!path) {
		if (isatty(STDOUT_FILENO))
			return err_set(err, EINVAL,
				       "an archive is nothing for a terminal (use --output, or a "
				       "pipe)");
		o->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		return o->fd < 0 ? err_sys(err, "standard output") : 0;
	}
	o->path = strdup(path);
	if (!o->path)
		return err_set(err, ENOMEM, "out of memory");
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(err, EISDIR, "'%s' is a folder", path);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		o->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		return o->fd < 0 ? err_sys(err, "open '%s'", path) : 0;
	}
	return create_part(o, err);
}

/* Whole: it gets its name. */
static int outlet_finish(struct outlet *o, struct err *err)
{
	if (!o->part)
		return 0;
	if (rename(o->part, o->path) < 0)
		return err_sys(err, "write '%s'", o->path);
	free(TAKE_PTR(o->part));
	return 0;
}

struct save_args {
	const char *output, *format;
};

static const struct option save_options[] = {
	{"output", 'o', OPTION_STRING, "FILE", "where to write (default: standard output)",
	 offsetof(struct save_args, output)},
	{"format", 0, OPTION_STRING, "FORMAT",
	 "docker-archive or oci-archive; what is written is both",
	 offsetof(struct save_args, format)},
};

static int save(struct call *call, struct err *err)
{
	static const char *const formats[] = {"docker-archive", "oci-archive", NULL};
	const struct save_args *a = call->options;
	const struct strv names = {call->operands, call->n}; /* borrowed */
	AUTO(outlet_done) struct outlet out = {.fd = -1};
	struct engine *e = NULL;

	if (a->format && !str_in(a->format, formats))
		return err_set(err, EINVAL, "--format '%.40s': not docker-archive or oci-archive",
			       a->format);
	int r = call_engine(call, &e, err);
	if (r == 0)
		r = outlet_open(&out, a->output, err);
	if (r == 0)
		r = image_save(engine_store(e), &names, out.fd, err);
	return r < 0 ? r : outlet_finish(&out, err);
}

struct load_args {
	const char *input, *platform;
	bool quiet;
};

static const struct option load_options[] = {
	{"input", 'i', OPTION_STRING, "FILE",
	 "what to read: a file, or the folder of a layout (default: standard input)",
	 offsetof(struct load_args, input)},
	{"platform", 0, OPTION_STRING, "OS/ARCH[/VARIANT]", "which of several to take",
	 offsetof(struct load_args, platform)},
	{"quiet", 'q', OPTION_FLAG, NULL, "do not tell what came in",
	 offsetof(struct load_args, quiet)},
};

/* "ID NAME", or "ID ". */
static void print_loaded(const char *line)
{
	const char *name = strchr(line, ' ');

	if (name && name[1])
		printf("Loaded image: %s\n", name + 1);
	else
		printf("Loaded image ID: sha256:%.64s\n", line);
}

static int load(struct call *call, struct err *err)
{
	const struct load_args *a = call->options;
	AUTO_STRV struct strv loaded = {0};
	struct engine *e = NULL;

	if (!a->input && isatty(STDIN_FILENO))
		return err_set(err, EINVAL, "no archive given (use --input, or a pipe)");
	int r = call_engine(call, &e, err);
	if (r == 0)
		r = image_load(engine_store(e), a->input ? a->input : "-", a->platform, &loaded,
			       err);
	for (size_t i = 0; !a->quiet && i < loaded.n; i++)
		print_loaded(loaded.v[i]);
	return r;
}

struct export_args {
	const char *output;
};

static const struct option export_options[] = {
	{"output", 'o', OPTION_STRING, "FILE", "where to write (default: standard output)",
	 offsetof(struct export_args, output)},
};

static int export_command(struct call *call, struct err *err)
{
	const struct export_args *a = call->options;
	AUTO(auto_workload_free) struct workload *w = NULL;
	AUTO(outlet_done) struct outlet out = {.fd = -1};
	struct engine *e = NULL;

	int r = first_workload(call, &e, &w, err);
	if (r == 0)
		r = outlet_open(&out, a->output, err);
	if (r == 0)
		r = workload_export(e, w, out.fd, err);
	return r < 0 ? r : outlet_finish(&out, err);
}

const struct command command_save = {
	.names = {"save", "image save"},
	.operands = "IMAGE...",
	.summary = "Write images as an archive for docker, podman and others",
	.example = "hull save -o web.tar web:1 web:2\nhull save web | ssh other docker load",
	.groups = {OPTION_GROUP(save_options, 0)},
	.size = sizeof(struct save_args),
	.min = 1,
	.max = OPERANDS_ANY,
	.run = save,
};

const struct command command_load = {
	.names = {"load", "image load"},
	.operands = "",
	.summary = "Take in all images of an archive, with their names",
	.example = "hull load -i web.tar\ndocker save web | hull load",
	.groups = {OPTION_GROUP(load_options, 0)},
	.size = sizeof(struct load_args),
	.run = load,
};

const struct command command_export = {
	.names = {"export", "container export"},
	.operands = "WORKLOAD",
	.summary = "Write a workload's root file system as a tar",
	.example = "hull export -o web.tar web\nhull export web | hull image import - web:copy",
	.groups = {OPTION_GROUP(export_options, 0)},
	.size = sizeof(struct export_args),
	.min = 1,
	.max = 1,
	.run = export_command,
};
