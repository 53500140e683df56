/* SPDX-License-Identifier: Apache-2.0 */
/* Meeting a registry's challenge (distribution's token specification, and basic authentication). */
#pragma once

#include "base/attr.h"

struct challenge;
struct err;
struct http;
struct origin;
struct registry_config;

/*
 * The value of the header Authorization that answers c, in *ret; the caller frees. scopes: what a
 * token is to be good for, words separated by blanks, "" for nothing. origin's creds are known by
 * now. EACCES when there are none and some are wanted, EPROTO for a realm that nothing may be sent
 * to.
 */
int token_get(struct http *h, const struct origin *o, const struct registry_config *config,
	      const struct challenge *c, const char *scopes, char **ret, struct err *err)
	HULL_MUST_CHECK;
