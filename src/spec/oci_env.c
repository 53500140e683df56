/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment. Callers put variables in twice (an image's PATH, then their own) and rely on the
 * last; libc takes the first that it meets. So only the last of each stays. Sorting finds them, for
 * a document may hold a hundred thousand.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "spec/oci_process.h"

struct variable {
	const char *text; /* NAME=VALUE, borrowed */
	size_t name_len;
	size_t at; /* in the document */
	bool last;
};

static int by_name(const void *a, const void *b)
{
	const struct variable *x = a;
	const struct variable *y = b;
	size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
	int order = memcmp(x->text, y->text, n);

	if (order == 0 && x->name_len != y->name_len)
		order = x->name_len < y->name_len ? -1 : 1;
	if (order == 0)
		order = x->at < y->at ? -1 : 1;
	return order;
}

static int by_place(const void *a, const void *b)
{
	const struct variable *x = a;
	const struct variable *y = b;

	return x->at < y->at ? -1 : 1;
}

static bool same_name(const struct variable *a, const struct variable *b)
{
	return a->name_len == b->name_len && memcmp(a->text, b->text, a->name_len) == 0;
}

static int add_last(struct variable *v, size_t n, struct strv *ret, struct err *err)
{
	int r = 0;

	qsort(v, n, sizeof(*v), by_name);
	for (size_t i = 0; i < n; i++)
		v[i].last = i + 1 == n || !same_name(&v[i], &v[i + 1]);
	qsort(v, n, sizeof(*v), by_place);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = v[i].last ? strv_add(ret, v[i].text, err) : 0;
	return r;
}

int oci_env(struct json_object *process, struct strv *ret, struct err *err)
{
	struct json_object *list = NULL;

	int r = json_get_array(process, "env", &list, err);
	if (r <= 0 || json_len(list) == 0)
		return r < 0 ? r : 0;
	AUTO_FREE struct variable *all = calloc(json_len(list), sizeof(*all));
	if (!all)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < json_len(list); i++) {
		const char *text = json_text(json_at(list, i));
		size_t n = text ? strcspn(text, "=") : 0;
		if (n == 0 || text[n] != '=')
			return err_set(err, EINVAL, "env[%zu]: is not NAME=VALUE", i);
		all[i] = (struct variable){.text = text, .name_len = n, .at = i};
	}
	return add_last(all, json_len(list), ret, err);
}
