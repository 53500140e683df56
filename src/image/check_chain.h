/* SPDX-License-Identifier: Apache-2.0 */
/* What a layer that needs others lies on, for comparing it with what it was made of. */
#pragma once

#include "base/attr.h"
#include "image/layer.h"

struct check_chain;
struct err;
struct mounter;
struct store;

/*
 * Has the layers below the one that the store knows by `key` mounted by the mounter (borrowed),
 * which shows one chain at a time. Answers 1 and *ret, which the caller frees; or 0 where this user
 * may not mount.
 */
int check_chain_new(const struct store *store, struct mounter *mounter, const char *key,
		    struct check_chain **ret, struct err *err) HULL_MUST_CHECK;

/* For layer_finish(); NULL when nothing lies below. Valid as long as the chain. */
const struct layer_lower *check_chain_lower(const struct check_chain *chain);

/* What is mounted goes with the next chain, or with the mounter; NULL is fine. */
void check_chain_free(struct check_chain *chain);

DEFINE_AUTO(struct check_chain, check_chain_free)
