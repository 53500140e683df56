/* SPDX-License-Identifier: Apache-2.0 */
/* The store's default network: which bridge and subnet it has, and who has which address. */
#pragma once

#include "base/attr.h"

struct db;
struct err;
struct keeper_network;
struct plan;
struct plan_net;
struct store;

/* Takes a free address for workload `id` within txn and fills the plan's and the keeper's view of
 * it. EADDRNOTAVAIL when all are taken. It is given back with the workload's record. */
int address_take(const struct store *store, struct db *txn, const char *id, struct plan_net *plan,
		 struct keeper_network *orders, struct err *err) HULL_MUST_CHECK;

/*
 * Takes one more address for workload `id`, whose `interface` it is for, and writes it to `ret`
 * (ADDRESS_TEXT); within txn. One that was left by an earlier interface of that name is given back.
 */
int address_take_more(struct db *txn, const char *id, const struct keeper_network *orders,
		      const char *interface, char *ret, struct err *err) HULL_MUST_CHECK;

/* Gives it back; nothing there is fine. */
int address_give_back(struct db *db, const char *id, const char *interface, struct err *err)
	HULL_MUST_CHECK;

/* Whether a workload that does not run has its address in a subnet that the store's network has no
 * longer: 1 or 0. Within a transaction. */
int address_is_outdated(const struct store *store, const struct keeper_network *orders,
			struct err *err) HULL_MUST_CHECK;

/* Gives it another address, within txn, in the plan's and the keeper's view of it. */
int address_renew(const struct store *store, struct db *txn, const char *id, struct plan *plan,
		  struct keeper_network *orders, struct err *err) HULL_MUST_CHECK;
