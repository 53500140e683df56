/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are at a registry: from HULL_REGISTRY_CREDS, else from the files that podman and docker
 * keep (REGISTRY_AUTH_FILE, containers/auth.json, .docker/config.json) and the helpers these name.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;

/* All members are owned, and NULL when there are none. */
struct creds {
	char *user, *secret;
	char *identity; /* a token to be exchanged for others, instead of both */
};

/* What is on file for a repository of a host, if HULL_REGISTRY_CREDS says nothing or is not meant
 * (for a mirror, say): 1 and *ret, or 0. The caller releases *ret with creds_done(). */
int creds_find(const char *host, const char *repository, bool given, struct creds *ret,
	       struct err *err) HULL_MUST_CHECK;

/* Takes "USER:SECRET" apart; ENOMEM, or EINVAL without a colon. */
int creds_parse(const char *text, struct creds *ret, struct err *err) HULL_MUST_CHECK;

/* Overwrites and frees what it owns; a zeroed one is fine. */
void creds_done(struct creds *c);

/* Writes credentials for host to the file of `hull login`, mode 0600, or to the helper that is
 * named there. */
int creds_save(const char *host, const struct creds *c, struct err *err) HULL_MUST_CHECK;

/* Removes those for host from that file, or from the helper: 1, or 0 when there were none. */
int creds_remove(const char *host, struct err *err) HULL_MUST_CHECK;
