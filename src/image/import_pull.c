/* SPDX-License-Identifier: Apache-2.0 */
#include "image/import_pull.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/store.h"
#include "image/document.h"
#include "image/import_work.h"
#include "image/progress.h"
#include "image/sha256.h"

enum { NESTED_MAX = 4 };

void import_pull_done(struct import_pull *pull)
{
	for (size_t i = 0; i < pull->n; i++)
		partial_done(&pull->partials[i]);
	free(pull->partials);
	progress_free(pull->progress);
	signatures_done(&pull->signatures);
	import_pull_rules_done(pull);
	registry_close(pull->registry);
	pull->registry = NULL;
	pull->progress = NULL;
	pull->partials = NULL;
	pull->n = 0;
}

/* --- documents --- */

/* The manifest for the platform, in an index; its size has to be the announced one. */
static int choose(struct json_object *doc, const struct image_import *what, char ret_name[80],
		  uint64_t *ret_size, struct err *err)
{
	AUTO(oci_index_done) struct oci_index index = {0};
	AUTO(platform_done) struct platform platform = {0};
	const struct oci_descriptor *found = NULL;

	int r = oci_parse_index(doc, &index, err);
	if (r == 0)
		r = platform_parse(what->platform, &platform, err);
	if (r == 0)
		r = oci_select(&index, &platform, what->platform != NULL, NULL, &found, err);
	if (r < 0 || !found)
		return err_wrap(err, "index");
	if (found->size > IMAGE_JSON_MAX)
		return err_set(err, EFBIG,
			       "a manifest is announced with %" PRIu64 " bytes, at most %d",
			       found->size, IMAGE_JSON_MAX);
	(void)snprintf(ret_name, 80, "sha256:%s", found->digest);
	*ret_size = found->size;
	return 0;
}

/* From the name down to a manifest, which is left in *ret. */
static int find_manifest(struct import_pull *pull, const char *name,
			 const struct image_import *what, struct document *ret, struct err *err)
{
	uint64_t announced = 0;
	char next[80];

	for (int depth = 0; depth < NESTED_MAX; depth++) {
		AUTO(document_done) struct document d = DOCUMENT_INIT;
		AUTO(auto_json_free) struct json_object *doc = NULL;
		enum oci_kind kind = OCI_OTHER;
		int r = document_fetch(pull->registry, depth ? next : name, &d, err);
		if (r == 0 && depth && d.text.len != announced)
			r = err_set(err, EINVAL,
				    "manifest %s has %zu bytes, not the announced %" PRIu64, next,
				    d.text.len, announced);
		if (r == 0)
			r = json_parse(d.text.data ? d.text.data : "", d.text.len, IMAGE_JSON_MAX,
				       "manifest", &doc, err);
		if (r == 0)
			r = document_kind(&d, doc, &kind, err);
		if (r < 0)
			return r;
		if (kind == OCI_MANIFEST) {
			*ret = d;
			d = DOCUMENT_INIT;
			return 0;
		}
		r = choose(doc, what, next, &announced, err);
		if (r == 0) /* which may be what is signed */
			r = signatures_add_index(&pull->signatures, d.text.data, d.text.len, err);
		if (r < 0)
			return r;
	}
	return err_set(err, ELOOP, "an index in an index, %d deep", NESTED_MAX);
}

static int fetch_config(struct import_pull *pull, const struct oci_descriptor *d, struct buf *to,
			struct err *err)
{
	char question[REGISTRY_LINE], answer[REGISTRY_LINE], digest[DIGEST_HEX + 1];

	if (d->size > IMAGE_JSON_MAX)
		return err_set(err, EFBIG,
			       "the config is announced with %" PRIu64 " bytes, at most %d",
			       d->size, IMAGE_JSON_MAX);
	(void)snprintf(question, sizeof(question), "blob sha256:%s 0 %" PRIu64, d->digest, d->size);
	int r = registry_document(pull->registry, question, IMAGE_JSON_MAX, to, answer, err);
	if (r == 0)
		r = sha256_hex(to->data ? to->data : "", to->len, digest, err);
	if (r == 0 && strcmp(digest, d->digest) != 0)
		return err_set(err, EINVAL, "config sha256:%s has the digest %s", d->digest,
			       digest);
	return r;
}

int import_pull_open(struct import_pull *pull, const struct reference *ref, const char *name,
		     struct err *err)
{
	const struct registry_target target = {.host = ref->registry,
					       .repository = ref->repository,
					       .no_verify = pull->no_verify};

	int r = import_pull_rules(pull, name, err);
	return r == 0 ? registry_open(&target, &pull->registry, err) : r;
}

int import_pull_read(struct import_pull *pull, const struct reference *ref,
		     const struct image_import *what, struct import_spec *ret, struct err *err)
{
	AUTO(oci_manifest_done) struct oci_manifest manifest = {0};
	AUTO(document_done) struct document d = DOCUMENT_INIT;
	AUTO(import_spec_done) struct import_spec spec = {0};
	AUTO_BUF struct buf config = BUF_INIT;
	char by_digest[80];

	if (ref->digest)
		(void)snprintf(by_digest, sizeof(by_digest), "sha256:%s", ref->digest);
	int r = find_manifest(pull, ref->digest ? by_digest : ref->tag, what, &d, err);
	if (r == 0)
		r = import_parse_manifest(&d.text, &manifest, err);
	if (r == 0)
		r = fetch_config(pull, &manifest.config, &config, err);
	if (r < 0)
		return r;
	memcpy(spec.manifest_digest, d.digest, sizeof(spec.manifest_digest));
	r = import_fill(&spec, &manifest, &d.text, &config, what, err);
	if (r == 0) {
		*ret = spec;
		spec = (struct import_spec){0};
	}
	return r;
}

/* --- blobs --- */

/* A layer by its number, to be sorted by digest. */
struct turn {
	const char *digest;
	uint64_t size;
	size_t number;
};

static int by_digest(const void *a, const void *b)
{
	const struct turn *x = a;
	const struct turn *y = b;

	return strcmp(x->digest, y->digest);
}

static int lock_one(struct import_pull *pull, const struct turn *t, bool *said, struct err *err)
{
	struct partial *p = &pull->partials[t->number];
	int r = partial_open(pull->store, t->digest, false, p, err);

	if (r == PARTIAL_BUSY) {
		if (!pull->quiet && !*said)
			(void)fputs("waiting for another pull that fetches the same\n", stderr);
		*said = true;
		r = partial_open(pull->store, t->digest, true, p, err);
	}
	return r == 0 && p->have > t->size ? partial_clear(p, err) : r;
}

int import_pull_lock(struct import_pull *pull, const struct import_spec *spec,
		     const struct import_made *made, struct err *err)
{
	AUTO_FREE struct turn *turns = calloc(spec->n + 1, sizeof(*turns));
	bool said = false;
	size_t n = 0;
	int r = 0;

	pull->partials = calloc(spec->n + 1, sizeof(*pull->partials));
	if (!turns || !pull->partials)
		return err_set(err, ENOMEM, "out of memory");
	pull->n = spec->n;
	for (size_t i = 0; i < spec->n; i++) {
		pull->partials[i].fd = -1;
		if (!made[i].reused)
			turns[n++] = (struct turn){spec->layers[i].blob, spec->layers[i].size, i};
	}
	qsort(turns, n, sizeof(*turns), by_digest);
	for (size_t i = 0; r == 0 && i < n; i++) {
		/* An image may hold one layer twice: it is read by each for itself. */
		if (i == 0 || strcmp(turns[i - 1].digest, turns[i].digest) != 0)
			r = lock_one(pull, &turns[i], &said, err);
	}
	return r;
}

/* What is still to come, and whether there is room for it. */
int import_pull_begin(struct import_pull *pull, const struct import_spec *spec,
		      const struct import_made *made, struct err *err)
{
	uint64_t all = 0, missing = 0;
	struct statvfs fs;

	for (size_t i = 0; i < spec->n; i++) {
		uint64_t size = spec->layers[i].size;
		uint64_t have = pull->partials[i].fd < 0 ? 0 : pull->partials[i].have;
		all += made[i].reused ? 0 : size;
		missing += made[i].reused || have > size ? 0 : size - have;
	}
	if (fstatvfs(pull->store->root_fd, &fs) == 0 && missing / fs.f_frsize > fs.f_bavail)
		return err_set(err, ENOSPC,
			       "%" PRIu64 " bytes are to be fetched, more than the disk has left",
			       missing);
	int r = progress_new(pull->quiet, spec->n, all, &pull->progress, err);
	for (size_t i = 0; r == 0 && i < spec->n; i++) {
		if (made[i].reused)
			progress_part(pull->progress, i, spec->layers[i].size, "already there");
	}
	return r;
}

static int ask(struct pulled *p, struct err *err)
{
	char question[REGISTRY_LINE];

	(void)snprintf(question, sizeof(question), "blob sha256:%s %" PRIu64 " %" PRIu64,
		       p->layer->blob, p->at, p->layer->size);
	p->asked = true;
	return registry_ask(p->pull->registry, question, -1, &p->call, err);
}

/* The next of what comes, which is kept as well. */
static ssize_t read_new(struct pulled *p, void *bytes, size_t n, struct err *err)
{
	char answer[REGISTRY_LINE];

	int r = p->asked ? 0 : ask(p, err);
	if (r < 0)
		return r;
	ssize_t got = read_upto(p->call.data, bytes, n, "what hull-registry fetches", err);
	if (got <= 0)
		return got < 0 ? got : registry_answer(&p->call, answer, err);
	if (p->partial->fd < 0)
		return got;
	r = pwrite_all(p->partial->fd, bytes, (size_t)got, p->at, "a blob being fetched", err);
	write_behind(p->partial->fd, &p->behind, p->at + (uint64_t)got);
	return r < 0 ? r : got;
}

ssize_t import_pulled_read(void *ctx, void *bytes, size_t n, struct err *err)
{
	struct pulled *p = ctx;
	ssize_t got;

	if (p->ended || (p->at == p->layer->size && !p->asked))
		return 0;
	if (p->partial->fd >= 0 && p->at < p->partial->have) {
		uint64_t left = p->partial->have - p->at;
		got = pread(p->partial->fd, bytes, left < n ? (size_t)left : n, (off_t)p->at);
		if (got <= 0)
			return err_set(err, EIO, "a blob being fetched cannot be read back");
	} else {
		got = read_new(p, bytes, n, err);
	}
	p->broken = got < 0;
	p->ended = got == 0;
	if (got > 0) {
		p->at += (uint64_t)got;
		progress_add(p->pull->progress, (uint64_t)got);
	}
	return got;
}

void import_pulled_done(struct pulled *p)
{
	registry_call_done(&p->call);
}

void import_pull_forget(struct import_pull *pull)
{
	for (size_t i = 0; i < pull->n; i++)
		partial_remove(pull->store, &pull->partials[i]);
}
