/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "proto/plan.h"

static const struct field item_fields[] = {
	FIELD(1, FIELD_U64, struct unit_item, number),
	FIELD(2, FIELD_STR, struct unit_item, text),
};
static const struct record unit_item_record = RECORD(unit_item, item_fields);

static const struct field property_fields[] = {
	FIELD(1, FIELD_STR, struct unit_property, name),
	FIELD(2, FIELD_STR, struct unit_property, type),
	FIELD_OF(3, FIELD_LIST, struct unit_property, items, &unit_item_record),
};
static const struct record unit_property_record = RECORD(unit_property, property_fields);

static const struct field unit_fields[] = {
	FIELD_OF(1, FIELD_LIST, struct unit, properties, &unit_property_record),
};
const struct record unit_record = RECORD(unit, unit_fields);

struct unit_property *unit_add(struct unit *unit, const char *name, const char *type,
			       struct err *err)
{
	struct unit_property *p = list_add(&unit->properties, &unit_property_record);

	if (p) {
		p->name = strdup(name);
		p->type = strdup(type);
	}
	if (!p || !p->name || !p->type) {
		(void)err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	return p;
}

int unit_add_item(struct unit_property *to, uint64_t number, const char *text, struct err *err)
{
	struct unit_item *item = list_add(&to->items, &unit_item_record);

	if (!item)
		return err_set(err, ENOMEM, "out of memory");
	item->number = number;
	if (text && !(item->text = strdup(text)))
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

int unit_put_number(struct unit *unit, const char *name, const char *type, uint64_t number,
		    struct err *err)
{
	struct unit_property *p = unit_add(unit, name, type, err);

	return p ? unit_add_item(p, number, NULL, err) : -err->code;
}

int unit_put_text(struct unit *unit, const char *name, const char *text, struct err *err)
{
	struct unit_property *p = unit_add(unit, name, "s", err);

	return p ? unit_add_item(p, 0, text, err) : -err->code;
}

/* "char-136", "block-*", "/dev/char/1:3": none of these need be there. */
static void device_name(const struct plan_device *d, char *to, size_t size)
{
	const char *kind = d->type == 'b' ? "block" : "char";

	if (d->major == UINT32_MAX)
		(void)snprintf(to, size, "%s-*", kind);
	else if (d->minor == UINT32_MAX)
		(void)snprintf(to, size, "%s-%u", kind, d->major);
	else
		(void)snprintf(to, size, "/dev/%s/%u:%u", kind, d->major, d->minor);
}

static int allow_device(struct unit_property *to, const struct plan_device *d, struct err *err)
{
	char name[64];

	device_name(d, name, sizeof(name));
	int r = unit_add_item(to, 0, name, err);
	return r < 0 ? r : unit_add_item(to, 0, d->access ? d->access : "rwm", err);
}

/* systemd knows no denial after an allowance: the rules behind the last one for all devices are
 * read, and of those the ones that allow. */
int unit_put_devices(struct unit *unit, const struct plan_limits *limits, struct err *err)
{
	const struct plan_device *d = limits->devices.items;
	size_t from = 0;

	for (size_t i = 0; i < limits->devices.n; i++) {
		if (d[i].type == 'a')
			from = i + 1;
	}
	bool all = from > 0 && !d[from - 1].deny;
	int r = unit_put_text(unit, "DevicePolicy", all ? "auto" : "strict", err);
	struct unit_property *allow = r < 0 ? NULL : unit_add(unit, "DeviceAllow", "a(ss)", err);
	if (!allow)
		return -err->code;
	for (size_t i = from; r == 0 && !all && i < limits->devices.n; i++) {
		bool is_node_only = d[i].access && !*d[i].access;
		if (!is_node_only && !d[i].deny && d[i].type != 'p')
			r = allow_device(allow, &d[i], err);
	}
	return r;
}
