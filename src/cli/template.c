/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/template.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/*
 * The text is carried out while it is read; a part not taken (the else of an if, the body of an
 * empty range) is read with `emit` off. Depth is bounded, since the text may come from a script
 * that took it from somewhere.
 */
enum { DEPTH_MAX = 32, WORDS_MAX = 8 };

struct render {
	struct buf *to;
	struct err *err;
	int depth;
};

/* A value in a pipeline: what it is, and whether it is ours to put. */
struct value {
	struct json_object *json; /* owned; NULL is JSON's null */
};

static void value_done(struct value *v)
{
	json_object_put(v->json);
	v->json = NULL;
}

static void template_print(struct json_object *value, struct buf *to);

static void print_array(struct json_object *list, struct buf *to)
{
	buf_str(to, "[");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		buf_str(to, i ? " " : "");
		template_print(json_object_array_get_idx(list, i), to);
	}
	buf_str(to, "]");
}

static void print_object(struct json_object *object, struct buf *to)
{
	const char *sep = "map[";

	json_object_object_foreach (object, key, member) {
		buf_printf(to, "%s%s:", sep, key);
		template_print(member, to);
		sep = " ";
	}
	buf_str(to, *sep == 'm' ? "map[]" : "]");
}

/* As a template prints a value: strings bare, lists [a b], objects map[k:v]. */
static void template_print(struct json_object *value, struct buf *to)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		buf_str(to, "<no value>");
		break;
	case json_type_array:
		print_array(value, to);
		break;
	case json_type_object:
		print_object(value, to);
		break;
	case json_type_string:
		buf_add(to, json_object_get_string(value),
			(size_t)json_object_get_string_len(value));
		break;
	case json_type_boolean:
	case json_type_double:
	case json_type_int:
		buf_str(to, json_object_get_string(value));
		break;
	}
}

/* What Go's templates count as false. */
static bool is_empty(struct json_object *v)
{
	switch (json_object_get_type(v)) {
	case json_type_null:
		return true;
	case json_type_boolean:
		return !json_object_get_boolean(v);
	case json_type_double:
	case json_type_int:
		return json_object_get_double(v) == 0;
	case json_type_object:
		return json_object_object_length(v) == 0;
	case json_type_array:
		return json_object_array_length(v) == 0;
	case json_type_string:
		return json_object_get_string_len(v) == 0;
	}
	return true;
}

/* ".A.B" (n bytes) from dot. */
static int field(struct json_object *dot, const char *path, size_t n, struct value *ret,
		 struct err *err)
{
	struct json_object *at = dot;
	const char *end = path + n;

	for (const char *p = path; p < end;) {
		char key[256];
		p++; /* the '.' */
		size_t len = 0;
		while (p + len < end && p[len] != '.')
			len++;
		if (len == 0 && n == 1)
			break; /* "." alone */
		if (len == 0 || len >= sizeof(key))
			return err_set(err, EINVAL, "--format: '%.*s' is not a field", (int)n,
				       path);
		memcpy(key, p, len);
		key[len] = '\0';
		if (!json_object_is_type(at, json_type_object) ||
		    !json_object_object_get_ex(at, key, &at))
			return err_set(err, EINVAL, "--format: there is no field '%.*s'",
				       (int)(p + len - path), path);
		p += len;
	}
	ret->json = json_object_get(at);
	return 0;
}

/* A quoted string with \n \t \" \\; n bytes with its quotes. */
static int literal(const char *text, size_t n, struct value *ret, struct err *err)
{
	AUTO_BUF struct buf out = BUF_INIT;

	for (size_t i = 1; i + 1 < n; i++) {
		char c = text[i];
		if (c == '\\' && text[0] == '"' && i + 2 < n) {
			c = text[++i];
			if (c == 'n')
				c = '\n';
			else if (c == 't')
				c = '\t';
		}
		buf_add(&out, &c, 1);
	}
	int r = buf_check(&out, err);
	if (r == 0)
		ret->json = json_object_new_string_len(out.data ? out.data : "", (int)out.len);
	return r;
}

/* Length of the word that p begins with: a quoted string, or up to a space, '|' or the end. */
static size_t word_len(const char *p, const char *end)
{
	if (*p == '"' || *p == '`') {
		for (const char *q = p + 1; q < end; q++) {
			if (*q == '\\' && *p == '"')
				q++;
			else if (*q == *p)
				return (size_t)(q + 1 - p);
		}
		return 0;
	}
	size_t n = 0;
	while (p + n < end && !isspace((unsigned char)p[n]) && p[n] != '|')
		n++;
	return n;
}

static int operand(struct json_object *dot, const char *word, size_t n, struct value *ret,
		   struct err *err)
{
	char text[32];
	int64_t number;

	if (*word == '.')
		return field(dot, word, n, ret, err);
	if (*word == '"' || *word == '`')
		return literal(word, n, ret, err);
	if (n < sizeof(text) && (isdigit((unsigned char)*word) || *word == '-')) {
		memcpy(text, word, n);
		text[n] = '\0';
		int r = parse_int(text, INT64_MIN, INT64_MAX, "--format", &number, err);
		if (r == 0)
			ret->json = json_object_new_int64(number);
		return r;
	}
	return err_set(err, EINVAL, "--format: '%.*s' is not understood", (int)n, word);
}

static int fn_json(const struct value *args, size_t n, struct value *ret, struct err *err)
{
	ret->json = json_object_new_string(json_object_to_json_string_ext(
		args[0].json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}

static int fn_len(const struct value *args, size_t n, struct value *ret, struct err *err)
{
	struct json_object *v = args[0].json;
	int64_t len = 0;

	if (json_object_is_type(v, json_type_array))
		len = (int64_t)json_object_array_length(v);
	else if (json_object_is_type(v, json_type_object))
		len = json_object_object_length(v);
	else if (json_object_is_type(v, json_type_string))
		len = json_object_get_string_len(v);
	ret->json = json_object_new_int64(len);
	return 0;
}

static int fn_index(const struct value *args, size_t n, struct value *ret, struct err *err)
{
	struct json_object *at = args[0].json;

	for (size_t i = 1; i < n; i++) {
		struct json_object *key = args[i].json;
		if (json_object_is_type(at, json_type_array))
			at = json_object_array_get_idx(at, (size_t)json_object_get_int64(key));
		else if (!json_object_is_type(at, json_type_object) ||
			 !json_object_object_get_ex(at, json_object_get_string(key), &at))
			at = NULL;
	}
	ret->json = json_object_get(at);
	return 0;
}

static int fn_join(const struct value *args, size_t n, struct value *ret, struct err *err)
{
	AUTO_BUF struct buf out = BUF_INIT;

	if (n != 2 || !json_object_is_type(args[0].json, json_type_array))
		return err_set(err, EINVAL, "--format: join needs a list and a separator");
	for (size_t i = 0; i < json_object_array_length(args[0].json); i++) {
		buf_str(&out, i ? json_object_get_string(args[1].json) : "");
		template_print(json_object_array_get_idx(args[0].json, i), &out);
	}
	int r = buf_check(&out, err);
	if (r == 0)
		ret->json = json_object_new_string_len(out.data ? out.data : "", (int)out.len);
	return r;
}

static int change_case(const struct value *arg, int (*to)(int), struct value *ret, struct err *err)
{
	AUTO_BUF struct buf out = BUF_INIT;

	template_print(arg->json, &out);
	for (size_t i = 0; i < out.len; i++)
		out.data[i] = (char)to((unsigned char)out.data[i]);
	int r = buf_check(&out, err);
	if (r == 0)
		ret->json = json_object_new_string_len(out.data ? out.data : "", (int)out.len);
	return r;
}

static int fn_upper(const struct value *args, size_t n, struct value *ret, struct err *err)
{
	return change_case(&args[0], toupper, ret, err);
}

static int fn_lower(const struct value *args, size_t n, struct value *ret, struct err *err)
{
	return change_case(&args[0], tolower, ret, err);
}

typedef int template_fn(const struct value *args, size_t n, struct value *ret, struct err *err);

static template_fn *find_fn(const char *word, size_t n)
{
	static const struct {
		const char *name;
		template_fn *fn;
	} fns[] = {{"json", fn_json}, {"len", fn_len},     {"index", fn_index},
		   {"join", fn_join}, {"upper", fn_upper}, {"lower", fn_lower}};

	for (size_t i = 0; i < sizeof(fns) / sizeof(fns[0]); i++) {
		if (strlen(fns[i].name) == n && strncmp(fns[i].name, word, n) == 0)
			return fns[i].fn;
	}
	return NULL;
}

/* The words of one stage of a pipeline, up to '|' or end: perhaps a function, and operands. */
struct stage {
	template_fn *fn;
	struct value args[WORDS_MAX];
	size_t n;
};

static int stage_word(struct stage *st, struct json_object *dot, const char *word, size_t len,
		      struct err *err)
{
	if (st->n == 0 && !st->fn) {
		st->fn = find_fn(word, len);
		if (st->fn)
			return 0;
	}
	return operand(dot, word, len, &st->args[st->n++], err);
}

/* Moves *p behind the stage. */
static int stage_read(struct stage *st, struct json_object *dot, const char **p, const char *end,
		      struct err *err)
{
	for (;;) {
		while (*p < end && isspace((unsigned char)**p))
			(*p)++;
		if (*p == end || **p == '|')
			return 0;
		size_t len = word_len(*p, end);
		if (len == 0 || st->n + 1 == WORDS_MAX)
			return err_set(err, EINVAL, "--format: '%.*s' is not understood",
				       (int)(end - *p), *p);
		int r = stage_word(st, dot, *p, len, err);
		if (r < 0)
			return r;
		*p += len;
	}
}

/* What came from the stage before is the last argument; taken. */
static int stage_run(struct stage *st, struct value *piped, struct value *ret, struct err *err)
{
	if (piped->json) {
		st->args[st->n++].json = piped->json;
		piped->json = NULL;
	}
	if (st->n == 0 || (!st->fn && st->n > 1))
		return err_set(err, EINVAL, "--format: an action without a value");
	if (st->fn)
		return st->fn(st->args, st->n, ret, err);
	ret->json = st->args[0].json;
	st->args[0].json = NULL;
	return 0;
}

static int stage(struct json_object *dot, const char **p, const char *end, struct value *piped,
		 struct value *ret, struct err *err)
{
	struct stage st = {.fn = NULL};

	int r = stage_read(&st, dot, p, end, err);
	if (r == 0)
		r = stage_run(&st, piped, ret, err);
	for (size_t i = 0; i < WORDS_MAX; i++)
		value_done(&st.args[i]);
	return r;
}

static int pipeline(struct json_object *dot, const char *p, const char *end, struct value *ret,
		    struct err *err)
{
	struct value v = {NULL};
	int r;

	do {
		struct value next = {NULL};
		r = stage(dot, &p, end, &v, &next, err);
		value_done(&v);
		v = next;
		if (r == 0 && p < end)
			p++; /* '|' */
		else
			break;
	} while (true);
	if (r == 0)
		*ret = v;
	else
		value_done(&v);
	return r;
}

enum stop { STOP_END_OF_TEXT, STOP_ELSE, STOP_END };

static int block(struct render *re, const char **p, struct json_object *dot, bool emit,
		 enum stop *ret);

static bool is_word(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(end - p) >= n && strncmp(p, word, n) == 0 &&
	       (p + n == end || isspace((unsigned char)p[n]));
}

/* The body of an if or a range for one dot, or without output; *p moves behind its else or end. */
static int body(struct render *re, const char *from, const char **p, struct json_object *dot,
		bool emit, enum stop *ret)
{
	*p = from;
	int r = block(re, p, dot, emit, ret);
	if (r == 0 && *ret == STOP_END_OF_TEXT)
		return err_set(re->err, EINVAL, "--format: {{end}} is missing");
	return r;
}

static int range_members(struct render *re, const char *from, const char **p,
			 struct json_object *list, enum stop *ret)
{
	int r = 0;

	if (json_object_is_type(list, json_type_array)) {
		for (size_t i = 0; r == 0 && i < json_object_array_length(list); i++)
			r = body(re, from, p, json_object_array_get_idx(list, i), true, ret);
	} else if (json_object_is_type(list, json_type_object)) {
		json_object_object_foreach (list, key, member) {
			(void)key;
			r = r < 0 ? r : body(re, from, p, member, true, ret);
		}
	} else {
		r = err_set(re->err, EINVAL, "--format: range needs a list or an object");
	}
	return r;
}

/* {{if …}} and {{range …}}: *p stands behind the action whose expression is [expr, end). */
static int control(struct render *re, const char **p, struct json_object *dot, bool emit,
		   const char *expr, const char *end)
{
	bool is_range = is_word(expr, end, "range");
	AUTO(value_done) struct value v = {NULL};
	const char *from = *p;
	enum stop stop = STOP_END;
	int r = 0;

	if (++re->depth > DEPTH_MAX)
		return err_set(re->err, EINVAL, "--format: nested too deeply");
	if (emit)
		r = pipeline(dot, expr + (is_range ? 5 : 2), end, &v, re->err);
	bool taken = emit && r == 0 && !is_empty(v.json);
	if (r == 0 && taken && is_range)
		r = range_members(re, from, p, v.json, &stop);
	else if (r == 0)
		r = body(re, from, p, dot, taken, &stop);
	if (r == 0 && stop == STOP_ELSE) {
		r = body(re, *p, p, dot, emit && !taken, &stop);
		if (r == 0 && stop == STOP_ELSE)
			r = err_set(re->err, EINVAL, "--format: {{else}} twice");
	}
	re->depth--;
	return r;
}

/* Text with \n and \t, as scripts write them in single quotes. */
static void plain(struct render *re, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (c == '\\' && i + 1 < n && (text[i + 1] == 'n' || text[i + 1] == 't'))
			c = text[++i] == 'n' ? '\n' : '\t';
		buf_add(re->to, &c, 1);
	}
}

/* [expr, end) between braces; *p stands behind them. */
static int action(struct render *re, const char **p, struct json_object *dot, bool emit,
		  const char *expr, const char *end)
{
	AUTO(value_done) struct value v = {NULL};

	if (is_word(expr, end, "if") || is_word(expr, end, "range"))
		return control(re, p, dot, emit, expr, end);
	if (!emit)
		return 0;
	int r = pipeline(dot, expr, end, &v, re->err);
	if (r == 0)
		template_print(v.json, re->to);
	return r;
}

static int block(struct render *re, const char **p, struct json_object *dot, bool emit,
		 enum stop *ret)
{
	for (;;) {
		const char *open = strstr(*p, "{{");
		if (emit)
			plain(re, *p, open ? (size_t)(open - *p) : strlen(*p));
		if (!open) {
			*p += strlen(*p);
			*ret = STOP_END_OF_TEXT;
			return 0;
		}
		const char *expr = open + 2;
		const char *end = strstr(expr, "}}");
		if (!end)
			return err_set(re->err, EINVAL, "--format: '{{' without '}}'");
		*p = end + 2;
		while (expr < end && isspace((unsigned char)*expr))
			expr++;
		if (is_word(expr, end, "end") || is_word(expr, end, "else")) {
			*ret = *expr == 'e' && expr[1] == 'n' ? STOP_END : STOP_ELSE;
			return 0;
		}
		int r = action(re, p, dot, emit, expr, end);
		if (r < 0)
			return r;
	}
}

int template_render(const char *text, struct json_object *dot, struct buf *to, struct err *err)
{
	struct render re = {.to = to, .err = err};
	enum stop stop = STOP_END_OF_TEXT;

	int r = block(&re, &text, dot, true, &stop);
	if (r == 0 && stop != STOP_END_OF_TEXT)
		return err_set(err, EINVAL, "--format: {{end}} or {{else}} without its beginning");
	return r < 0 ? r : buf_check(to, err);
}
