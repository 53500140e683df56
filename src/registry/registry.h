/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door to registries. All HTTP is spoken by the program hull-registry, which is started here,
 * one for each registry talked to, and asked over a socket; what it fetches comes through pipes. It
 * knows nothing of the store, and nothing it hands over is believed: whoever asked checks digests
 * and sizes.
 *
 * A question is one packet, words separated by blanks, with one or two descriptors: the pipe for
 * the data (of a "get": to be written; of a "put": to be read) and the pipe for the answer, a line
 * "ok …" or "error ERRNO TEXT". Closing the socket ends the program and everything under way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct buf;
struct err;
struct registry; /* a running hull-registry */

enum { REGISTRY_LINE = 1024 }; /* longest question, longest answer */

/* Which repository of which registry; strings are borrowed for the call. */
struct registry_target {
	const char *host; /* as in an image's name: "docker.io", "127.0.0.1:5000" */
	const char *repository;
	bool no_verify; /* plain HTTP and unknown certificates will do (--tls-verify=false) */
	bool write; /* something will be pushed */
};

/* Starts the program for that repository; the caller closes. The variable HULL_REGISTRY_CREDS,
 * "USER:PASSWORD", is used instead of what is on file. */
int registry_open(const struct registry_target *target, struct registry **ret, struct err *err)
	HULL_MUST_CHECK;

/* Ends it; NULL is fine. */
void registry_close(struct registry *r);

/* A question under way. */
struct registry_call {
	int data; /* what was asked for comes here; -1: nothing does */
	int answer;
};

#define REGISTRY_CALL_INIT ((struct registry_call){.data = -1, .answer = -1})

/*
 * Asks, from any thread. `what` is one of
 *
 *	"manifest NAME MAX"              a tag or sha256:HEX; answers "ok MEDIA-TYPE DIGEST|-"
 *	"blob sha256:HEX OFFSET SIZE"    what is behind the first OFFSET bytes of SIZE
 *	"upload sha256:HEX SIZE FROM|-"  from `give`, a file; FROM is another repository that has
 *it; answers "ok there", "ok mounted", "ok sent" "put NAME MEDIA-TYPE"            a manifest, from
 *`give`; answers "ok DIGEST|- SUBJECT|-" "referrers sha256:HEX MAX"       the index of what refers
 *to it; answers as "manifest"
 *
 * give (borrowed) is -1 when nothing is given. The caller releases *ret with registry_call_done().
 */
int registry_ask(struct registry *r, const char *what, int give, struct registry_call *ret,
		 struct err *err) HULL_MUST_CHECK;

/* What follows "ok" in the answer, or its error; waits for it. All of the data must have been read.
 */
int registry_answer(struct registry_call *call, char ret[REGISTRY_LINE], struct err *err)
	HULL_MUST_CHECK;

/* Lets go of a question, answered or not. */
void registry_call_done(struct registry_call *call);

/* Asks for a document of at most max bytes, appends it to *to, and gives the answer. */
int registry_document(struct registry *r, const char *what, size_t max, struct buf *to,
		      char ret[REGISTRY_LINE], struct err *err) HULL_MUST_CHECK;

/* A file in memory that holds the text, to be given; the caller closes. */
int registry_text(const char *text, struct err *err) HULL_MUST_CHECK;

/*
 * Runs hull-registry for itself: its arguments (without the program's name), with the caller's
 * standard streams, to its end. Returns its exit status; it has said on standard error what failed.
 */
int registry_run(const struct strv *args, struct err *err) HULL_MUST_CHECK;

/*
 * /etc/hull/registries, or the file that HULL_REGISTRIES names: a line each, words separated by
 * blanks, "#" begins a comment. Lists hold two words joined by '=', or one.
 *
 *	search HOST             where names without a registry are; at most once
 *	alias NAME FULL-NAME    what one such name means
 *	mirror HOST PLACE       HOST[:PORT][/PREFIX] that is asked before HOST
 *	insecure HOST           plain HTTP and unknown certificates will do
 *	realm HOST OTHER        OTHER may be sent the credentials for HOST
 *	certs FOLDER            holds HOST/X.crt, X.cert and X.key, as /etc/hull/certs.d does
 *	patience SECONDS        for how long a transfer may be slower than 1 KiB/s (30)
 */
struct registry_config {
	char *search; /* NULL: none */
	struct strv aliases, mirrors, insecure, realms, certs;
	uint32_t patience_s;
};

/* Reads it; without a file everything is as if that was empty. The caller releases *ret with
 * registry_config_done(). */
int registry_config_load(struct registry_config *ret, struct err *err) HULL_MUST_CHECK;

/* Frees what it owns; a zeroed one is fine. */
void registry_config_done(struct registry_config *config);

DEFINE_AUTO(struct registry, registry_close)
