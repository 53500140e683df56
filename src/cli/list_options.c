/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/list_options.h"

#include "cli/output.h"

const struct option list_option_table[LIST_OPTION_COUNT] = {
	{"format", 0, OPTION_STRING, "FORMAT", "table, json, or a template like {{.ID}}",
	 offsetof(struct list_options, format)},
	{"filter", 'f', OPTION_LIST, "KEY=VALUE", "show only those that match",
	 offsetof(struct list_options, filters)},
	{"quiet", 'q', OPTION_FLAG, NULL, "print ids only", offsetof(struct list_options, quiet)},
	{"no-trunc", 0, OPTION_FLAG, NULL, "do not shorten anything",
	 offsetof(struct list_options, no_trunc)},
};
