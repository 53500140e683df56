/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit-test harness. TEST(name) { ... } registers itself, main() is here, the
 * output is TAP. A failed EXPECT says where and what, and returns from the test
 * (a return, so that AUTO variables are released).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct test {
	const char *name;
	void (*fn)(void);
	struct test *next;
};

static struct test *test_first;
static struct test **test_last = &test_first;
static bool test_failed;

#define TEST(id)                                                                                   \
	static void id(void);                                                                      \
	__attribute__((constructor)) static void register_##id(void)                               \
	{                                                                                          \
		static struct test t = {#id, id, NULL};                                            \
		*test_last = &t;                                                                   \
		test_last = &t.next;                                                               \
	}                                                                                          \
	static void id(void)

#define FAIL(...)                                                                                  \
	do {                                                                                       \
		printf("# %s:%d: ", __FILE__, __LINE__);                                           \
		printf(__VA_ARGS__);                                                               \
		printf("\n");                                                                      \
		test_failed = true;                                                                \
		return;                                                                            \
	} while (0)

#define EXPECT(cond)                                                                               \
	do {                                                                                       \
		if (!(cond))                                                                       \
			FAIL("%s is false", #cond);                                                \
	} while (0)

#define EXPECT_EQ(a, b)                                                                            \
	do {                                                                                       \
		intmax_t a_ = (intmax_t)(a), b_ = (intmax_t)(b);                                   \
		if (a_ != b_)                                                                      \
			FAIL("%s is %jd, not %jd", #a, a_, b_);                                    \
	} while (0)

#define EXPECT_STR(a, b)                                                                           \
	do {                                                                                       \
		const char *a_ = (a), *b_ = (b);                                                   \
		if (strcmp(a_, b_) != 0)                                                           \
			FAIL("%s is \"%s\", not \"%s\"", #a, a_, b_);                              \
	} while (0)

int main(void)
{
	int n = 0;
	bool bad = false;

	/* a child that is forked off has no line to repeat */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct test *t = test_first; t; t = t->next) {
		test_failed = false;
		t->fn();
		printf("%s %d - %s\n", test_failed ? "not ok" : "ok", ++n, t->name);
		bad |= test_failed;
	}
	printf("1..%d\n", n);
	return bad;
}
