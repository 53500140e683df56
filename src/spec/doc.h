/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a JSON document by tables: which key goes into which member of a struct, which word means
 * which number. Every failure names its field from the top, by doc_in() on the way out
 * ("mounts[3].options: ..."). null and, for texts, "" count as absent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct json_object;
struct spec_config;

/* Puts a field before the message of a recorded failure: "field.message", or "field[0]...";
 * returns -code. Memory that ran out has no field. */
int doc_in(struct err *err, const char *fmt, ...) HULL_PRINTF(2, 3);

/* The failure as one line: what a document smuggled into it (line ends, escapes) becomes '?'.
 * Returns -code. */
int doc_fail(struct err *err);

/* A warning, to config->say if there is one; the same cleaning. */
void doc_say(const struct spec_config *config, const char *fmt, ...) HULL_PRINTF(2, 3);

enum doc_kind {
	DOC_TEXT, /* char *; a copy, owned by the struct */
	DOC_PATH, /* the same; absolute */
	DOC_CPUS, /* the same; a list as of cpuset: "0-3,7" */
	DOC_BOOL, /* bool */
	DOC_U32, /* uint32_t */
	DOC_U64, /* uint64_t */
	DOC_LIMIT, /* uint64_t; -1 in the document: UINT64_MAX */
};

/* A key and the member it goes to. */
struct doc_field {
	const char *key;
	enum doc_kind kind;
	size_t at; /* offsetof */
	uint64_t max; /* of a number; 0: what its type holds */
	size_t has; /* offsetof a bool that is set when the key is there; 0: none */
};

/* Reads the n keys of a table into the struct `to`; absent ones leave it as it is. */
int doc_fields(struct json_object *obj, const struct doc_field *fields, size_t n, void *to,
	       struct err *err) HULL_MUST_CHECK;

/* Single values, for what no table says; answers are those of json_get_*(). */
int doc_text(struct json_object *obj, const char *key, char **ret, struct err *err) HULL_MUST_CHECK;
int doc_path(struct json_object *obj, const char *key, char **ret, struct err *err) HULL_MUST_CHECK;
int doc_u32(struct json_object *obj, const char *key, uint32_t max, uint32_t *ret, struct err *err)
	HULL_MUST_CHECK;

struct doc_word {
	const char *name;
	uint64_t value;
};

/* The member `key` as one of n words: 1 and its value, 0 when absent. */
int doc_word(struct json_object *obj, const char *key, const struct doc_word *words, size_t n,
	     uint64_t *ret, struct err *err) HULL_MUST_CHECK;

/* A list of words, their values or-ed. */
int doc_bits(struct json_object *obj, const char *key, const struct doc_word *words, size_t n,
	     uint64_t *ret, struct err *err) HULL_MUST_CHECK;

/* Both arguments of a table at once. */
#define DOC_TABLE(table) (table), sizeof(table) / sizeof((table)[0])

/* Reads one object of a document into ctx. */
typedef int doc_fn(void *ctx, struct json_object *obj, struct err *err);

/* Hands the object that is member `key`, or each of the objects in the array, to fn. 0 also when it
 * is absent. */
int doc_object(struct json_object *obj, const char *key, doc_fn *fn, void *ctx, struct err *err)
	HULL_MUST_CHECK;
int doc_list(struct json_object *obj, const char *key, doc_fn *fn, void *ctx, struct err *err)
	HULL_MUST_CHECK;

/* A member of an object whose values are texts; its name is not empty. */
typedef int doc_text_fn(void *ctx, const char *name, const char *value, struct err *err);

/* Hands each member of the object `key` to fn. 0 also when it is absent. */
int doc_map(struct json_object *obj, const char *key, doc_text_fn *fn, void *ctx, struct err *err)
	HULL_MUST_CHECK;

/* The parts of an object that are objects or lists themselves, each with its reader. */
struct doc_part {
	const char *key;
	doc_fn *fn;
	bool list;
};

/* Reads those of n parts that are there, each by its reader with ctx. */
int doc_parts(struct json_object *obj, const struct doc_part *parts, size_t n, void *ctx,
	      struct err *err) HULL_MUST_CHECK;
