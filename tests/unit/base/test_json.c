/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

enum { MAX = 1 << 20 };

/* The answer of json_parse(), the document let go. */
static int parse(const char *text, size_t n, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;

	return json_parse(text, n, MAX, "doc", &doc, err);
}

static int parse_str(const char *text)
{
	struct err err = ERR_INIT;

	return parse(text, strlen(text), &err);
}

TEST(values_come_back_by_type)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_STRV struct strv list = {0};
	struct err err = ERR_INIT;
	const char *text =
		"{\"s\":\"x\\u00e9\",\"n\":-3,\"b\":true,\"l\":[\"a\",\"b\"],\"o\":{\"k\":1}}";
	const char *s = NULL;
	int64_t n = 0;
	struct json_object *o = NULL;

	EXPECT_EQ(json_parse(text, strlen(text), MAX, "doc", &doc, &err), 0);
	EXPECT_EQ(json_get_str(doc, "s", &s, &err), 1);
	EXPECT_STR(s, "x\xc3\xa9");
	EXPECT_EQ(json_get_int(doc, "n", -10, 10, &n, &err), 1);
	EXPECT_EQ(n, -3);
	EXPECT_EQ(json_get_strv(doc, "l", &list, &err), 1);
	EXPECT_EQ(list.n, 2);
	EXPECT_STR(list.v[1], "b");
	EXPECT_EQ(json_get_obj(doc, "o", &o, &err), 1);
	EXPECT_EQ(json_get_int(o, "k", 0, 1, &n, &err), 1);
	EXPECT_EQ(err.code, 0);
}

TEST(absent_and_null_leave_the_value_alone)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct err err = ERR_INIT;
	const char *s = "before";

	EXPECT_EQ(json_parse("{\"k\":null}", 10, MAX, "doc", &doc, &err), 0);
	EXPECT_EQ(json_get_str(doc, "k", &s, &err), 0);
	EXPECT_EQ(json_get_str(doc, "other", &s, &err), 0);
	EXPECT_STR(s, "before");
	EXPECT_EQ(json_need(0, "other", &err), -EINVAL);
	EXPECT_STR(err.msg, "other: missing");
}

TEST(a_wrong_type_is_told_with_its_key)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct err err = ERR_INIT;
	const char *s = NULL;

	EXPECT_EQ(json_parse("{\"Env\":7}", 9, MAX, "doc", &doc, &err), 0);
	EXPECT_EQ(json_get_str(doc, "Env", &s, &err), -EINVAL);
	EXPECT_STR(err.msg, "Env: int where string belongs");
}

TEST(a_list_with_another_type_in_it_is_refused)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_STRV struct strv list = {0};
	struct err err = ERR_INIT;

	EXPECT_EQ(json_parse("{\"Cmd\":[\"a\",1]}", 15, MAX, "doc", &doc, &err), 0);
	EXPECT_EQ(json_get_strv(doc, "Cmd", &list, &err), -EINVAL);
	EXPECT_STR(err.msg, "Cmd: element 1 is not a string");
}

TEST(numbers_beyond_their_bounds_are_refused)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	const char *text =
		"{\"a\":5,\"b\":99999999999999999999999,\"c\":9223372036854775808,\"d\":1.5}";
	struct err e1 = ERR_INIT, e2 = ERR_INIT, e3 = ERR_INIT, e4 = ERR_INIT;
	int64_t n = 42;

	EXPECT_EQ(json_parse(text, strlen(text), MAX, "doc", &doc, &e1), 0);
	EXPECT_EQ(json_get_int(doc, "a", 6, 10, &n, &e1), -ERANGE);
	EXPECT_EQ(json_get_int(doc, "b", 0, INT64_MAX, &n, &e2), -ERANGE);
	EXPECT_EQ(json_get_int(doc, "c", 0, INT64_MAX, &n, &e3), -ERANGE);
	EXPECT_EQ(json_get_int(doc, "d", 0, INT64_MAX, &n, &e4), -EINVAL);
	EXPECT_EQ(n, 42);
}

TEST(numbers_without_sign_reach_to_the_end_of_64_bits)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	const char *text = "{\"a\":18446744073709551615,\"b\":-1,\"c\":7,\"d\":\"7\",\"e\":true}";
	struct err e1 = ERR_INIT, e2 = ERR_INIT, e3 = ERR_INIT, e4 = ERR_INIT, e5 = ERR_INIT;
	uint64_t n = 42;
	bool b = false;

	EXPECT_EQ(json_parse(text, strlen(text), MAX, "doc", &doc, &e1), 0);
	EXPECT_EQ(json_get_uint(doc, "b", UINT64_MAX, &n, &e2), -ERANGE);
	EXPECT_EQ(json_get_uint(doc, "c", 6, &n, &e3), -ERANGE);
	EXPECT_EQ(json_get_uint(doc, "d", 9, &n, &e4), -EINVAL);
	EXPECT_EQ(json_get_uint(doc, "none", 9, &n, &e1), 0);
	EXPECT_EQ(n, 42);
	EXPECT_EQ(json_get_uint(doc, "a", UINT64_MAX, &n, &e1), 1);
	EXPECT(n == UINT64_MAX);
	EXPECT_EQ(json_get_bool(doc, "e", &b, &e1), 1);
	EXPECT(b);
	EXPECT_EQ(json_get_bool(doc, "c", &b, &e5), -EINVAL);
	EXPECT_STR(e5.msg, "c: int where boolean belongs");
}

TEST(a_key_given_twice_is_refused_at_every_depth)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(parse_str("{\"a\":1,\"a\":1}"), -EINVAL);
	EXPECT_EQ(parse_str("[{\"x\":{\"a\":1,\"b\":2,\"a\":null}}]"), -EINVAL);
	EXPECT_EQ(parse("{\"a\":1,\"\\u0061\":2}", 18, &err), -EINVAL);
	EXPECT_STR(err.msg, "doc: an object has the same key twice");
	EXPECT_EQ(parse_str("{\"a\":{\"a\":\"x:y\\\":{\"}}"), 0);
}

TEST(a_nul_is_refused_raw_and_escaped)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(parse("{\"a\":\"x\0y\"}", 11, &err), -EINVAL);
	EXPECT_STR(err.msg, "doc: a string holds a NUL");
	EXPECT_EQ(parse_str("{\"a\":\"x\\u0000y\"}"), -EINVAL);
	EXPECT_EQ(parse_str("{\"a\\u0000\":1}"), -EINVAL);
	EXPECT_EQ(parse_str("{\"a\":\"x\\\\u0000y\"}"), 0); /* an escaped backslash */
	EXPECT_EQ(parse_str("{\"a\":1}\n"), 0);
	EXPECT_EQ(parse("{\"a\":1}\0", 8, &err), -EINVAL);
}

TEST(depth_is_bounded)
{
	AUTO_BUF struct buf deep = BUF_INIT;
	struct err err = ERR_INIT;

	for (int i = 0; i < 200000; i++)
		buf_str(&deep, "[");
	EXPECT_EQ(parse(deep.data, deep.len, &err), -EINVAL);
	EXPECT_STR(err.msg, "doc: JSON nested deeper than 32");
}

TEST(the_number_of_values_is_bounded)
{
	AUTO_BUF struct buf wide = BUF_INIT;
	struct err err = ERR_INIT;

	buf_str(&wide, "[0");
	for (int i = 0; i < JSON_VALUES_MAX; i++)
		buf_str(&wide, ",0");
	buf_str(&wide, "]");
	EXPECT_EQ(parse(wide.data, wide.len, &err), -E2BIG);
}

TEST(size_is_bounded_before_anything_is_read)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct err err = ERR_INIT;

	EXPECT_EQ(json_parse("[1]", 3, 2, "doc", &doc, &err), -EFBIG);
	EXPECT_STR(err.msg, "doc: 3 bytes of JSON, at most 2");
}

TEST(what_is_not_json_is_refused)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"{\"a\"",
		"{\"a\":}",
		"[1,]",
		"[1] x",
		"{a:1}",
		"{'a':1}",
		"nul",
		"\"x",
		"[1]]",
		"{\"a\":1,}",
		"\"\xff\"",
		"/* c */ 1",
		"NaN",
		"[Infinity]",
		"\"a\nb\"",
		"{'a\":':1,'a\":':2}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse_str(bad[i]) != -EINVAL)
			FAIL("'%s' is taken", bad[i]);
	}
	EXPECT_EQ(parse_str("17"), 0);
	EXPECT_EQ(parse_str(" {} \n"), 0);
}

TEST(a_fifo_is_no_document)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct err err = ERR_INIT;

	EXPECT_EQ(json_parse_file(AT_FDCWD, "/dev/zero", MAX, &doc, &err), -EINVAL);
	EXPECT_STR(err.msg, "'/dev/zero' is not a regular file");
}

TEST(what_is_written_reads_back)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_STRV struct strv env = {0};
	struct json_out out = JSON_OUT(&text, false);
	struct err err = ERR_INIT;

	EXPECT_EQ(strv_add(&env, "A=b=c", &err), 0);
	EXPECT_EQ(strv_add(&env, "D", &err), 0);
	json_begin(&out, NULL);
	json_put_str(&out, "s", "a\"b\\c\n\x01\xc3\xa9");
	json_put_str(&out, "none", NULL);
	json_put_int(&out, "i", -5);
	json_put_uint(&out, "u", UINT64_MAX);
	json_put_bool(&out, "b", false);
	json_put_strv(&out, "env", &env);
	json_put_map(&out, "map", &env);
	json_begin_array(&out, "empty");
	json_end_array(&out);
	json_put_null(&out, "z");
	json_end(&out);
	EXPECT_EQ(buf_check(&text, &err), 0);
	EXPECT_STR(text.data, "{\"s\":\"a\\\"b\\\\c\\n\\u0001\xc3\xa9\",\"none\":null,\"i\":-5,"
			      "\"u\":18446744073709551615,\"b\":false,\"env\":[\"A=b=c\",\"D\"],"
			      "\"map\":{\"A\":\"b=c\",\"D\":\"\"},\"empty\":[],\"z\":null}");
	EXPECT_EQ(parse(text.data, text.len, &err), 0);
}

TEST(bytes_that_are_no_utf8_are_replaced)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, false);
	struct err err = ERR_INIT;

	/* overlong, surrogate, too large, cut short */
	json_put_str(&out, NULL, "\xc0\x80|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82");
	EXPECT_EQ(parse(text.data, text.len, &err), 0);
	EXPECT_STR(text.data, "\"\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|"
			      "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|"
			      "\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST(pretty_text_is_one_member_per_line)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, true);

	json_begin(&out, NULL);
	json_put_int(&out, "a", 1);
	json_begin_array(&out, "b");
	json_put_int(&out, NULL, 2);
	json_end_array(&out);
	json_begin(&out, "c");
	json_end(&out);
	json_end(&out);
	EXPECT_STR(text.data,
		   "{\n    \"a\": 1,\n    \"b\": [\n        2\n    ],\n    \"c\": {}\n}");
}

TEST(a_parsed_value_is_written_as_it_was)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, false);
	struct err err = ERR_INIT;
	const char *was = "{\"a\":[1,{\"b\":null}],\"t\":true,\"f\":1.5,\"s\":\"/\"}";

	EXPECT_EQ(json_parse(was, strlen(was), MAX, "doc", &doc, &err), 0);
	json_put_value(&out, NULL, doc);
	EXPECT_STR(text.data, was);
}

TEST(times_are_rfc_3339)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, false);

	json_put_time(&out, NULL, 1700000000123456789U);
	EXPECT_STR(text.data, "\"2023-11-14T22:13:20.123456789Z\"");
}

static int count(void *ctx, const char *key, struct json_object *value, struct err *err)
{
	int *n = ctx;

	if (strcmp(key, "stop") == 0)
		return err_set(err, ECANCELED, "stop");
	*n += json_text(value) ? 10 : 1;
	return 0;
}

TEST(each_visits_members_until_one_fails)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	const char *text = "{\"a\":1,\"b\":\"x\",\"stop\":0,\"c\":1}";
	struct err err = ERR_INIT;
	int n = 0;

	EXPECT_EQ(json_parse(text, strlen(text), MAX, "doc", &doc, &err), 0);
	EXPECT_EQ(json_each(doc, count, &n, &err), -ECANCELED);
	EXPECT_EQ(n, 11);
}
