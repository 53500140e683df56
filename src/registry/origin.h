/* SPDX-License-Identifier: Apache-2.0 */
/* One place that a registry's content is to be had from: the registry itself, or a mirror of it. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "registry/creds.h"
#include "registry/http.h"

struct registry_config;

/* All members are owned. What changes while several threads use it (from `settled` on) is guarded
 * by the session's lock. */
struct origin {
	char *host; /* as people and files of credentials call it */
	char *repository;
	bool mirror; /* it only saves a way: nothing is lost when it is not asked */
	struct http_trust trust;
	bool settled; /* base was found to answer */
	char *base; /* "https://host:port/v2/" */
	bool has_creds;
	struct creds creds;
	struct err creds_failure; /* why they could not be looked up: told when they are wanted */
	char *authorization; /* the last value that was good for something; NULL: none yet */
	bool down; /* a mirror that could not be reached, or was slow: it is asked no more */
};

/* What it takes to reach `place`, "HOST[:PORT][/PREFIX]", for a repository; the caller releases
 * *ret with origin_done(). any: see http_trust. Nobody is looked up yet, see origin_know(). */
int origin_init(const char *place, const char *repository, bool any,
		const struct registry_config *config, struct origin *ret, struct err *err)
	HULL_MUST_CHECK;

/* Looks up who we are there, in files and by helpers of the user's. given: see creds_find(). */
void origin_know(struct origin *o, bool given);

/* Frees what it owns; a zeroed one is fine. */
void origin_done(struct origin *o);
