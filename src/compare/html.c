/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison as one page: no script, nothing fetched, each metric a small plot in SVG. */
#include <string.h>

#include "base/buf.h"
#include "compare/render.h"

enum { PLOT_LEFT = 92, PLOT_WIDTH = 420, PLOT_ALL = 640, ROW_HEIGHT = 34, ROW_TOP = 18 };

static const char style[] =
	":root{color-scheme:light dark;--ink:#1a1a19;--soft:#5f5e5a;--page:#fcfcfb;--line:#d8d7d2;"
	"--container:#2a6fc9;--machine:#c2571a}\n"
	"@media(prefers-color-scheme:dark){:root{--ink:#f0efec;--soft:#a9a8a2;--page:#1a1a19;"
	"--line:#403f3c;--container:#6aa7f0;--machine:#f0925a}}\n"
	"body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);"
	"max-width:60rem;margin:2rem auto;padding:0 1rem}\n"
	"h1{font-size:1.4rem}h2{font-size:1rem;margin:1.6rem 0 .2rem}code{word-break:break-all}\n"
	"p,figcaption{color:var(--soft)}figure{margin:0}svg{width:100%;max-width:640px;height:auto}\n"
	"svg text{font:12px system-ui,sans-serif;fill:var(--ink)}.axis{stroke:var(--line)}\n"
	".container{fill:var(--container);stroke:var(--container)}"
	".machine{fill:var(--machine);stroke:var(--machine)}\n"
	"circle{fill-opacity:.55;stroke-width:1}line.median{stroke-width:3}\n"
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
	"th,td{padding:.25rem .9rem .25rem 0;text-align:right;border-bottom:1px solid var(--line)}"
	"th:first-child,td:first-child{text-align:left}.scroll{overflow-x:auto}\n";

/* Characters with a meaning are escaped, control characters replaced. */
static void html_text(struct buf *to, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			buf_str(to, "&amp;");
			break;
		case '<':
			buf_str(to, "&lt;");
			break;
		case '>':
			buf_str(to, "&gt;");
			break;
		case '"':
			buf_str(to, "&quot;");
			break;
		case '\'':
			buf_str(to, "&#39;");
			break;
		default:
			buf_add(to, (unsigned char)*text < ' ' || *text == 0x7f ? "?" : text, 1);
			break;
		}
	}
}

/* One side of a plot: every sample a dot, the median a bar with its value. */
static void plot_row(struct buf *to, int side, const struct series *s, enum unit unit, double most)
{
	const char *name = side == SIDE_MACHINE ? "machine" : "container";
	int y = ROW_TOP + side * ROW_HEIGHT;
	double median = PLOT_LEFT + series_median(s) / most * PLOT_WIDTH;

	buf_printf(to,
		   "<text x=\"0\" y=\"%d\">%s</text><line class=\"axis\" x1=\"%d\" y1=\"%d\" "
		   "x2=\"%d\" y2=\"%d\"/>\n",
		   y + 4, name, PLOT_LEFT, y, PLOT_LEFT + PLOT_WIDTH, y);
	if (s->n == 0)
		return;
	buf_printf(to, "<g class=\"%s\">", name);
	for (size_t i = 0; i < s->n; i++) {
		buf_printf(to, "<circle cx=\"%.1f\" cy=\"%d\" r=\"4\"><title>",
			   PLOT_LEFT + s->v[i] / most * PLOT_WIDTH, y);
		value_text(to, unit, s->v[i]);
		buf_str(to, "</title></circle>");
	}
	buf_printf(to,
		   "<line class=\"median\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/></g>\n"
		   "<text x=\"%d\" y=\"%d\">",
		   median, y - 9, median, y + 9, PLOT_LEFT + PLOT_WIDTH + 14, y + 4);
	value_text(to, unit, series_median(s));
	buf_str(to, "</text>\n");
}

static void plot(struct buf *to, const struct comparison *c, enum metric m)
{
	const struct metric_info *info = &metric_infos[m];
	const struct series *s = c->series[m];
	double a = series_max(&s[SIDE_CONTAINER]);
	double b = series_max(&s[SIDE_MACHINE]);
	double ratio = series_ratio(&s[SIDE_CONTAINER], &s[SIDE_MACHINE]);

	buf_printf(to,
		   "<h2>%s</h2>\n<figure><svg viewBox=\"0 0 %d %d\" role=\"img\" "
		   "aria-label=\"%s\">\n",
		   info->label, PLOT_ALL, 2 * ROW_HEIGHT + 4, info->label);
	plot_row(to, SIDE_CONTAINER, &s[SIDE_CONTAINER], info->unit, a > b ? a : b);
	plot_row(to, SIDE_MACHINE, &s[SIDE_MACHINE], info->unit, a > b ? a : b);
	buf_str(to, "</svg><figcaption>");
	if (ratio >= 0)
		buf_printf(to, "machine / container: %.*f", ratio < 10 ? 2 : 0, ratio);
	if (c->emulated && info->scale)
		buf_printf(to, "%semulated: %s", ratio >= 0 ? " · " : "", info->scale);
	buf_str(to, "</figcaption></figure>\n");
}

static void table_cell(struct buf *to, const struct series *s, enum unit unit)
{
	buf_str(to, "<td>");
	if (s->n > 0) {
		value_text(to, unit, series_median(s));
		buf_str(to, " (");
		value_text(to, unit, series_min(s));
		buf_str(to, "–");
		value_text(to, unit, series_max(s));
		buf_str(to, ")");
	}
	buf_str(to, "</td>");
}

static void table(struct buf *to, const struct comparison *c)
{
	buf_str(to, "<div class=\"scroll\"><table>\n<tr><th></th><th>container</th><th>machine</th>"
		    "<th>ratio</th></tr>\n");
	for (enum metric m = 0; m < METRICS; m++) {
		const struct series *s = c->series[m];
		double ratio = series_ratio(&s[SIDE_CONTAINER], &s[SIDE_MACHINE]);
		if (!comparison_shows(c, m))
			continue;
		buf_printf(to, "<tr><td>%s</td>", metric_infos[m].label);
		table_cell(to, &s[SIDE_CONTAINER], metric_infos[m].unit);
		table_cell(to, &s[SIDE_MACHINE], metric_infos[m].unit);
		if (ratio >= 0)
			buf_printf(to, "<td>%.*f</td></tr>\n", ratio < 10 ? 2 : 0, ratio);
		else
			buf_str(to, "<td></td></tr>\n");
	}
	buf_str(to, "</table></div>\n");
}

void comparison_html(const struct comparison *c, struct buf *to)
{
	AUTO_BUF struct buf command = BUF_INIT;

	comparison_command(c, &command);
	buf_str(to, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
		    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
	html_text(to, c->image);
	buf_printf(to, ": container and machine</title>\n<style>\n%s</style></head><body>\n<h1>",
		   style);
	html_text(to, c->image);
	buf_str(to, " as container and as machine</h1>\n<p>Command: <code>");
	html_text(to, command.data ? command.data : "");
	buf_printf(to, "</code>; %u round%s. Table: median (least–greatest).</p>\n", c->rounds,
		   c->rounds == 1 ? "" : "s");
	table(to, c);
	for (size_t i = 0; i < comparison_notes(c); i++) {
		AUTO_BUF struct buf note = BUF_INIT;
		comparison_note(c, i, &note);
		buf_str(to, "<p>");
		html_text(to, note.data ? note.data : "");
		buf_str(to, "</p>\n");
	}
	for (enum metric m = 0; m < METRICS; m++) {
		if (comparison_shows(c, m))
			plot(to, c, m);
	}
	buf_str(to, "</body></html>\n");
}
