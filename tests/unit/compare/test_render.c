/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison as table, JSON and page. */
#include "../test.h"

#include <json-c/json.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "compare/render.h"

static char image[] = "a<b>&\"'\x1b[2J";
static char cpu[] = "Test CPU";
static char kernel[] = "6.1.0";
static char *words[] = {(char[]){"sh"}, (char[]){"</script><script>alert(1)</script>"}, NULL};
static double few[] = {1000000, 3000000, 2000000};
static double many[] = {9e9, 7e9, 8e9};

static struct comparison sample(bool emulated)
{
	struct comparison c = {.image = image,
			       .command = {.v = words, .n = 2},
			       .rounds = 3,
			       .host_cpu = cpu,
			       .host_kernel = kernel,
			       .guest_kernel = kernel,
			       .host_cpus = 2,
			       .emulated = emulated};
	c.series[METRIC_START][SIDE_CONTAINER] = (struct series){few, 3};
	c.series[METRIC_START][SIDE_MACHINE] = (struct series){many, 3};
	c.series[METRIC_IDLE_GUEST][SIDE_MACHINE] = (struct series){few, 1};
	return c;
}

TEST(the_table_has_medians_spread_and_ratio)
{
	AUTO_BUF struct buf text = BUF_INIT;
	const struct comparison c = sample(false);
	comparison_text(&c, &text);
	EXPECT_EQ(text.bad, false);
	EXPECT(strstr(text.data, "time to first instruction"));
	EXPECT(strstr(text.data, "2.00 ms (1.00 ms–3.00 ms)"));
	EXPECT(strstr(text.data, "8.00 s (7.00 s–9.00 s)"));
	EXPECT(strstr(text.data, " 4000\n"));
}

TEST(metrics_without_samples_are_left_out)
{
	AUTO_BUF struct buf text = BUF_INIT;
	const struct comparison c = sample(false);
	comparison_text(&c, &text);
	EXPECT(!strstr(text.data, "requests"));
	EXPECT(!strstr(text.data, "system call"));
}

TEST(control_characters_do_not_reach_the_terminal)
{
	AUTO_BUF struct buf text = BUF_INIT;
	const struct comparison c = sample(false);
	comparison_text(&c, &text);
	EXPECT(!strchr(text.data, '\x1b'));
}

TEST(emulation_is_told_where_it_matters)
{
	AUTO_BUF struct buf real = BUF_INIT;
	AUTO_BUF struct buf emulated = BUF_INIT;
	struct comparison c = sample(false);
	comparison_text(&c, &real);
	c.emulated = true;
	comparison_text(&c, &emulated);
	EXPECT(!strstr(real.data, "EMULATED") && !strstr(real.data, "4000 *"));
	EXPECT(strstr(emulated.data, "EMULATED") && strstr(emulated.data, "4000 *"));
}

TEST(the_json_can_be_read_and_holds_every_sample)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *metrics = NULL;
	struct json_object *start = NULL;
	struct json_object *side = NULL;
	struct json_object *samples = NULL;
	struct json_object *ratio = NULL;
	const char *name = NULL;
	int64_t median = 0;
	struct json_object *carries = NULL;
	struct err err = ERR_INIT;
	const struct comparison c = sample(true);

	comparison_json(&c, &text);
	EXPECT_EQ(json_parse(text.data, text.len, 1 << 20, "it", &doc, &err), 0);
	EXPECT_EQ(json_get_str(doc, "Image", &name, &err), 1);
	EXPECT_STR(name, image);
	EXPECT_EQ(json_get_obj(doc, "Metrics", &metrics, &err), 1);
	EXPECT_EQ(json_get_obj(metrics, "start", &start, &err), 1);
	EXPECT(json_object_object_get_ex(start, "CarriesOver", &carries));
	EXPECT(carries && !json_object_get_boolean(carries));
	EXPECT(json_object_object_get_ex(start, "Ratio", &ratio));
	EXPECT_EQ((long)json_object_get_double(ratio), 4000);
	EXPECT_EQ(json_get_obj(start, "Container", &side, &err), 1);
	EXPECT_EQ(json_get_int(side, "Median", 0, INT64_MAX, &median, &err), 1);
	EXPECT_EQ(median, 2000000);
	EXPECT_EQ(json_get_array(side, "Samples", &samples, &err), 1);
	EXPECT_EQ(json_len(samples), 3);
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

TEST(the_page_shows_every_sample_as_a_dot)
{
	AUTO_BUF struct buf page = BUF_INIT;
	const struct comparison c = sample(true);
	comparison_html(&c, &page);
	EXPECT_EQ(page.bad, false);
	EXPECT_EQ(count(page.data, "<svg "), 2);
	EXPECT_EQ(count(page.data, "</svg>"), 2);
	EXPECT_EQ(count(page.data, "<circle "), 7);
	EXPECT_EQ(count(page.data, "class=\"median\""), 3);
}

TEST(names_and_commands_cannot_break_out_of_the_page)
{
	AUTO_BUF struct buf page = BUF_INIT;
	const struct comparison c = sample(true);
	comparison_html(&c, &page);
	EXPECT(!strstr(page.data, "<script"));
	EXPECT(strstr(page.data, "&lt;/script&gt;&lt;script&gt;"));
	EXPECT(strstr(page.data, "a&lt;b&gt;&amp;&quot;&#39;?[2J"));
}

TEST(the_page_fetches_nothing)
{
	AUTO_BUF struct buf page = BUF_INIT;
	const struct comparison c = sample(true);
	comparison_html(&c, &page);
	EXPECT(!strstr(page.data, "http"));
	EXPECT(!strstr(page.data, "src="));
	EXPECT(!strstr(page.data, "url("));
	EXPECT(!strstr(page.data, "@import"));
}
