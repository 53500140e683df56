/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "registry/registry.h"

enum { CONFIG_MAX = 1 << 20, PATIENCE_S = 30, PATIENCE_MAX_S = 3600 };

static const char default_path[] = "/etc/hull/registries";

/* The two words behind a keyword; the second is NULL when there is only one. */
struct line {
	struct registry_config *config;
	const char *one, *two;
};

static int take_search(const struct line *l, struct err *err)
{
	if (l->config->search)
		return err_set(err, EINVAL,
			       "'search' a second time: a name would have two meanings");
	l->config->search = strdup(l->one);
	return l->config->search ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int take_pair(struct strv *list, const struct line *l, struct err *err)
{
	AUTO_FREE char *pair = NULL;

	if (asprintf(&pair, "%s=%s", l->one, l->two) < 0) {
		pair = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return strv_add(list, pair, err);
}

static int take_alias(const struct line *l, struct err *err)
{
	return take_pair(&l->config->aliases, l, err);
}

static int take_mirror(const struct line *l, struct err *err)
{
	return take_pair(&l->config->mirrors, l, err);
}

static int take_realm(const struct line *l, struct err *err)
{
	return take_pair(&l->config->realms, l, err);
}

static int take_insecure(const struct line *l, struct err *err)
{
	return strv_add(&l->config->insecure, l->one, err);
}

static int take_certs(const struct line *l, struct err *err)
{
	return strv_add(&l->config->certs, l->one, err);
}

static int take_patience(const struct line *l, struct err *err)
{
	int64_t seconds = 0;

	int r = parse_int(l->one, 1, PATIENCE_MAX_S, "patience", &seconds, err);
	l->config->patience_s = (uint32_t)seconds;
	return r;
}

static const struct {
	const char *word;
	int words;
	int (*take)(const struct line *l, struct err *err);
} keywords[] = {
	{"search", 1, take_search},     {"alias", 2, take_alias}, {"mirror", 2, take_mirror},
	{"insecure", 1, take_insecure}, {"realm", 2, take_realm}, {"patience", 1, take_patience},
	{"certs", 1, take_certs},
};

/* One line, cut into words in place. */
static int take_line(struct registry_config *config, char *text, struct err *err)
{
	enum { WORDS_MAX = 4 };
	char *words[WORDS_MAX] = {NULL};
	char *rest = NULL;
	int n = 0;

	text[strcspn(text, "#")] = '\0';
	for (char *w = strtok_r(text, " \t\r", &rest); w && n < WORDS_MAX;
	     w = strtok_r(NULL, " \t\r", &rest))
		words[n++] = w;
	if (n == 0)
		return 0;
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		const struct line l = {config, words[1], words[2]};
		if (strcmp(words[0], keywords[i].word) != 0)
			continue;
		return n == keywords[i].words + 1
			       ? keywords[i].take(&l, err)
			       : err_set(err, EINVAL, "'%s' takes %d more word%s", words[0],
					 keywords[i].words, keywords[i].words > 1 ? "s" : "");
	}
	return err_set(err, EINVAL, "'%.40s' is unknown", words[0]);
}

static int take_all(struct registry_config *config, char *text, struct err *err)
{
	char *rest = NULL;
	int number = 0;

	while ((rest = strsep(&text, "\n"))) {
		number++;
		int r = take_line(config, rest, err);
		if (r < 0)
			return err_wrap(err, "line %d", number);
	}
	return 0;
}

int registry_config_load(struct registry_config *ret, struct err *err)
{
	const char *named = getenv("HULL_REGISTRIES");
	const char *path = named && *named ? named : default_path;
	struct registry_config config = {.patience_s = PATIENCE_S};
	struct err failure = ERR_INIT;
	AUTO_BUF struct buf text = BUF_INIT;

	int r = file_read(AT_FDCWD, path, CONFIG_MAX, &text, &failure);
	if (r == -ENOENT && path == default_path)
		r = 0;
	else if (r == 0 && text.data)
		r = take_all(&config, text.data, &failure);
	if (r < 0) {
		registry_config_done(&config);
		return err_set(err, failure.code, "%s: %s", path, failure.msg);
	}
	*ret = config;
	return 0;
}

void registry_config_done(struct registry_config *config)
{
	free(config->search);
	strv_done(&config->aliases);
	strv_done(&config->mirrors);
	strv_done(&config->insecure);
	strv_done(&config->realms);
	strv_done(&config->certs);
	*config = (struct registry_config){0};
}
