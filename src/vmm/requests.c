/* SPDX-License-Identifier: Apache-2.0 */
/* The table of requests; each is carried out in a file of its own. */
#include "vmm/snapshot.h"
#include "vmm/vmm_impl.h"

const struct control_verb vmm_requests[] = {
	{"memory", memory_answer},
	{"report", report_answer},
	{"pause", pause_answer},
	{"resume", resume_answer},
	{"save", save_answer},
	{"disk", plug_disk},
	{"net", plug_net},
	{"unplug", plug_remove},
	{"size", plug_resize},
	{"limit", plug_limit},
	{NULL, NULL},
};
