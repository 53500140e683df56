/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "vmm/throttle.h"

/* How many requests of so many bytes pass from `from_ms` on in so many ms, asked whenever they may
 * be. */
static unsigned passed(struct pace *p, uint64_t bytes, uint64_t from_ms, uint64_t ms)
{
	unsigned n = 0;

	for (uint64_t now = from_ms; now < from_ms + ms;) {
		uint64_t wait = pace_take(p, bytes, now);
		n += wait == 0;
		now += wait;
	}
	return n;
}

TEST(bytes_pass_at_the_pace_set)
{
	struct pace p = {.limit = {.bytes = 1000000}};
	unsigned n = passed(&p, 4096, 5000, 10000);

	/* ten seconds, what may pass at once, and the last one whole */
	EXPECT(n * 4096 >= 10000000 && n * 4096 <= 10100000 + 4096);
}

TEST(requests_pass_at_the_pace_set)
{
	struct pace p = {.limit = {.requests = 50}};
	unsigned n = passed(&p, 1 << 20, 5000, 10000);

	EXPECT(n >= 500 && n <= 506);
}

TEST(the_narrower_limit_counts)
{
	struct pace p = {.limit = {.bytes = 1000000, .requests = 10}};

	EXPECT(passed(&p, 512, 5000, 10000) <= 102);
	p = (struct pace){.limit = {.bytes = 51200, .requests = 1000}};
	EXPECT(passed(&p, 5120, 5000, 10000) <= 102);
}

TEST(a_request_larger_than_a_second_passes_and_the_next_waits_for_it)
{
	struct pace p = {.limit = {.bytes = 1000}};

	EXPECT_EQ(pace_take(&p, 5000, 7000), 0);
	EXPECT_EQ(pace_take(&p, 1, 7000), 4900);
	EXPECT_EQ(pace_take(&p, 1, 11899), 1);
	EXPECT_EQ(pace_take(&p, 1, 11900), 0);
}

TEST(an_idle_second_is_not_saved_up)
{
	struct pace p = {.limit = {.requests = 100}};

	EXPECT(passed(&p, 0, 1000, 1000) >= 100);
	EXPECT(passed(&p, 0, 100000, 1000) <= 112);
}

TEST(no_amount_overflows)
{
	struct pace p = {.limit = {.bytes = 1, .requests = UINT64_MAX}};

	EXPECT_EQ(pace_take(&p, UINT64_MAX, UINT64_MAX / 2000000), 0);
	EXPECT(pace_take(&p, 1, UINT64_MAX / 2000000) > 0);
	p = (struct pace){.limit = {.bytes = UINT64_MAX}};
	EXPECT_EQ(pace_take(&p, UINT64_MAX, 1), 0);
	EXPECT_EQ(pace_take(&p, 1, 1), 0);
}
