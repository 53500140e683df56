/* SPDX-License-Identifier: Apache-2.0 */
/* version and info. */
#include <json-c/json.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/err.h"
#include "base/store.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "engine/engine.h"
#include "image/image.h"

struct format_args {
	const char *format;
};

static const struct option options[] = {
	{"format", 'f', OPTION_STRING, "FORMAT", "json, or a template like {{.Version}}",
	 offsetof(struct format_args, format)},
};

static void add_str(struct json_object *to, const char *key, const char *value)
{
	json_object_object_add(to, key, json_object_new_string(value));
}

static int version(struct call *call, struct err *err)
{
	const struct format_args *a = call->options;
	struct utsname host;

	if (uname(&host) < 0)
		return err_sys(err, "read the host's kernel");
	if (!a->format) {
		printf("hull version %s\n", HULL_VERSION);
		return 0;
	}
	struct json_object *o = json_object_new_object();
	add_str(o, "Version", HULL_VERSION);
	add_str(o, "Os", "linux");
	add_str(o, "Arch", image_host_architecture());
	add_str(o, "KernelVersion", host.release);
	int r = output_object(o, a->format, err);
	json_object_put(o);
	return r;
}

static int count_image(void *ctx, const struct image_row *row, struct err *err)
{
	(*(int *)ctx)++;
	return 0;
}

static int count(struct engine *e, struct json_object *to, struct err *err)
{
	struct workloads all = {0};
	int running = 0;
	int paused = 0;
	int images = 0;

	int r = workload_list(e, &all, err);
	if (r == 0)
		r = image_list(engine_store(e), NULL, count_image, &images, err);
	for (size_t i = 0; i < all.n; i++) {
		paused += all.v[i]->state == KEEPER_PAUSED;
		running += workload_is_running(all.v[i]) && all.v[i]->state != KEEPER_PAUSED;
	}
	json_object_object_add(to, "Containers", json_object_new_int((int)all.n));
	json_object_object_add(to, "ContainersRunning", json_object_new_int(running));
	json_object_object_add(to, "ContainersPaused", json_object_new_int(paused));
	json_object_object_add(to, "ContainersStopped",
			       json_object_new_int((int)all.n - running - paused));
	json_object_object_add(to, "Images", json_object_new_int(images));
	workloads_done(&all);
	return r;
}

static int info(struct call *call, struct err *err)
{
	const struct format_args *a = call->options;
	struct engine *e = NULL;
	struct utsname host;

	int r = call_engine(call, &e, err);
	if (r < 0)
		return r;
	struct json_object *o = json_object_new_object();
	add_str(o, "ServerVersion", HULL_VERSION);
	r = count(e, o, err);
	if (uname(&host) == 0) {
		add_str(o, "KernelVersion", host.release);
		add_str(o, "Architecture", host.machine);
		add_str(o, "Name", host.nodename);
	}
	add_str(o, "DockerRootDir", engine_store(e)->root);
	add_str(o, "Root", engine_store(e)->root);
	add_str(o, "Run", engine_store(e)->run);
	json_object_object_add(o, "NCPU", json_object_new_int64(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_object_add(o, "MemTotal",
			       json_object_new_int64(sysconf(_SC_PHYS_PAGES) *
						     sysconf(_SC_PAGESIZE)));
	if (r == 0)
		r = output_object(o, a->format, err);
	json_object_put(o);
	return r;
}

const struct command command_version = {
	.names = {"version", "system version"},
	.operands = "",
	.summary = "Show hull's version",
	.example = "hull version",
	.groups = {OPTION_GROUP(options, 0)},
	.size = sizeof(struct format_args),
	.run = version,
};

const struct command command_info = {
	.names = {"info", "system info"},
	.operands = "",
	.summary = "Show the store and the host",
	.example = "hull info --format '{{.ContainersRunning}}'",
	.groups = {OPTION_GROUP(options, 0)},
	.size = sizeof(struct format_args),
	.run = info,
};
