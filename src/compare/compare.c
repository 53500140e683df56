/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/compare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "compare/host.h"
#include "compare/load.h"
#include "compare/round.h"

enum { INSPECT_MAX = 4 << 20 };

void comparison_done(struct comparison *c)
{
	free(c->image);
	strv_done(&c->command);
	free(c->host_cpu);
	free(c->host_kernel);
	free(c->guest_kernel);
	for (int m = 0; m < METRICS; m++) {
		series_done(&c->series[m][SIDE_CONTAINER]);
		series_done(&c->series[m][SIDE_MACHINE]);
	}
	*c = (struct comparison){0};
}

static void tell(const struct compare_options *o, const char *what, int side, uint32_t round)
{
	char line[128];
	char which[32] = "warm-up";

	if (!o->progress)
		return;
	if (round > 0)
		(void)snprintf(which, sizeof(which), "round %u of %u", round, o->rounds);
	(void)snprintf(line, sizeof(line), "%s: %s as %s", which, what,
		       side == SIDE_MACHINE ? "machine" : "container");
	o->progress(o->ctx, line);
}

/* The name of a kernel: of ROOT/kernels/NAME/kernel the folder. */
static char *kernel_name(const char *path)
{
	AUTO_FREE char *copy = strdup(path);
	char *slash = copy ? strrchr(copy, '/') : NULL;

	if (!slash)
		return strdup(path);
	*slash = '\0';
	const char *name = strrchr(copy, '/');
	return strdup(name ? name + 1 : copy);
}

/* What kind of machine it would be; it is made, looked at and removed. Finds out early that there
 * is no such image, no kernel, no monitor. */
static int describe_machine(struct engine *e, const struct compare_options *o,
			    struct comparison *to, struct err *err)
{
	struct run_options options = RUN_OPTIONS_INIT;
	AUTO(auto_workload_free) struct workload *w = NULL;
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *machine = NULL;
	const char *kernel = "unknown";
	const char *accel = "tcg";
	struct err ignored = ERR_INIT;
	char start[] = "start";
	char *start_command[] = {start, NULL};

	options.image = o->image;
	options.command = o->command;
	options.n_command = o->n_command;
	options.vm = true;
	options.kernel = o->kernel;
	options.limits = o->limits;
	options.network = "none";
	if (o->profile) {
		options.command = start_command;
		options.n_command = 1;
	}
	int r = workload_create(e, &options, false, &w, err);
	if (r < 0)
		return r;
	r = workload_inspect(e, w, &text, false, err);
	if (workload_remove(e, w, true, r == 0 ? err : &ignored) < 0 && r == 0)
		r = -err->code;
	if (r == 0)
		r = json_parse(text.data, text.len, INSPECT_MAX, "inspect", &doc, err);
	if (r == 0)
		r = json_need(json_get_obj(doc, "Machine", &machine, err), "Machine", err);
	if (r >= 0)
		r = json_get_str(machine, "Kernel", &kernel, err);
	if (r >= 0)
		r = json_get_str(machine, "Accelerator", &accel, err);
	if (r < 0)
		return r;
	to->emulated = strcmp(accel, "kvm") != 0;
	to->guest_kernel = kernel_name(kernel);
	return to->guest_kernel ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* "start,cpu" as the probe's operands. */
static int read_profile(const char *profile, struct strv *ret, struct err *err)
{
	static const char *const known[] = {"start", "cpu", "memory", "disk", "syscall", NULL};
	AUTO_FREE char *copy = strdup(profile);
	char *rest = NULL;
	int r = 0;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	for (char *name = strtok_r(copy, ",", &rest); name && r == 0;
	     name = strtok_r(NULL, ",", &rest)) {
		if (!str_in(name, known))
			return err_set(err, EINVAL,
				       "--profile: '%s': no such probe (start, cpu, memory, disk, "
				       "syscall)",
				       name);
		r = strv_add(ret, name, err);
	}
	if (r == 0 && ret->n == 0)
		return err_set(err, EINVAL, "--profile: names no probe");
	return r;
}

/* One run of each side, side by side, so that drift hits both; the order changes each time. */
static int both_sides(struct round *r, uint32_t number,
		      int (*run)(const struct round *r, struct err *err), const char *what,
		      struct err *err)
{
	int made = 0;

	for (int i = 0; i < SIDES && made == 0; i++) {
		r->side = number % 2 ? i : SIDES - 1 - i;
		tell(r->o, what, r->side, number);
		made = run(r, err);
	}
	return made;
}

static int check(const struct compare_options *o, struct err *err)
{
	if (o->load && o->profile)
		return err_set(err, EINVAL, "--load and --profile do not go together");
	if (o->profile && o->n_command > 0)
		return err_set(err, EINVAL, "--profile runs the built-in probes, not a command");
	if (o->load && o->load[0] != '/')
		return err_set(err, EINVAL, "--load: '%s' does not begin with /", o->load);
	if (o->load && o->port == 0)
		return err_set(err, EINVAL, "--load: the image exposes no TCP port");
	if (o->rounds == 0)
		return err_set(err, EINVAL, "-n: at least one round is needed");
	return o->load ? load_check(err) : 0;
}

static int describe(struct engine *e, const struct compare_options *o, struct comparison *to,
		    struct err *err)
{
	to->rounds = o->rounds;
	to->image = strdup(o->image);
	int r = to->image ? 0 : err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < o->n_command && r == 0; i++)
		r = strv_add(&to->command, o->command[i], err);
	if (r == 0)
		r = host_describe(to, err);
	if (r == 0)
		r = describe_machine(e, o, to, err);
	return r;
}

int compare_run(struct engine *e, const struct compare_options *o, struct comparison *ret,
		struct err *err)
{
	AUTO_STRV struct strv probes = {0};
	struct round round = {.e = e, .o = o, .probes = &probes, .to = ret};

	int r = check(o, err);
	if (r == 0 && o->profile)
		r = read_profile(o->profile, &probes, err);
	if (r == 0)
		r = describe(e, o, ret, err);
	if (r == 0 && o->profile)
		r = strv_add(&ret->command, "hull-probe", err);
	if (r == 0)
		r = strv_add_all(&ret->command, &probes, err);
	for (uint32_t i = o->no_warm_up ? 1 : 0; i <= o->rounds && r == 0; i++) {
		round.counted = i > 0;
		if (o->load) {
			r = both_sides(&round, i, round_load, "load", err);
			continue;
		}
		r = both_sides(&round, i, round_to_end, o->profile ? "probes" : "run", err);
		if (r == 0 && i > 0 && !o->profile)
			r = both_sides(&round, i, round_idle, "idle", err);
	}
	return r;
}
