/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/rules.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "spec/rules_impl.h"
#include "spec/spec.h"

int rules_new(uint32_t default_action, struct rules **ret, struct err *err)
{
	AUTO(auto_rules_free) struct rules *rules = calloc(1, sizeof(*rules));
	if (!rules)
		return err_set(err, ENOMEM, "out of memory");
	rules->default_action = default_action;
	for (size_t a = 0; a < rules_n_abis; a++) {
		uint32_t last = 0;
		for (size_t i = 0; i < rules_abis[a].n; i++) {
			uint32_t number = rules_abis[a].calls[i].number;
			last = number > last ? number : last;
		}
		rules->n_calls[a] = last + 1;
		rules->calls[a] = calloc(last + 1, sizeof(*rules->calls[a]));
		if (!rules->calls[a])
			return err_set(err, ENOMEM, "out of memory");
	}
	*ret = TAKE_PTR(rules);
	return 0;
}

void rules_free(struct rules *rules)
{
	if (!rules)
		return;
	for (size_t a = 0; a < ABIS_MAX; a++) {
		for (size_t i = 0; rules->calls[a] && i < rules->n_calls[a]; i++)
			free(rules->calls[a][i].rules);
		free(rules->calls[a]);
	}
	free(rules);
}

static int compare_call(const void *name, const void *call)
{
	return strcmp(name, ((const struct call *)call)->name);
}

static int add_to(struct call_rules *to, const struct rule *rule, struct err *err)
{
	struct rule *more = reallocarray(to->rules, to->n + 1, sizeof(*more));

	if (!more)
		return err_set(err, ENOMEM, "out of memory");
	to->rules = more;
	to->rules[to->n++] = *rule;
	return 0;
}

int rules_add(struct rules *rules, const char *name, const struct rule *rule, struct err *err)
{
	for (size_t a = 0; a < rules_n_abis; a++) {
		const struct abi *abi = &rules_abis[a];
		const struct call *call = bsearch(name, abi->calls, abi->n, sizeof(*abi->calls),
						  compare_call);
		int r = call ? add_to(&rules->calls[a][call->number], rule, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int seccomp_compile(const struct seccomp_config *config, struct bytes *ret, struct err *err)
{
	AUTO(auto_rules_free) struct rules *rules = NULL;
	int r;

	if (config->profile) {
		r = rules_read(config->profile, config->caps, &rules, err);
	} else {
		r = rules_new(SECCOMP_RET_ERRNO | EPERM, &rules, err);
		if (r == 0)
			r = rules_default(rules, config->caps, err);
	}
	return r < 0 ? r : rules_program(rules, ret, err);
}
