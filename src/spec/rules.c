/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/rules.h"

#include <errno.h>
#include <linux/audit.h>
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
	rules->abis = UINT32_MAX;
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
	if (rule->n == 0) {
		to->plain = to->has_plain ? to->plain : rule->action;
		to->has_plain = true;
		return 0;
	}
	struct rule *more = reallocarray(to->rules, to->n + 1, sizeof(*more));
	if (!more)
		return err_set(err, ENOMEM, "out of memory");
	to->rules = more;
	to->rules[to->n++] = *rule;
	return 0;
}

static const struct call *find_call(size_t a, const char *name)
{
	const struct abi *abi = &rules_abis[a];

	return bsearch(name, abi->calls, abi->n, sizeof(*abi->calls), compare_call);
}

bool rules_known(const char *name)
{
	bool known = rules_multiplexed(name);

	for (size_t a = 0; a < rules_n_abis; a++)
		known |= find_call(a, name) != NULL;
	return known;
}

static int add_by_name(struct rules *rules, size_t a, const char *name, const struct rule *rule,
		       struct err *err)
{
	const struct call *call = find_call(a, name);

	return call ? add_to(&rules->calls[a][call->number], rule, err) : 0;
}

static int add_multiplexed(struct rules *rules, size_t a, const char *name, const struct rule *rule,
			   struct err *err)
{
	const struct multiplexed *how = rules_multiplexed(name);
	struct rule other = {.action = rule->action, .n = 1};

	if (!how || rule->n > 0)
		return 0;
	other.conditions[0] = (struct condition){0, CMP_MASKED_EQ, how->mask, how->number};
	return add_by_name(rules, a, how->call, &other, err);
}

int rules_add(struct rules *rules, const char *name, const struct rule *rule, struct err *err)
{
	for (size_t a = 0; a < rules_n_abis; a++) {
		int r = add_by_name(rules, a, name, rule, err);
		if (r == 0 && rules_abis[a].audit_arch == AUDIT_ARCH_I386)
			r = add_multiplexed(rules, a, name, rule, err);
		if (r < 0)
			return r;
	}
	return 0;
}

void rules_close(struct rules *rules)
{
	rules->closed = true;
}

void rules_limit_abis(struct rules *rules, uint32_t abis)
{
	rules->abis = abis | 1;
}

static bool call_notifies(const struct call_rules *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->rules[i].action == SECCOMP_RET_USER_NOTIF)
			return true;
	}
	return c->has_plain && c->plain == SECCOMP_RET_USER_NOTIF;
}

bool rules_notify(const struct rules *rules)
{
	for (size_t a = 0; a < rules_n_abis; a++) {
		for (size_t i = 0; i < rules->n_calls[a]; i++) {
			if (call_notifies(&rules->calls[a][i]))
				return true;
		}
	}
	return false;
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
