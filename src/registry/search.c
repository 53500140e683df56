/* SPDX-License-Identifier: Apache-2.0 */
/* hull search: Docker's index (its version 1 interface); other registries have no search. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "registry/confine.h"
#include "registry/ops.h"

enum { LIMIT_MAX = 100, RESULTS_MAX = 4 << 20 };

static void print_text(const char *text)
{
	for (const char *p = text; *p; p++)
		(void)putchar((unsigned char)*p < ' ' || *p == 0x7f ? ' ' : *p);
}

/* One line: name, stars, whether official, and what it is. */
static int print_one(struct json_object *result, struct err *err)
{
	const char *name = NULL, *about = "";
	bool official = false;
	int64_t stars = 0;

	if (!json_is_obj(result))
		return err_set(err, EPROTO, "a result that is no object");
	int r = json_need(json_get_str(result, "name", &name, err), "name", err);
	if (r >= 0)
		r = json_get_str(result, "description", &about, err);
	if (r >= 0)
		r = json_get_int(result, "star_count", 0, INT32_MAX, &stars, err);
	if (r >= 0)
		r = json_get_bool(result, "is_official", &official, err);
	if (r < 0)
		return r;
	print_text(name);
	printf("\t%jd\t%s\t", (intmax_t)stars, official ? "official" : "-");
	print_text(about);
	(void)putchar('\n');
	return 0;
}

static int print_all(const struct http_response *r, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *results = NULL;

	int k = json_parse(r->body.data ? r->body.data : "", r->body.len, RESULTS_MAX, "results",
			   &doc, err);
	if (k == 0 && !json_is_obj(doc))
		k = err_set(err, EPROTO, "results: not an object");
	if (k == 0)
		k = json_need(json_get_array(doc, "results", &results, err), "results", err);
	for (size_t i = 0; k >= 0 && i < json_len(results); i++)
		k = print_one(json_at(results, i), err);
	return k < 0 ? k : 0;
}

/* TERM LIMIT HOST, HOST being the index itself. */
int search_main(int argc, char **argv, struct err *err)
{
	AUTO(http_response_done) struct http_response r = {0};
	AUTO(session_done) struct session s = {.n = 0};
	struct http_request q = {.method = "GET", .accept = "application/json", .from = -1};
	AUTO_BUF struct buf url = BUF_INIT;
	int64_t limit = 0;

	if (argc != 4)
		return err_set(err, EINVAL, "called with other arguments than TERM LIMIT HOST");
	int k = parse_int(argv[2], 1, LIMIT_MAX, "--limit", &limit, err);
	if (k == 0)
		k = session_init(&(struct session_target){.host = argv[3], .repository = ""}, &s,
				 err);
	if (k == 0) {
		session_know(&s);
		k = registry_confine(err);
	}
	if (k < 0)
		return k;
	struct origin *home = session_home(&s);
	buf_printf(&url, "https://%s/v1/search?n=%jd&q=", argv[3], (intmax_t)limit);
	http_escape(&url, argv[1]);
	k = buf_check(&url, err);
	if (k == 0)
		k = session_ask(&s, home, url.data, &q, &r, err);
	if (k < 0)
		return k;
	return r.status == 200 ? print_all(&r, err) : session_refused(home, "search", &r, err);
}
