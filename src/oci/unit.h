/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What systemd is told of a container's unit, as data: a list of properties by name, each a value
 * with its D-Bus type. Who sends them is systemd.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "proto/record.h"

struct err;
struct plan_limits;
struct strv;

struct unit_item {
	uint64_t number; /* of all types but s and o; negative ones as int64_t */
	char *text;
};

struct unit_property {
	char *name;
	char *type; /* one of "sobynqiuxt", "a" and one of those, or "a(ss)" */
	struct list items; /* struct unit_item: one; an array's all; two for each "(ss)" */
};

/* The properties of one unit; {0} is none. Released with record_done(). */
struct unit {
	struct list properties; /* struct unit_property */
};
extern const struct record unit_record;

/* Appends a property without items yet; returns it (borrowed until the next append), or NULL with
 * err set when memory is out. */
struct unit_property *unit_add(struct unit *unit, const char *name, const char *type,
			       struct err *err) HULL_MUST_CHECK;

/* Appends an item; text is copied, or NULL. */
int unit_add_item(struct unit_property *to, uint64_t number, const char *text, struct err *err)
	HULL_MUST_CHECK;

/* A property of one item. */
int unit_put_number(struct unit *unit, const char *name, const char *type, uint64_t number,
		    struct err *err) HULL_MUST_CHECK;
int unit_put_text(struct unit *unit, const char *name, const char *text, struct err *err)
	HULL_MUST_CHECK;

/* The limits that are asked for and that systemd has a word for; what it has none for is written
 * to the cgroup alone. v2: as cgroup v2 has them. */
int unit_put_limits(struct unit *unit, const struct plan_limits *limits, bool v2, struct err *err)
	HULL_MUST_CHECK;

/* The device rules, as far as systemd can say them: on v1 it writes rules of its own whenever it
 * reads its units again, and without these would allow everything. */
int unit_put_devices(struct unit *unit, const struct plan_limits *limits, struct err *err)
	HULL_MUST_CHECK;

/* The annotations "org.systemd.property.NAME=VALUE", VALUE in the text form of GVariant: 'text',
 * true, 3, uint64 3, ['a', 'b'], @as []. NAME ending in "Sec" is seconds, for "…USec". */
int unit_put_annotations(struct unit *unit, const struct strv *annotations, struct err *err)
	HULL_MUST_CHECK;
