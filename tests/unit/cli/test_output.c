/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/buf.h"
#include "base/err.h"
#include "cli/output.h"
#include "cli/when.h"

static const char *span(uint64_t seconds)
{
	static char text[64];
	AUTO_BUF struct buf out = BUF_INIT;

	output_span(&out, seconds * 1000000000);
	(void)snprintf(text, sizeof(text), "%s", out.data);
	return text;
}

static const char *size(uint64_t bytes, bool binary)
{
	static char text[64];
	AUTO_BUF struct buf out = BUF_INIT;

	output_size(&out, bytes, binary);
	(void)snprintf(text, sizeof(text), "%s", out.data);
	return text;
}

TEST(spans_are_told_in_the_largest_unit_that_fits)
{
	EXPECT_STR(span(0), "Less than a second");
	EXPECT_STR(span(1), "1 second");
	EXPECT_STR(span(119), "1 minute");
	EXPECT_STR(span(7200), "2 hours");
	EXPECT_STR(span(86400 * 10), "10 days");
	EXPECT_STR(span(86400 * 21), "3 weeks");
}

TEST(sizes_have_decimal_or_binary_units)
{
	EXPECT_STR(size(0, false), "0B");
	EXPECT_STR(size(1500, false), "1.5kB");
	EXPECT_STR(size(1536, true), "1.5KiB");
	EXPECT_STR(size(UINT64_C(3) << 30, true), "3GiB");
}

TEST(times_are_rfc_3339_with_nanoseconds)
{
	AUTO_BUF struct buf out = BUF_INIT;

	output_time(&out, UINT64_C(1767323045123456789));
	EXPECT_STR(out.data, "2026-01-02T03:04:05.123456789Z");
	buf_clear(&out);
	output_time(&out, 0);
	EXPECT_STR(out.data, "0001-01-01T00:00:00Z");
}

TEST(filters_of_an_unknown_kind_are_refused)
{
	char good[] = "name=web";
	char bad[] = "colour=blue";
	char half[] = "name";
	char *v[] = {good, bad, half};
	static const char *const keys[] = {"name", NULL};
	struct err err = ERR_INIT;

	EXPECT_EQ(filters_check(&(struct strv){v, 1}, keys, &err), 0);
	EXPECT(filters_check(&(struct strv){v + 1, 1}, keys, &err) < 0);
	EXPECT_STR(err.msg, "--filter: 'colour=blue' is not a filter of this list");
	err = ERR_INIT;
	EXPECT(filters_check(&(struct strv){v + 2, 1}, keys, &err) < 0);
}

static bool is(void *ctx, const char *value)
{
	return strcmp(ctx, value) == 0;
}

TEST(one_value_of_each_filtered_key_must_match)
{
	char a[] = "name=web";
	char b[] = "name=db";
	char *v[] = {a, b};
	char db[] = "db";
	char other[] = "other";
	const struct strv filters = {v, 2};

	EXPECT(filters_match(&filters, "name", is, db));
	EXPECT(!filters_match(&filters, "name", is, other));
	EXPECT(filters_match(&filters, "id", is, other));
}

static int64_t when(const char *text)
{
	struct timespec ts = {0};
	struct err err = ERR_INIT;

	return parse_when(text, "--since", &ts, &err) == 0 ? ts.tv_sec : -1;
}

TEST(points_in_time_are_read_in_several_forms)
{
	EXPECT_EQ(when("2026-01-02T03:04:05Z"), 1767323045);
	EXPECT_EQ(when("2026-01-02T04:04:05.5+01:00"), 1767323045);
	EXPECT_EQ(when("1767323045.25"), 1767323045);
	EXPECT_EQ(when("2026-01-02X"), -1);
	EXPECT_EQ(when("yesterday"), -1);
	int64_t now = time(NULL);
	int64_t ago = when("10m");
	EXPECT(ago >= now - 601 && ago <= now - 598);
}
