/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics, and values for people. */
#include "../test.h"

#include "base/buf.h"
#include "base/err.h"
#include "compare/metrics.h"

static void fill(struct series *s, const double *v, size_t n)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; i < n; i++) {
		if (series_add(s, v[i], &err) < 0)
			test_failed = true;
	}
}

/* In thousandths, so that it can be compared. */
static long milli(double v)
{
	return (long)(v * 1000 + (v < 0 ? -0.5 : 0.5));
}

TEST(the_median_of_an_odd_number_is_the_middle_one)
{
	AUTO(series_done) struct series s = {0};
	fill(&s, (const double[]){9, 1, 5}, 3);
	EXPECT_EQ(milli(series_median(&s)), 5000);
}

TEST(the_median_of_an_even_number_is_the_mean_of_two)
{
	AUTO(series_done) struct series s = {0};
	fill(&s, (const double[]){4, 100, 1, 3}, 4);
	EXPECT_EQ(milli(series_median(&s)), 3500);
}

TEST(equal_samples_count_each)
{
	AUTO(series_done) struct series s = {0};
	fill(&s, (const double[]){2, 7, 2, 2, 9}, 5);
	EXPECT_EQ(milli(series_median(&s)), 2000);
	EXPECT_EQ(milli(series_min(&s)), 2000);
	EXPECT_EQ(milli(series_max(&s)), 9000);
}

TEST(least_and_greatest_are_found_wherever_they_stand)
{
	AUTO(series_done) struct series s = {0};
	fill(&s, (const double[]){3, 8.5, 0.25, 4}, 4);
	EXPECT_EQ(milli(series_min(&s)), 250);
	EXPECT_EQ(milli(series_max(&s)), 8500);
}

TEST(samples_keep_their_order)
{
	AUTO(series_done) struct series s = {0};
	fill(&s, (const double[]){3, 1, 2}, 3);
	EXPECT_EQ(milli(series_median(&s)), 2000);
	EXPECT_EQ(milli(s.v[0]), 3000);
	EXPECT_EQ(milli(s.v[1]), 1000);
}

TEST(an_empty_series_is_zero)
{
	const struct series s = {0};
	EXPECT_EQ(milli(series_median(&s)), 0);
	EXPECT_EQ(milli(series_min(&s)), 0);
	EXPECT_EQ(milli(series_max(&s)), 0);
}

TEST(a_ratio_needs_both_sides_and_a_base)
{
	AUTO(series_done) struct series a = {0};
	AUTO(series_done) struct series b = {0};
	const struct series none = {0};
	AUTO(series_done) struct series zero = {0};
	fill(&a, (const double[]){2}, 1);
	fill(&b, (const double[]){5}, 1);
	fill(&zero, (const double[]){0}, 1);
	EXPECT_EQ(milli(series_ratio(&a, &b)), 2500);
	EXPECT_EQ(milli(series_ratio(&none, &b)), -1000);
	EXPECT_EQ(milli(series_ratio(&a, &none)), -1000);
	EXPECT_EQ(milli(series_ratio(&zero, &b)), -1000);
	EXPECT_EQ(milli(series_ratio(&a, &zero)), 0);
}

TEST(values_have_three_digits_and_a_fitting_unit)
{
	static const struct {
		enum unit unit;
		double value;
		const char *text;
	} cases[] = {
		{UNIT_TIME, 0, "0"},           {UNIT_TIME, 999, "999 ns"},
		{UNIT_TIME, 1234, "1.23 µs"},  {UNIT_TIME, 12.34e6, "12.3 ms"},
		{UNIT_TIME, 8.2e9, "8.20 s"},  {UNIT_TIME, 123e9, "123 s"},
		{UNIT_BYTES, 512, "512 B"},    {UNIT_BYTES, 1536, "1.50 KiB"},
		{UNIT_BYTES, 0, "0"},          {UNIT_BYTES, 100 << 20, "100 MiB"},
		{UNIT_RATE, 12345, "12345/s"}, {UNIT_OP, 0.25, "0.25 ns"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_BUF struct buf text = BUF_INIT;
		value_text(&text, cases[i].unit, cases[i].value);
		EXPECT_STR(text.data, cases[i].text);
	}
}

TEST(every_metric_has_a_key_of_its_own)
{
	for (int a = 0; a < METRICS; a++) {
		EXPECT(metric_infos[a].key && metric_infos[a].label);
		for (int b = 0; b < a; b++)
			EXPECT(strcmp(metric_infos[a].key, metric_infos[b].key) != 0);
	}
}
