/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the image that a workload is to be made from, pulling it when it is not there. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "image/image.h"
#include "image/platform.h"

int image_pull_policy(const char *text, enum image_pull_policy *ret, struct err *err)
{
	static const char *const words[] = {
		[IMAGE_PULL_MISSING] = "missing",
		[IMAGE_PULL_ALWAYS] = "always",
		[IMAGE_PULL_NEVER] = "never",
	};

	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret = (enum image_pull_policy)i;
			return 0;
		}
	}
	return err_set(err, EINVAL, "--pull '%.40s': not missing, always or never", text);
}

/* Whether the image may be run as what --platform says; one whose config tells no variant may. */
static bool is_for(const struct image *image, const struct platform *p)
{
	return platform_is(p, image->os, image->architecture) &&
	       (!p->variant || !image->variant || strcmp(p->variant, image->variant) == 0);
}

/* image_find() with "there is none for that platform (NULL: any)" as an answer: 1, or 0. */
static int find(const struct store *store, const char *what, const struct platform *platform,
		struct image *ret, struct err *err)
{
	AUTO_IMAGE struct image image = {0};
	struct err failure = ERR_INIT;
	int r = image_find(store, what, &image, &failure);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(err, failure.code, "%s", failure.msg);
	if (platform && !is_for(&image, platform))
		return 0;
	*ret = image;
	image = (struct image){0};
	return 1;
}

/* What may not be pulled. */
static int find_only(const struct store *store, const struct image_wanted *w,
		     const struct platform *platform, struct image *ret, struct err *err)
{
	AUTO_IMAGE struct image image = {0};

	int r = image_find(store, w->name, &image, err);
	if (r < 0)
		return r;
	if (platform && !is_for(&image, platform))
		return err_set(err, ENOENT, "image '%.200s' in the store is for %s/%s, not %.80s",
			       w->name, image.os, image.architecture, w->platform);
	*ret = image;
	image = (struct image){0};
	return 0;
}

int image_ensure(const struct store *store, const struct image_wanted *w, struct image *ret,
		 struct err *err)
{
	AUTO(platform_done) struct platform parsed = {0};
	const struct platform *platform = w->platform ? &parsed : NULL;
	AUTO_FREE char *full = NULL;
	AUTO_FREE char *id = NULL;

	int r = w->platform ? platform_parse(w->platform, &parsed, err) : 0;
	if (r < 0 || w->policy == IMAGE_PULL_NEVER)
		return r < 0 ? r : find_only(store, w, platform, ret, err);
	r = w->policy == IMAGE_PULL_MISSING ? find(store, w->name, platform, ret, err) : 0;
	if (r != 0)
		return r < 0 ? r : 0;
	r = image_full_name(w->name, &full, err);
	if (r == 0 && w->policy == IMAGE_PULL_MISSING && strcmp(full, w->name) != 0)
		r = find(store, full, platform, ret, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = image_pull(store, &(struct image_pull){.name = full, .platform = w->platform}, &id,
		       err);
	return r < 0 ? err_wrap(err, "pull") : image_find(store, full, ret, err);
}
