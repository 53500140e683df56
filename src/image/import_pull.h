/* SPDX-License-Identifier: Apache-2.0 */
/* An import whose source is a registry: its documents, and its blobs while they come. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "image/import_spec.h"
#include "image/partial.h"
#include "image/policy.h"
#include "image/signature.h"
#include "registry/registry.h"

struct err;
struct import_made;
struct progress;
struct reference;
struct store;
struct trusted;

struct import_pull {
	const struct store *store; /* borrowed; set by the caller, before a spec is read */
	bool quiet; /* no progress is shown; set by the caller, as the next */
	bool no_verify; /* see registry_target */
	struct registry *registry; /* owned, as all below */
	struct progress *progress;
	struct policy policy; /* of the name, as the next */
	struct trusted *trusted; /* the keys of each of its requirements */
	struct signatures signatures; /* that the policy wanted to see, and indexes */
	struct partial *partials; /* one for each layer, fd -1 for those that need none */
	size_t n;
};

/* Does what takes rights that an importer gives up later: reads the policy for `name` and its keys,
 * and starts hull-registry for `ref`, which names a registry. The caller releases pull with
 * import_pull_done(), on failure too. */
int import_pull_open(struct import_pull *pull, const struct reference *ref, const char *name,
		     struct err *err) HULL_MUST_CHECK;

/* Fetches and checks the documents of the image. The caller releases *ret with import_spec_done().
 */
int import_pull_read(struct import_pull *pull, const struct reference *ref,
		     const struct image_import *what, struct import_spec *ret, struct err *err)
	HULL_MUST_CHECK;

/*
 * Refuses, before any layer is fetched, what the policy does not allow under `name`. The signatures
 * that it demands are fetched for that; import_pull_keep() keeps them for the image `id`, and is
 * called before that is recorded: no record, no use of them. import_pull_rules() reads the policy
 * for the name, before that.
 */
int import_pull_judge(struct import_pull *pull, const char *name, const struct import_spec *spec,
		      struct err *err) HULL_MUST_CHECK;
int import_pull_rules(struct import_pull *pull, const char *name, struct err *err) HULL_MUST_CHECK;
void import_pull_rules_done(struct import_pull *pull);
int import_pull_keep(const struct import_pull *pull, const char *id, struct err *err)
	HULL_MUST_CHECK;

/* Locks the blobs of all layers that are not `reused`, waiting for other pulls that fetch them:
 * what those have recorded may be reused then. */
int import_pull_lock(struct import_pull *pull, const struct import_spec *spec,
		     const struct import_made *made, struct err *err) HULL_MUST_CHECK;

/* Refuses what cannot fit on the disk, and begins to show how far it is. */
int import_pull_begin(struct import_pull *pull, const struct import_spec *spec,
		      const struct import_made *made, struct err *err) HULL_MUST_CHECK;

/* Layer i of a spec, being read: first what was kept of it, then what comes. */
struct pulled {
	struct import_pull *pull;
	const struct import_layer *layer;
	struct partial *partial;
	struct registry_call call;
	uint64_t at, behind; /* behind: up to where the kernel was asked to write */
	bool asked, ended;
	bool broken; /* it did not come: what is kept is still good */
};

#define PULLED(pull_, layer_, i_)                                                                  \
	((struct pulled){.pull = (pull_),                                                          \
			 .layer = (layer_),                                                        \
			 .partial = &(pull_)->partials[i_],                                        \
			 .call = REGISTRY_CALL_INIT})

/* A layer_read_fn; ctx is a struct pulled. */
ssize_t import_pulled_read(void *ctx, void *bytes, size_t n, struct err *err) HULL_MUST_CHECK;

/* Lets go of it. */
void import_pulled_done(struct pulled *p);

/* The image is recorded: nothing of it has to be kept for another attempt. */
void import_pull_forget(struct import_pull *pull);

/* Frees what pull owns; partial blobs stay. */
void import_pull_done(struct import_pull *pull);
