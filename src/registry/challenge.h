/* SPDX-License-Identifier: Apache-2.0 */
/* What a registry wants to see before it answers: the header WWW-Authenticate (RFC 9110 section
 * 11). */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;
struct strv;

/* All members are owned. */
struct challenge {
	bool bearer; /* else basic */
	char *realm, *service; /* NULL: not said */
};

/*
 * Picks of the values of all such headers what we can meet: a token, else a name and password.
 * EPROTO when there is neither. The caller releases *ret with challenge_done().
 */
int challenge_pick(const struct strv *headers, struct challenge *ret, struct err *err)
	HULL_MUST_CHECK;

/* Frees what it owns; a zeroed one is fine. */
void challenge_done(struct challenge *c);

/*
 * Whether the credentials for `host` may be sent to the host of a realm, both without port: to
 * itself, and to hosts of the domain that it is in (registry.example.org: example.org and all
 * below).
 */
bool challenge_realm_is_near(const char *host, const char *realm_host);
