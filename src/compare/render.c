/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison as a table and as JSON. */
#include "compare/render.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"

enum { CELL_MAX = 96, LABEL_WIDTH = 38, CELL_WIDTH = 32 };

void comparison_command(const struct comparison *c, struct buf *to)
{
	if (c->command.n == 0)
		buf_str(to, "the image's own command");
	for (size_t i = 0; i < c->command.n; i++)
		buf_printf(to, "%s%s", i ? " " : "", c->command.v[i]);
}

bool comparison_shows(const struct comparison *c, enum metric m)
{
	const struct series *s = c->series[m];

	return series_max(&s[SIDE_CONTAINER]) > 0 || series_max(&s[SIDE_MACHINE]) > 0;
}

size_t comparison_notes(const struct comparison *c)
{
	return c->emulated ? NOTES_MAX : NOTES_MAX - 1;
}

void comparison_note(const struct comparison *c, size_t i, struct buf *to)
{
	switch (i) {
	case 0:
		buf_printf(to, "Host: %s, %u CPUs, Linux %s. Machines: qemu, %s, Linux %s.",
			   c->host_cpu, c->host_cpus, c->host_kernel,
			   c->emulated ? "emulated (no usable KVM)" : "KVM", c->guest_kernel);
		break;
	case 1:
		buf_str(to, "CPU time is that of all processes on the host, hull's own included; "
			    "memory is their PSS, sampled (at least every 0.2 s).");
		break;
	case 2:
		buf_str(to, "Idle memory is that of a program that only waits; in machines it "
			    "comes through a volume, whose share counts (with --load: the server "
			    "itself, no volume).");
		break;
	default:
		buf_str(to,
			"Machines were EMULATED here: their times, CPU time, request rates, "
			"latencies and the monitor's memory (translated code) do not carry over to "
			"hosts with KVM, nor do the ratios of these. Guest memory and disk do.");
		break;
	}
}

/* Text for a terminal: control characters replaced. */
static void plain_text(struct buf *to, const char *text)
{
	for (; *text; text++) {
		bool control = (unsigned char)*text < ' ' || *text == 0x7f;
		buf_add(to, control ? "?" : text, 1);
	}
}

/* Columns that text takes: a byte that continues a character takes none. */
static int width(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void cell(struct buf *to, const char *text, int columns)
{
	int pad = columns - width(text);

	buf_printf(to, "%s%*s", text, pad > 0 ? pad : 1, "");
}

static void series_cell(struct buf *to, const struct series *s, enum unit unit, int columns)
{
	AUTO_BUF struct buf text = BUF_INIT;

	if (s->n == 0) {
		buf_str(&text, "-");
	} else {
		value_text(&text, unit, series_median(s));
		if (s->n > 1) {
			buf_str(&text, " (");
			value_text(&text, unit, series_min(s));
			buf_str(&text, "–");
			value_text(&text, unit, series_max(s));
			buf_str(&text, ")");
		}
	}
	cell(to, text.data ? text.data : "", columns);
}

static void row(const struct comparison *c, enum metric m, struct buf *to)
{
	const struct metric_info *info = &metric_infos[m];
	const struct series *s = c->series[m];
	double ratio = series_ratio(&s[SIDE_CONTAINER], &s[SIDE_MACHINE]);

	cell(to, info->label, LABEL_WIDTH);
	series_cell(to, &s[SIDE_CONTAINER], info->unit, CELL_WIDTH);
	series_cell(to, &s[SIDE_MACHINE], info->unit, CELL_WIDTH);
	if (ratio >= 0)
		buf_printf(to, "%.*f%s", ratio < 10 ? 2 : 0, ratio,
			   c->emulated && info->scale ? " *" : "");
	else
		buf_str(to, "-");
	buf_str(to, "\n");
}

void comparison_text(const struct comparison *c, struct buf *to)
{
	AUTO_BUF struct buf title = BUF_INIT;

	buf_printf(&title, "%s: ", c->image);
	comparison_command(c, &title);
	plain_text(to, title.data ? title.data : "");
	buf_printf(to, " (%u round%s: median, least–greatest)\n\n", c->rounds,
		   c->rounds == 1 ? "" : "s");
	cell(to, "", LABEL_WIDTH);
	cell(to, "CONTAINER", CELL_WIDTH);
	cell(to, "MACHINE", CELL_WIDTH);
	buf_str(to, "MACHINE/CONTAINER\n");
	for (enum metric m = 0; m < METRICS; m++) {
		if (comparison_shows(c, m))
			row(c, m, to);
	}
	buf_str(to, "\n");
	for (size_t i = 0; i < comparison_notes(c); i++) {
		AUTO_BUF struct buf note = BUF_INIT;
		comparison_note(c, i, &note);
		buf_str(to, i == NOTES_MAX - 1 ? "* " : "");
		plain_text(to, note.data ? note.data : "");
		buf_str(to, "\n");
	}
}

static void put_number(struct json_out *out, const char *key, enum unit unit, double v)
{
	char text[64];

	if (unit == UNIT_BYTES || unit == UNIT_TIME) {
		json_put_int(out, key, (int64_t)v);
		return;
	}
	(void)snprintf(text, sizeof(text), "%.4f", v);
	AUTO(auto_json_free) struct json_object *number = json_object_new_double_s(v, text);
	json_put_value(out, key, number);
}

static void put_series(struct json_out *out, const char *key, enum unit unit,
		       const struct series *s)
{
	json_begin(out, key);
	put_number(out, "Median", unit, series_median(s));
	put_number(out, "Min", unit, series_min(s));
	put_number(out, "Max", unit, series_max(s));
	json_begin_array(out, "Samples");
	for (size_t i = 0; i < s->n; i++)
		put_number(out, NULL, unit, s->v[i]);
	json_end_array(out);
	json_end(out);
}

static void put_metric(struct json_out *out, const struct comparison *c, enum metric m)
{
	static const char *const units[] = {
		[UNIT_TIME] = "ns", [UNIT_BYTES] = "bytes", [UNIT_RATE] = "1/s", [UNIT_OP] = "ns"};
	const struct metric_info *info = &metric_infos[m];
	const struct series *s = c->series[m];
	double ratio = series_ratio(&s[SIDE_CONTAINER], &s[SIDE_MACHINE]);

	json_begin(out, info->key);
	json_put_str(out, "Label", info->label + strspn(info->label, " "));
	json_put_str(out, "Unit", units[info->unit]);
	put_series(out, "Container", info->unit, &s[SIDE_CONTAINER]);
	put_series(out, "Machine", info->unit, &s[SIDE_MACHINE]);
	if (ratio >= 0)
		put_number(out, "Ratio", UNIT_RATE, ratio);
	else
		json_put_null(out, "Ratio");
	json_put_bool(out, "CarriesOver", !c->emulated || !info->scale);
	json_end(out);
}

void comparison_json(const struct comparison *c, struct buf *to)
{
	struct json_out out = JSON_OUT(to, true);

	json_begin(&out, NULL);
	json_put_str(&out, "Image", c->image);
	json_put_strv(&out, "Command", &c->command);
	json_put_uint(&out, "Rounds", c->rounds);
	json_begin(&out, "Host");
	json_put_str(&out, "Cpu", c->host_cpu);
	json_put_uint(&out, "Cpus", c->host_cpus);
	json_put_str(&out, "Kernel", c->host_kernel);
	json_end(&out);
	json_begin(&out, "Machine");
	json_put_str(&out, "Hypervisor", "qemu");
	json_put_str(&out, "Accelerator", c->emulated ? "tcg" : "kvm");
	json_put_str(&out, "Kernel", c->guest_kernel);
	json_end(&out);
	json_begin(&out, "Metrics");
	for (enum metric m = 0; m < METRICS; m++) {
		if (c->series[m][SIDE_CONTAINER].n || c->series[m][SIDE_MACHINE].n)
			put_metric(&out, c, m);
	}
	json_end(&out);
	json_begin_array(&out, "Notes");
	for (size_t i = 0; i < comparison_notes(c); i++) {
		AUTO_BUF struct buf note = BUF_INIT;
		comparison_note(c, i, &note);
		json_put_str(&out, NULL, note.data ? note.data : "");
	}
	json_end_array(&out);
	json_end(&out);
	buf_str(to, "\n");
}
