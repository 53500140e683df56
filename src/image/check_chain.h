/* SPDX-License-Identifier: Apache-2.0 */
/* What a layer that needs others lies on, for comparing it with what it was made of. */
#pragma once

#include "base/attr.h"
#include "image/layer.h"

struct check_chain;
struct err;
struct store;

/*
 * Mounts the layers below the one that the store knows by `key`, in a mount namespace that this
 * process has from then on; only for the main thread, when no other is left. Answers 1 and *ret,
 * which the caller frees; or 0 where this user may not mount.
 */
int check_chain_new(const struct store *store, const char *key, struct check_chain **ret,
		    struct err *err) HULL_MUST_CHECK;

/* For layer_finish(); NULL when nothing lies below. Valid as long as the chain. */
const struct layer_lower *check_chain_lower(const struct check_chain *chain);

/* Unmounts; NULL is fine. */
void check_chain_free(struct check_chain *chain);

DEFINE_AUTO(struct check_chain, check_chain_free)
