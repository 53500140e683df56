/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.dep holds one line per module: "PATH: PATH…", where the second part is everything the
 * module needs, directly or not, ordered so that loading goes from the last to the first.
 */
#include "machine/moddep.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/path.h"
#include "base/str.h"

enum { NAME_MAX_LEN = 64, LINES_MAX = 65536, NEEDS_MAX = 512 };

struct module {
	char name[NAME_MAX_LEN];
	struct strv files; /* its own, then what it needs; none: built in */
};

struct moddep {
	struct module *v;
	size_t n, size;
};

void moddep_free(struct moddep *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		strv_done(&m->v[i].files);
	free(m->v);
	free(m);
}

/* The module's name in a path or as typed: without folders and endings, '-' as '_'. False when it
 * has none. */
static bool module_name(const char *path, char name[NAME_MAX_LEN])
{
	const char *base = strrchr(path, '/');
	base = base ? base + 1 : path;
	size_t n = strcspn(base, ".");
	if (n == 0 || n >= NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < n; i++)
		name[i] = (char)(base[i] == '-' ? '_' : base[i]);
	name[n] = '\0';
	return true;
}

static const struct module *find(const struct moddep *m, const char *name)
{
	char plain[NAME_MAX_LEN];

	if (!module_name(name, plain))
		return NULL;
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->v[i].name, plain) == 0)
			return &m->v[i];
	}
	return NULL;
}

static struct module *module_add(struct moddep *m, const char *path, struct err *err)
{
	if (m->n == m->size) {
		size_t size = m->size ? m->size * 2 : 256;
		struct module *v = reallocarray(m->v, size, sizeof(*v));
		if (!v) {
			(void)err_set(err, ENOMEM, "out of memory");
			return NULL;
		}
		m->v = v;
		m->size = size;
	}
	struct module *mod = &m->v[m->n];
	*mod = (struct module){0};
	if (!path_is_clean(path, true) || !module_name(path, mod->name)) {
		(void)err_set(err, EINVAL, "'%.100s' is no module's path", path);
		return NULL;
	}
	m->n++;
	return mod;
}

/* One line, cut into words in place. */
static int parse_line(struct moddep *m, char *line, bool builtin, struct err *err)
{
	char *save = NULL;
	char *word = strtok_r(line, " \t", &save);
	if (!word)
		return 0;
	if (m->n >= LINES_MAX)
		return err_set(err, E2BIG, "more than %d modules", LINES_MAX);

	size_t len = strlen(word);
	if (!builtin) {
		if (word[len - 1] != ':')
			return err_set(err, EINVAL, "no ':' behind '%.100s'", word);
		word[len - 1] = '\0';
	}
	struct module *mod = module_add(m, word, err);
	if (!mod)
		return -err->code;
	for (; !builtin && word; word = strtok_r(NULL, " \t", &save)) {
		if (!path_is_clean(word, true))
			return err_set(err, EINVAL, "'%.100s' is no module's path", word);
		if (mod->files.n > NEEDS_MAX)
			return err_set(err, E2BIG, "'%s' needs more than %d modules", mod->name,
				       NEEDS_MAX);
		int r = strv_add(&mod->files, word, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_text(struct moddep *m, const char *text, size_t n, bool builtin, struct err *err)
{
	if (memchr(text, '\0', n))
		return err_set(err, EINVAL, "a NUL byte in the text");
	AUTO_FREE char *copy = strndup(text, n);
	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	char *rest = copy;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		int r = parse_line(m, line, builtin, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int moddep_parse(const char *dep, size_t n_dep, const char *builtin, size_t n_builtin,
		 struct moddep **ret, struct err *err)
{
	AUTO(auto_moddep_free) struct moddep *m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	if (parse_text(m, dep, n_dep, false, err) < 0)
		return err_wrap(err, "modules.dep");
	if (builtin && parse_text(m, builtin, n_builtin, true, err) < 0)
		return err_wrap(err, "modules.builtin");
	*ret = TAKE_PTR(m);
	return 0;
}

enum moddep_has moddep_has(const struct moddep *m, const char *name)
{
	const struct module *mod = find(m, name);

	if (!mod)
		return MODULE_ABSENT;
	return mod->files.n ? MODULE_FILE : MODULE_BUILTIN;
}

static bool listed(const struct strv *order, const char *file)
{
	for (size_t i = 0; i < order->n; i++) {
		if (strcmp(order->v[i], file) == 0)
			return true;
	}
	return false;
}

int moddep_order(const struct moddep *m, const char *name, struct strv *order, struct err *err)
{
	const struct module *mod = find(m, name);

	for (size_t i = mod ? mod->files.n : 0; i-- > 0;) {
		const char *file = mod->files.v[i];
		int r = listed(order, file) ? 0 : strv_add(order, file, err);
		if (r < 0)
			return r;
	}
	return 0;
}
