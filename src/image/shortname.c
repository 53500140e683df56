/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a name without a registry means. Another registry's owner may have an image of any name, so
 * nothing is tried in turn: an alias or the one place to search decides, or the name is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "image/image.h"
#include "registry/registry.h"

static const char docker[] = "docker.io";

/* "REGISTRY/REPOSITORY[:TAG][@DIGEST]" with the tag and digest of ref; the caller frees *ret. */
static int join(const char *place, const struct reference *ref, char **ret, struct err *err)
{
	/* The tag "latest" that nobody wrote beside a digest is not there. */
	int n = asprintf(ret, "%s%s%s%s%s", place, ref->tag ? ":" : "", ref->tag ? ref->tag : "",
			 ref->digest ? "@sha256:" : "", ref->digest ? ref->digest : "");

	return n < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* Docker's registry has other names, and a repository of one word is in library/. */
static int settle(const char *registry, const char *repository, const struct reference *ref,
		  char **ret, struct err *err)
{
	static const char *const other[] = {"index.docker.io", "registry-1.docker.io", NULL};
	AUTO_FREE char *place = NULL;

	if (str_in(registry, other))
		registry = docker;
	bool library = strcmp(registry, docker) == 0 && !strchr(repository, '/');
	if (asprintf(&place, "%s/%s%s", registry, library ? "library/" : "", repository) < 0) {
		place = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return join(place, ref, ret, err);
}

/* What the alias for a repository says, or NULL. */
static const char *find_alias(const struct registry_config *config, const char *repository)
{
	const char *full = NULL;

	for (size_t i = 0; i < config->aliases.n; i++) {
		if (str_prefix(config->aliases.v[i], repository, &full) && *full == '=')
			return full + 1;
	}
	return NULL;
}

static int by_alias(const char *alias, const struct reference *ref, char **ret, struct err *err)
{
	AUTO_REFERENCE struct reference full = {0};

	int r = reference_parse(alias, &full, err);
	if (r == 0 && !full.registry)
		r = err_set(err, EINVAL, "alias '%s': names no registry either", alias);
	return r == 0 ? settle(full.registry, full.repository, ref, ret, err) : r;
}

int image_full_name(const char *text, char **ret, struct err *err)
{
	AUTO(registry_config_done) struct registry_config config = {0};
	AUTO_REFERENCE struct reference ref = {0};

	int r = reference_parse(text, &ref, err);
	if (r == 0 && ref.registry)
		return settle(ref.registry, ref.repository, &ref, ret, err);
	if (r == 0)
		r = registry_config_load(&config, err);
	if (r < 0)
		return r;
	const char *alias = find_alias(&config, ref.repository);
	if (alias)
		return by_alias(alias, &ref, ret, err);
	if (config.search)
		return settle(config.search, ref.repository, &ref, ret, err);
	return err_set(
		err, EINVAL,
		"image '%.200s': not in the store, and it names no registry: write it in full, like docker.io/%s%.100s (or say 'search docker.io' in /etc/hull/registries)",
		text, strchr(ref.repository, '/') ? "" : "library/", ref.repository);
}
