/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/buf.h"
#include "base/err.h"
#include "proto/control.h"

static bool fill(struct plan *plan)
{
	struct err err = ERR_INIT;

	plan->id = strdup("abc");
	plan->hostname = strdup("");
	plan->namespaces = UINT64_C(1) << 40;
	plan->init = true;
	if (strv_add(&plan->process.args, "sh", &err) < 0 ||
	    strv_add(&plan->process.args, "", &err) < 0)
		return false;
	plan->process.rows = 24;
	for (unsigned i = 0; i < 5; i++) {
		struct plan_rlimit *r = list_add(&plan->process.rlimits, &plan_rlimit_record);
		r->resource = i;
		r->hard = UINT64_MAX;
	}
	return bytes_set(&plan->process.seccomp, "\0\1\2", 3, &err) == 0;
}

TEST(a_plan_comes_back_as_it_was_written)
{
	struct err err = ERR_INIT;
	struct plan a = {0}, b = {0};

	EXPECT(fill(&a));
	EXPECT_EQ(record_copy(&plan_record, &a, &b, &err), 0);
	EXPECT_STR(b.id, "abc");
	EXPECT_STR(b.hostname, "");
	EXPECT(b.domainname == NULL);
	EXPECT_EQ(b.namespaces, INT64_C(1) << 40);
	EXPECT(b.init && !b.privileged);
	EXPECT_EQ(b.process.args.n, 2);
	EXPECT_STR(b.process.args.v[0], "sh");
	EXPECT_STR(b.process.args.v[1], "");
	EXPECT_EQ(b.process.rows, 24);
	EXPECT_EQ(b.process.seccomp.len, 3);
	EXPECT_EQ(b.process.seccomp.data[2], 2);
	EXPECT_EQ(b.process.rlimits.n, 5);
	EXPECT_EQ(((struct plan_rlimit *)b.process.rlimits.items)[4].resource, 4);
	EXPECT(((struct plan_rlimit *)b.process.rlimits.items)[4].hard == UINT64_MAX);
	record_done(&plan_record, &a);
	record_done(&plan_record, &b);
	EXPECT(a.id == NULL && b.process.args.n == 0);
}

TEST(every_cut_of_a_plan_is_refused_or_complete_and_nothing_leaks)
{
	struct plan a = {0};
	AUTO_BUF struct buf text = BUF_INIT;
	int refused = 0;

	EXPECT(fill(&a));
	record_encode(&plan_record, &a, &text);
	for (size_t n = 0; n < text.len; n++) {
		struct err err = ERR_INIT;
		struct plan b;
		refused += record_decode(&plan_record, text.data, n, &b, &err) < 0;
		record_done(&plan_record, &b);
	}
	record_done(&plan_record, &a);
	EXPECT(refused > (int)text.len / 2);
}

static void refused(const char *bytes, size_t n, const char *want)
{
	struct err err = ERR_INIT;
	struct plan p;

	EXPECT(record_decode(&plan_record, bytes, n, &p, &err) < 0);
	EXPECT_STR(err.msg, want);
	EXPECT(p.id == NULL);
}

TEST(unknown_fields_are_refused)
{
	refused("\xff\0\0\0\0\0\0\0", 8, "plan: unknown field 255");
}

TEST(a_field_that_comes_twice_is_refused)
{
	refused("\1\0\0\0\1\0\0\0a\1\0\0\0\1\0\0\0b", 18, "plan: field 1 comes twice");
}

TEST(a_nul_inside_a_text_is_refused)
{
	refused("\1\0\0\0\2\0\0\0a\0", 10, "plan: a text holds a NUL");
}

TEST(a_length_beyond_the_end_is_refused)
{
	refused("\1\0\0\0\xff\xff\xff\xff", 8, "plan: cut short");
}

TEST(a_number_of_the_wrong_width_is_refused)
{
	refused("\x0b\0\0\0\1\0\0\0a", 9, "plan: field 11 has 1 bytes, not 8");
}

TEST(a_truth_value_is_zero_or_one)
{
	refused("\x0f\0\0\0\1\0\0\0\2", 9, "plan: field 15 is no truth value");
}

TEST(requests_and_orders_carry_their_lists)
{
	struct err err = ERR_INIT;
	struct keeper_orders o = {.restart_max = 3}, back;

	struct keeper_port *p = list_add(&o.ports, &keeper_port_record);
	p->host_port = 8080;
	p->udp = true;
	EXPECT_EQ(record_copy(&keeper_orders_record, &o, &back, &err), 0);
	EXPECT_EQ(back.ports.n, 1);
	EXPECT_EQ(((struct keeper_port *)back.ports.items)->host_port, 8080);
	record_done(&keeper_orders_record, &o);
	record_done(&keeper_orders_record, &back);
}
