/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an import reads from: a folder or file (or pipe) that was named by the user. If it is an OCI
 * layout or a docker-archive, its files are opened by name here; an archive is unpacked first, into
 * numbered files of the importer's own folder, so that no name of it is ever a name on the host.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct buf;
struct bundle;
struct err;

enum { BUNDLE_NAME = 24 };

enum bundle_kind {
	BUNDLE_OCI, /* oci-layout, index.json, blobs/ */
	BUNDLE_DOCKER, /* manifest.json and what it names */
	BUNDLE_TAR, /* the root itself, as a tar */
	BUNDLE_FOLDER, /* the root itself, as a folder */
};

/* Opens `path` ("-": standard input); the caller closes. */
int bundle_source(const char *path, struct err *err) HULL_MUST_CHECK;

/*
 * Finds out what an open source (taken, on failure too) is. path is what messages call it. work_fd
 * (borrowed until bundle_free()) is the importer's folder. The caller frees.
 */
int bundle_open(int source, const char *path, int work_fd, struct bundle **ret, struct err *err)
	HULL_MUST_CHECK;

/* NULL is fine. What was unpacked stays in the importer's folder. */
void bundle_free(struct bundle *b);

/* What it turned out to be. */
enum bundle_kind bundle_kind(const struct bundle *b);

/* The folder (BUNDLE_FOLDER), or the tar at its first byte (BUNDLE_TAR); borrowed. */
int bundle_root(const struct bundle *b);

/* When the file was last changed, for a root tar or folder: nanoseconds since the epoch. */
uint64_t bundle_time_ns(const struct bundle *b);

/*
 * Opens the regular file `name` of a layout or archive for reading; the caller closes. mine is the
 * name it was unpacked to in the importer's own folder, where nobody else changes it, or "". ENOENT
 * when it is not there.
 */
int bundle_file(const struct bundle *b, const char *name, uint64_t *ret_size,
		char mine[BUNDLE_NAME], struct err *err) HULL_MUST_CHECK;

/* Appends the whole file `name` to *to, at most max bytes. */
int bundle_read(const struct bundle *b, const char *name, uint64_t max, struct buf *to,
		struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct bundle, bundle_free)
