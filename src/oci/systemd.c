/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/systemd.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "base/err.h"
#include "oci/unit.h"

enum { JOB_SECONDS = 30 };

static const char service[] = "org.freedesktop.systemd1";
static const char manager_path[] = "/org/freedesktop/systemd1";
static const char manager[] = "org.freedesktop.systemd1.Manager";

/* What is used of libsystemd. */
struct library {
	void *handle;
	__typeof__(sd_bus_open_system) *open_system;
	__typeof__(sd_bus_open_user) *open_user;
	__typeof__(sd_bus_new) *new;
	__typeof__(sd_bus_set_address) *set_address;
	__typeof__(sd_bus_start) *start;
	__typeof__(sd_bus_flush_close_unref) *close;
	__typeof__(sd_bus_get_property_string) *get_string;
	__typeof__(sd_bus_match_signal) *match_signal;
	__typeof__(sd_bus_slot_unref) *slot_unref;
	__typeof__(sd_bus_process) *process;
	__typeof__(sd_bus_wait) *wait;
	__typeof__(sd_bus_call) *call;
	__typeof__(sd_bus_call_method) *call_method;
	__typeof__(sd_bus_error_free) *error_free;
	__typeof__(sd_bus_message_new_method_call) *message_new;
	__typeof__(sd_bus_message_unref) *message_unref;
	__typeof__(sd_bus_message_append) *append;
	__typeof__(sd_bus_message_append_basic) *append_basic;
	__typeof__(sd_bus_message_open_container) *open_container;
	__typeof__(sd_bus_message_close_container) *close_container;
	__typeof__(sd_bus_message_read) *read;
};

#define SYMBOL(member, name)                                                                       \
	{                                                                                          \
		offsetof(struct library, member), "sd_bus_" name                                   \
	}

static const struct {
	size_t offset;
	const char *name;
} symbols[] = {
	SYMBOL(open_system, "open_system"),
	SYMBOL(open_user, "open_user"),
	SYMBOL(new, "new"),
	SYMBOL(set_address, "set_address"),
	SYMBOL(start, "start"),
	SYMBOL(close, "flush_close_unref"),
	SYMBOL(get_string, "get_property_string"),
	SYMBOL(match_signal, "match_signal"),
	SYMBOL(slot_unref, "slot_unref"),
	SYMBOL(process, "process"),
	SYMBOL(wait, "wait"),
	SYMBOL(call, "call"),
	SYMBOL(call_method, "call_method"),
	SYMBOL(error_free, "error_free"),
	SYMBOL(message_new, "message_new_method_call"),
	SYMBOL(message_unref, "message_unref"),
	SYMBOL(append, "message_append"),
	SYMBOL(append_basic, "message_append_basic"),
	SYMBOL(open_container, "message_open_container"),
	SYMBOL(close_container, "message_close_container"),
	SYMBOL(read, "message_read"),
};

struct systemd {
	struct library lib;
	sd_bus *bus;
};

DEFINE_AUTO(struct systemd, systemd_close)

/* One call, its answer and its failure. */
struct exchange {
	const struct library *lib;
	sd_bus_message *call, *answer;
	sd_bus_error error;
};

static void exchange_done(struct exchange *x)
{
	(void)x->lib->message_unref(x->call);
	(void)x->lib->message_unref(x->answer);
	x->lib->error_free(&x->error);
}

#define AUTO_EXCHANGE AUTO(exchange_done)

static int load(struct library *lib, struct err *err)
{
	lib->handle = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!lib->handle)
		return err_set(err, ENOTSUP, "cannot load libsystemd: %s", dlerror());
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *symbol = dlsym(lib->handle, symbols[i].name);
		if (!symbol)
			return err_set(err, ENOTSUP, "libsystemd has no %s", symbols[i].name);
		memcpy((char *)lib + symbols[i].offset, &symbol, sizeof(symbol));
	}
	return 0;
}

/* The manager's own socket, for root, as systemctl uses it: a broker in between would see each
 * message twice. Where it is not (a mount namespace that has the bus alone), the bus is. */
static int open_system(struct systemd *sd)
{
	int r = sd->lib.new(&sd->bus);

	if (r >= 0)
		r = sd->lib.set_address(sd->bus, "unix:path=/run/systemd/private");
	if (r >= 0)
		r = sd->lib.start(sd->bus);
	if (r >= 0)
		return r;
	if (sd->bus)
		(void)sd->lib.close(sd->bus);
	sd->bus = NULL;
	return sd->lib.open_system(&sd->bus);
}

int systemd_open(struct systemd **ret, bool user, struct err *err)
{
	AUTO(auto_systemd_close) struct systemd *sd = calloc(1, sizeof(*sd));
	if (!sd)
		return err_set(err, ENOMEM, "out of memory");
	int r = load(&sd->lib, err);
	if (r < 0)
		return r;
	r = user ? sd->lib.open_user(&sd->bus) : open_system(sd);
	if (r < 0)
		return err_set(err, -r, "cannot reach %s: %s",
			       user ? "the user's systemd" : "systemd", strerror(-r));
	*ret = TAKE_PTR(sd);
	return 0;
}

void systemd_close(struct systemd *sd)
{
	if (!sd)
		return;
	if (sd->bus)
		(void)sd->lib.close(sd->bus);
	if (sd->lib.handle)
		(void)dlclose(sd->lib.handle);
	free(sd);
}

static int told(const char *what, int r, const sd_bus_error *error, struct err *err)
{
	return err_set(err, -r, "systemd: %s: %s", what,
		       error->message ? error->message : strerror(-r));
}

int systemd_root(struct systemd *sd, char **ret, struct err *err)
{
	AUTO_EXCHANGE struct exchange x = {.lib = &sd->lib};
	int r = sd->lib.get_string(sd->bus, service, manager_path, manager, "ControlGroup",
				   &x.error, ret);

	return r < 0 ? told("ask for its cgroup", r, &x.error, err) : 0;
}

/* --- properties as a message --- */

static int append_item(const struct library *lib, sd_bus_message *m, char type,
		       const struct unit_item *item)
{
	union {
		uint8_t u8;
		uint16_t u16;
		uint32_t u32;
		uint64_t u64;
		int truth;
	} as;

	switch (type) {
	case 's':
	case 'o':
		return lib->append_basic(m, type, item->text ? item->text : "");
	case 'b':
		as.truth = item->number != 0;
		break;
	case 'y':
		as.u8 = (uint8_t)item->number;
		break;
	case 'n':
	case 'q':
		as.u16 = (uint16_t)item->number;
		break;
	case 'i':
	case 'u':
		as.u32 = (uint32_t)item->number;
		break;
	default: /* x, t */
		as.u64 = item->number;
		break;
	}
	return lib->append_basic(m, type, &as);
}

/* Pairs of texts. */
static int append_pairs(const struct library *lib, sd_bus_message *m, const struct unit_property *p)
{
	const struct unit_item *item = p->items.items;
	int r = lib->open_container(m, 'a', "(ss)");

	for (size_t i = 0; r >= 0 && i + 1 < p->items.n; i += 2)
		r = lib->append(m, "(ss)", item[i].text, item[i + 1].text);
	return r < 0 ? r : lib->close_container(m);
}

static int append_value(const struct library *lib, sd_bus_message *m, const struct unit_property *p)
{
	const struct unit_item *item = p->items.items;
	bool is_array = p->type[0] == 'a';

	if (strcmp(p->type, "a(ss)") == 0)
		return append_pairs(lib, m, p);
	int r = is_array ? lib->open_container(m, 'a', p->type + 1) : 0;
	for (size_t i = 0; r >= 0 && i < p->items.n; i++)
		r = append_item(lib, m, p->type[is_array], &item[i]);
	return r < 0 || !is_array ? r : lib->close_container(m);
}

/* a(sv) */
static int append_unit(const struct library *lib, sd_bus_message *m, const struct unit *unit)
{
	const struct unit_property *p = unit->properties.items;
	int r = lib->open_container(m, 'a', "(sv)");

	for (size_t i = 0; r >= 0 && i < unit->properties.n; i++) {
		r = lib->open_container(m, 'r', "sv");
		if (r >= 0)
			r = lib->append_basic(m, 's', p[i].name);
		if (r >= 0)
			r = lib->open_container(m, 'v', p[i].type);
		if (r >= 0)
			r = append_value(lib, m, &p[i]);
		if (r >= 0)
			r = lib->close_container(m);
		if (r >= 0)
			r = lib->close_container(m);
	}
	return r < 0 ? r : lib->close_container(m);
}

/* --- jobs --- */

struct job {
	const struct library *lib;
	const char *path; /* borrowed */
	bool over;
	char result[32];
};

static int job_removed(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
	struct job *job = ctx;
	uint32_t id;
	const char *path;
	const char *unit;
	const char *result;

	if (job->lib->read(m, "uoss", &id, &path, &unit, &result) < 0)
		return 0; /* not for us to judge */
	if (job->path && strcmp(path, job->path) == 0) {
		job->over = true;
		(void)strncat(job->result, result, sizeof(job->result) - 1);
	}
	return 0;
}

static int wait_for(struct systemd *sd, struct job *job, const char *name, struct err *err)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	time_t end = now.tv_sec + JOB_SECONDS;

	while (!job->over) {
		int r = sd->lib.process(sd->bus, NULL);
		if (r == 0)
			r = sd->lib.wait(sd->bus, 1000000);
		if (r < 0)
			return err_set(err, -r, "systemd: wait for '%s': %s", name, strerror(-r));
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end)
			return err_set(err, ETIMEDOUT, "systemd: '%s' is not done after %d s", name,
				       JOB_SECONDS);
	}
	if (strcmp(job->result, "done") != 0)
		return err_set(err, EIO, "systemd: the job of '%s' is '%s'", name, job->result);
	return 0;
}

/* Sends x->call, and waits for the job that it answers with. */
static int carry_out(struct systemd *sd, struct exchange *x, const char *name, struct err *err)
{
	struct job job = {.lib = &sd->lib};
	sd_bus_slot *slot = NULL;

	int r = sd->lib.match_signal(sd->bus, &slot, service, manager_path, manager, "JobRemoved",
				     job_removed, &job);
	if (r >= 0)
		r = sd->lib.call(sd->bus, x->call, 0, &x->error, &x->answer);
	if (r >= 0)
		r = sd->lib.read(x->answer, "o", &job.path);
	r = r < 0 ? told(name, r, &x->error, err) : wait_for(sd, &job, name, err);
	(void)sd->lib.slot_unref(slot);
	return r;
}

static void forget_failed(struct systemd *sd, const char *name)
{
	AUTO_EXCHANGE struct exchange x = {.lib = &sd->lib};

	/* that there is nothing to forget is what one hopes for */
	(void)sd->lib.call_method(sd->bus, service, manager_path, manager, "ResetFailedUnit",
				  &x.error, NULL, "s", name);
}

static bool is_error(const struct exchange *x, const char *name)
{
	const char *own = x->error.name;

	return own && strncmp(own, service, sizeof(service) - 1) == 0 &&
	       own[sizeof(service) - 1] == '.' && strcmp(own + sizeof(service), name) == 0;
}

static int start_once(struct systemd *sd, struct exchange *x, const char *name,
		      const struct unit *unit, struct err *err)
{
	int r = sd->lib.message_new(sd->bus, &x->call, service, manager_path, manager,
				    "StartTransientUnit");

	if (r >= 0)
		r = sd->lib.append(x->call, "ss", name, "fail");
	if (r >= 0)
		r = append_unit(&sd->lib, x->call, unit);
	if (r >= 0)
		r = sd->lib.append(x->call, "a(sa(sv))", 0);
	return r < 0 ? told(name, r, &x->error, err) : carry_out(sd, x, name, err);
}

int systemd_start(struct systemd *sd, const char *name, const struct unit *unit, struct err *err)
{
	AUTO_EXCHANGE struct exchange first = {.lib = &sd->lib};
	AUTO_EXCHANGE struct exchange again = {.lib = &sd->lib};
	struct err failure = ERR_INIT;
	int r = start_once(sd, &first, name, unit, &failure);

	if (r < 0 && is_error(&first, "UnitExists")) {
		forget_failed(sd, name);
		return start_once(sd, &again, name, unit, err);
	}
	return r < 0 ? err_set(err, failure.code, "%s", failure.msg) : 0;
}

int systemd_set(struct systemd *sd, const char *name, const struct unit *unit, struct err *err)
{
	AUTO_EXCHANGE struct exchange x = {.lib = &sd->lib};
	int r = sd->lib.message_new(sd->bus, &x.call, service, manager_path, manager,
				    "SetUnitProperties");

	if (r >= 0)
		r = sd->lib.append(x.call, "sb", name, 1);
	if (r >= 0)
		r = append_unit(&sd->lib, x.call, unit);
	if (r >= 0)
		r = sd->lib.call(sd->bus, x.call, 0, &x.error, &x.answer);
	return r < 0 ? told(name, r, &x.error, err) : 0;
}

int systemd_stop(struct systemd *sd, const char *name, struct err *err)
{
	AUTO_EXCHANGE struct exchange x = {.lib = &sd->lib};
	struct err failure = ERR_INIT;
	int r = sd->lib.message_new(sd->bus, &x.call, service, manager_path, manager, "StopUnit");

	if (r >= 0)
		r = sd->lib.append(x.call, "ss", name, "replace");
	r = r < 0 ? told(name, r, &x.error, &failure) : carry_out(sd, &x, name, &failure);
	if (r < 0)
		return is_error(&x, "NoSuchUnit") ? 0
						  : err_set(err, failure.code, "%s", failure.msg);
	forget_failed(sd, name);
	return 0;
}
