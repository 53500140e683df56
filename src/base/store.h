/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store: hull's folders and its database. Everything durable is below `root`, everything that
 * does not outlive the host's boot below `run`. Several processes use one store at once: records
 * change in transactions, files appear by rename.
 *
 *	root/db                   the records (schema: store_schema.c)
 *	root/layers/KEY.erofs     one file per image layer, complete, never changed
 *	root/blobs/sha256/HEX     compressed layers, manifests and configs as they came
 *	root/partial/HEX          blobs being fetched: as much as has come
 *	root/tmp/                 what is being made; anything here without a live owner is garbage
 *	root/workloads/ID/        plan, orders, log, writable parts
 *	root/kernels/NAME/        kernels for machines
 *	run/layers/KEY/           mounted layers, a cache
 *	run/workloads/ID/         sockets and status of workloads whose keeper runs
 */
#pragma once

#include "base/attr.h"
#include "base/db.h"

struct err;

/* All members are owned by the store and never change. */
struct store {
	char *root, *run; /* absolute, links resolved */
	int root_fd, run_fd; /* O_DIRECTORY */
	struct db *db;
};

/*
 * Opens the store at `root` (NULL: $HULL_ROOT, else /var/lib/hull), making what is missing with
 * mode 0700. The run folder is /run/hull for the default store and ROOT/run for any other. Refuses
 * a store that a newer hull has written (-EPROTONOSUPPORT) and a damaged one (-EUCLEAN). The caller
 * frees.
 */
int store_open(const char *root, struct store **ret, struct err *err) HULL_MUST_CHECK;

/* Closes; NULL is fine. */
void store_close(struct store *store);

/*
 * Opens the folder `path` below the store's root or run folder, as a handle for *at calls. The
 * caller closes.
 */
int store_folder(int base_fd, const char *path, struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct store, store_close)
