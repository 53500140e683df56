/* SPDX-License-Identifier: Apache-2.0 */
/* state, list, ps: what is there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "oci/oci.h"

static int print_json(struct buf *text, struct err *err)
{
	int r = buf_check(text, err);

	if (r == 0)
		puts(text->data);
	return r;
}

int oci_show_state(struct oci *oci, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, true);
	struct oci_state state = {.created_ns = 0};
	pid_t pid = 0;
	AUTO_CLOSE int folder = oci_open(oci, false, &state, err);

	if (folder < 0)
		return folder;
	enum oci_status status = oci_status_of(&state, folder, &pid);
	oci_state_json(&state, NULL, oci_status_name(status), pid, &out);
	record_done(&oci_state_record, &state);
	return print_json(&text, err);
}

/* How `list` shows one container. */
struct listing {
	const struct oci *oci;
	bool json;
	struct json_out out;
};

static void list_one(struct listing *l, const struct oci_state *state, int folder)
{
	pid_t pid = 0;
	const char *status = oci_status_name(oci_status_of(state, folder, &pid));

	if (l->json)
		oci_state_json(state, NULL, status, pid, &l->out);
	else if (l->oci->options.quiet)
		puts(state->id);
	else
		printf("%-32s %-8d %-8s %s\n", state->id, pid, status, state->bundle);
}

/* A container that goes away meanwhile, or is damaged, is not listed; the latter is said. */
static void list_folder(struct listing *l, const char *id)
{
	struct oci_state state = {.created_ns = 0};
	struct err err = ERR_INIT;
	AUTO_CLOSE int folder = oci_folder(l->oci, id, false, &err);

	if (folder < 0)
		return;
	if (oci_state_read(folder, id, &state, &err) < 0) {
		if (err.code != ENOENT)
			oci_log(l->oci, "warning", err.msg);
		return;
	}
	list_one(l, &state, folder);
	record_done(&oci_state_record, &state);
}

static int wants_json(const struct oci *oci, bool *ret, struct err *err)
{
	const char *format = oci->options.format ? oci->options.format : "table";

	if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
		return err_set(err, EINVAL, "--format: '%s' is neither table nor json", format);
	*ret = strcmp(format, "json") == 0;
	return 0;
}

int oci_list(struct oci *oci, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct listing l = {.oci = oci, .out = JSON_OUT(&text, false)};
	int fd = fcntl(oci->root_fd, F_DUPFD_CLOEXEC, 3);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		auto_close(&fd);
		return err_sys(err, "list '%s'", oci->root);
	}
	int r = wants_json(oci, &l.json, err);
	if (r == 0 && l.json)
		json_begin_array(&l.out, NULL);
	else if (r == 0 && !oci->options.quiet)
		printf("%-32s %-8s %-8s %s\n", "ID", "PID", "STATUS", "BUNDLE");
	for (struct dirent *e; r == 0 && (e = readdir(dir));) {
		if (e->d_name[0] != '.')
			list_folder(&l, e->d_name);
	}
	(void)closedir(dir);
	if (r < 0 || !l.json)
		return r;
	json_end_array(&l.out);
	return print_json(&text, err);
}

static int print_processes(const struct isolation_top *top, bool json, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, false);
	const struct process_info *p = top->processes.items;

	if (!json) {
		printf("%-8s %-8s %-8s %s\n", "UID", "PID", "PPID", "CMD");
		for (size_t i = 0; i < top->processes.n; i++)
			printf("%-8u %-8u %-8u %s\n", p[i].uid, p[i].pid, p[i].ppid, p[i].command);
		return 0;
	}
	json_begin_array(&out, NULL);
	for (size_t i = 0; i < top->processes.n; i++)
		json_put_uint(&out, NULL, p[i].pid);
	json_end_array(&out);
	return print_json(&text, err);
}

int oci_ps(struct oci *oci, struct err *err)
{
	struct oci_state state = {.created_ns = 0};
	struct isolation_top top = {.processes = {NULL, 0}};
	bool json = false;
	int r = wants_json(oci, &json, err);

	if (r < 0)
		return r;
	AUTO_CLOSE int folder = oci_open(oci, false, &state, err);
	if (folder < 0)
		return folder;
	r = container_list(&state.plan, &top, err);
	if (r == 0)
		r = print_processes(&top, json, err);
	record_done(&isolation_top_record, &top);
	record_done(&oci_state_record, &state);
	return r;
}
