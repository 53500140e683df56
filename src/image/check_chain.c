/* SPDX-License-Identifier: Apache-2.0 */
#include "image/check_chain.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/store.h"
#include "base/str.h"
#include "image/image_priv.h"
#include "image/kept.h"
#include "image/mounter.h"

struct check_chain {
	const struct store *store; /* borrowed */
	int lock; /* of the folder to work in */
	char *path;
	struct mounter *mounter; /* borrowed; NULL: nothing lies below */
	struct layer_lower lower;
};

void check_chain_free(struct check_chain *chain)
{
	if (!chain)
		return;
	if (chain->path)
		image_workdir_remove(chain->store, chain->path);
	auto_close(&chain->lock);
	free(chain->path);
	free(chain);
}

const struct layer_lower *check_chain_lower(const struct check_chain *chain)
{
	return chain->mounter ? &chain->lower : NULL;
}

/* The keys below, lowest first, in any image that has the layer: its chain-id says that they are
 * the same in all. */
static int list_below(const struct store *store, const char *key, struct strv *ret, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(store->db,
			 "SELECT b.layer FROM manifest_layer b JOIN"
			 " (SELECT manifest, position FROM manifest_layer WHERE layer=? LIMIT 1) t"
			 " ON b.manifest=t.manifest AND b.position<t.position ORDER BY b.position",
			 DB_VALUES(DB_TEXT(key)), &rows, err);
	while (r >= 0 && (r = rows_next(rows, err)) > 0)
		r = strv_add(ret, rows_text(rows, 0), err);
	return r;
}

static int push(struct check_chain *chain, const char *key, struct err *err)
{
	AUTO_CLOSE int fd = kept_open_layer(chain->store, key, err);

	return fd < 0 ? fd : mounter_push(chain->mounter, fd, err);
}

int check_chain_new(const struct store *store, struct mounter *mounter, const char *key,
		    struct check_chain **ret, struct err *err)
{
	AUTO(auto_check_chain_free) struct check_chain *chain = calloc(1, sizeof(*chain));
	AUTO_STRV struct strv keys = {0};
	struct err denied = ERR_INIT;

	if (!chain)
		return err_set(err, ENOMEM, "out of memory");
	chain->store = store;
	chain->lock = -1;
	int r = list_below(store, key, &keys, err);
	if (r == 0 && keys.n > 0)
		r = chain->lock = image_workdir(store, &chain->path, err);
	if (r < 0)
		return r;
	if (keys.n > 0 && mounter_begin(mounter, chain->path, &denied) < 0)
		return denied.code == EPERM ? 0 : err_set(err, denied.code, "%s", denied.msg);
	r = 0;
	chain->mounter = keys.n > 0 ? mounter : NULL;
	for (size_t i = 0; r == 0 && i < keys.n; i++)
		r = push(chain, keys.v[i], err);
	if (r < 0)
		return r;
	if (chain->mounter)
		chain->lower = mounter_view(mounter);
	*ret = TAKE_PTR(chain);
	return 1;
}
