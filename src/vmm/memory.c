/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory the machine has, asked and changed while it runs: what goes beyond what it was
 * started with is plugged in, what is to be less than that is kept in the balloon. */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/str.h"
#include "vmm/vmm_impl.h"

static void set(struct vmm *m, uint64_t bytes)
{
	uint64_t own = m->config->memory;

	balloon_ask(&m->balloon, bytes < own ? own - bytes : 0);
	if (m->hotmem.v.ops)
		hotmem_ask(&m->hotmem, bytes > own ? bytes - own : 0);
}

static uint64_t now(struct vmm *m)
{
	uint64_t own = m->config->memory, held = balloon_holds(&m->balloon);

	own -= held < own ? held : own; /* a guest's word */
	return own + (m->hotmem.v.ops ? hotmem_plugged(&m->hotmem) : 0);
}

int memory_answer(void *ctx, struct control_call *call, struct err *err)
{
	struct vmm *m = ctx;
	uint64_t max = m->config->memory_max ? m->config->memory_max : m->config->memory;
	int64_t bytes;

	if (call->n_fds > 0)
		return err_set(err, EINVAL, "'memory' takes no descriptors");
	if (call->args[0]) {
		int r = parse_int(call->args, 1, INT64_MAX, "memory", &bytes, err);
		if (r < 0)
			return r;
		if ((uint64_t)bytes > max)
			return err_set(err, ERANGE, "the machine has room for %" PRIu64 " bytes",
				       max);
		set(m, (uint64_t)bytes);
	}
	control_say(call, "%" PRIu64, now(m));
	return 0;
}
