/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Talking to one repository: where to ask, who we are, what went wrong. An exchange here is one
 * question with what it takes to have it answered: proving who we are, and following redirections.
 * Credentials go to the registry itself and to the realm it names, if that is near; see session.c.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "registry/http.h"
#include "registry/origin.h"
#include "registry/registry.h"

struct err;

enum { SESSION_ORIGINS = 8, SESSION_IDLE = 32 };

/* Shared by the threads of the program; members are owned. */
struct session {
	struct registry_config config;
	char *host; /* as it was named */
	bool write;
	struct origin origins[SESSION_ORIGINS]; /* mirrors first, the registry last */
	size_t n;
	pthread_mutex_t lock; /* of what changes in origins, and of idle */
	struct http *idle[SESSION_IDLE];
	size_t n_idle;
};

/* What a session is for; strings are borrowed for the call. */
struct session_target {
	const char *host, *repository; /* repository "": none, only who we are is of interest */
	bool any; /* see http_trust */
	bool write;
};

/* Reads the configuration and lays down where to ask; the caller releases *ret with session_done().
 * Nothing is sent yet. */
int session_init(const struct session_target *target, struct session *ret, struct err *err)
	HULL_MUST_CHECK;

/* Looks up who we are, everywhere: what that takes is not to be had later (confine.h). */
void session_know(struct session *s);

/* Frees what it owns. */
void session_done(struct session *s);

/* The registry itself. */
struct origin *session_home(struct session *s);

/*
 * Fills in q's url (PATH below the repository: "manifests/latest"; or an absolute URL), trust,
 * authorization and patience, and carries it out once. Any status but 401 and redirections may be
 * the answer; the caller releases *ret (zeroed) with http_response_done(), on failure too. A mirror
 * that cannot be reached, or is slow, is down from then on.
 */
int session_exchange(struct session *s, struct origin *o, const char *path, struct http_request *q,
		     struct http_response *ret, struct err *err) HULL_MUST_CHECK;

/* Whether an origin was found to be down: what is to be had is asked of the next. */
bool session_is_down(struct session *s, const struct origin *o);

/* How often something was tried. */
struct retry {
	unsigned int tries;
};

/*
 * Whether to try again after that answer (failed: or none), having waited for as long as it asks
 * to, or ever longer.
 */
bool retry_again(struct retry *retry, const struct http_response *r, bool failed);

/* session_exchange() with retry_again() for what may be asked twice. A mirror is asked once. */
int session_ask(struct session *s, struct origin *o, const char *path, struct http_request *q,
		struct http_response *ret, struct err *err) HULL_MUST_CHECK;

/* The error that an answer other than 2xx is: what was asked for, and what the registry says. */
int session_refused(const struct origin *o, const char *what, const struct http_response *r,
		    struct err *err);
