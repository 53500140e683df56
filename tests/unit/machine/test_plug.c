/* SPDX-License-Identifier: Apache-2.0 */
/* What comes to a machine and goes again, in front of a monitor and an agent who answer as the test
 * wants, and when it wants. */
#include "../test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "machine/agent.h"
#include "machine/ask.h"
#include "machine/disk.h"
#include "machine/machine_impl.h"
#include "machine/plug.h"
#include "proto/message.h"
#include "proto/plan.h"

/* All that was asked and told, joined by '|'; and who waits for an answer. */
static struct buf seen;
static ask_fn *monitor_waits;
static isolation_reply *agent_waits;
static void *monitor_ctx, *agent_ctx;

void asker_ask(struct asker *a, const struct ask_request *request, ask_fn *fn, void *ctx)
{
	buf_printf(&seen, "%s+%zu|", request->text, request->n_fds);
	monitor_waits = fn;
	monitor_ctx = ctx;
}

static void agent_asked(const char *what, const struct machine_order *order, isolation_reply *reply,
			void *ctx)
{
	buf_printf(&seen, "%s %u %s %s|", what, order->slot, order->target,
		   order->serial ? order->serial : order->mac);
	agent_waits = reply;
	agent_ctx = ctx;
}

void agent_show_disk(struct agent *agent, struct machine_order *order, isolation_reply *reply,
		     void *ctx)
{
	agent_asked("show", order, reply, ctx);
}

void agent_hide_disk(struct agent *agent, struct machine_order *order, isolation_reply *reply,
		     void *ctx)
{
	agent_asked("hide", order, reply, ctx);
}

void agent_show_interface(struct agent *agent, struct machine_order *order, isolation_reply *reply,
			  void *ctx)
{
	agent_asked("up", order, reply, ctx);
}

void agent_hide_interface(struct agent *agent, struct machine_order *order, isolation_reply *reply,
			  void *ctx)
{
	agent_asked("down", order, reply, ctx);
}

void agent_update(struct agent *agent, const struct plan_limits *limits, uint32_t cpus,
		  isolation_reply *reply, void *ctx)
{
	agent_waits = reply;
	agent_ctx = ctx;
}

/* No interface of the host is touched here. */
int disk_tap(const char *name, bool many_queues, struct err *err)
{
	return memfd_create(name, MFD_CLOEXEC);
}

/* What was seen since the last look. */
static const char *look(void)
{
	static char text[512];

	(void)snprintf(text, sizeof(text), "%s", seen.len ? seen.data : "");
	buf_done(&seen);
	return text;
}

static const struct err *failure_of(const char *why)
{
	static struct err failure;

	failure = ERR_INIT;
	if (why)
		(void)err_set(&failure, EIO, "%s", why);
	return why ? &failure : NULL;
}

static const char *monitor_says(const char *why, const char *answer)
{
	monitor_waits(monitor_ctx, failure_of(why), answer);
	return look();
}

static const char *agent_says(const char *why)
{
	agent_waits(agent_ctx, failure_of(why), NULL);
	return look();
}

static void told(void *ctx, const struct err *failure, const void *answer)
{
	buf_printf(&seen, "told %s|", failure ? failure->msg : "ok");
}

static struct isolation machine_make(void)
{
	static char somebody; /* nobody looks into it */

	return (struct isolation){.asker = (struct asker *)&somebody, .set_up = true};
}

static const char *add_disk(struct isolation *m)
{
	AUTO_CLOSE int fd = memfd_create("disk", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 4096) < 0)
		abort();
	plug_disk(m, &(struct isolation_disk){.fd = fd, .target = "/d", .readonly = true}, told,
		  NULL);
	return look();
}

static const char *remove_disk(struct isolation *m)
{
	plug_disk(m, &(struct isolation_disk){.fd = -1, .target = "/d"}, told, NULL);
	return look();
}

static const char *interface(struct isolation *m, const char *tap)
{
	plug_interface(m,
		       &(struct isolation_interface){.name = "eth1",
						     .tap = tap,
						     .address = "10.0.0.2/24",
						     .mac = "02:00:00:00:00:01"},
		       told, NULL);
	return look();
}

TEST(a_disk_comes_and_goes)
{
	AUTO(plug_done) struct isolation m = machine_make();

	EXPECT_STR(add_disk(&m), "disk plugged-0 ro 4096+1|");
	EXPECT_STR(monitor_says(NULL, "7"), "show 7 /d plugged-0|");
	EXPECT_STR(agent_says(NULL), "told ok|");
	EXPECT_STR(remove_disk(&m), "hide 7 /d plugged-0|");
	EXPECT_STR(agent_says(NULL), "unplug plugged-0+0|");
	EXPECT_STR(monitor_says(NULL, ""), "told ok|");
	EXPECT_STR(remove_disk(&m), "told no disk was added at '/d'|");
	EXPECT_STR(add_disk(&m), "disk plugged-1 ro 4096+1|");
}

TEST(an_interface_comes_and_goes)
{
	AUTO(plug_done) struct isolation m = machine_make();

	EXPECT_STR(interface(&m, "tap0"), "net 02:00:00:00:00:01+1|");
	EXPECT_STR(monitor_says(NULL, "9"), "up 9 eth1 02:00:00:00:00:01|");
	EXPECT_STR(agent_says(NULL), "told ok|");
	EXPECT_STR(interface(&m, NULL), "down 9 eth1 02:00:00:00:00:01|");
	EXPECT_STR(agent_says(NULL), "unplug 9+0|");
	EXPECT_STR(monitor_says(NULL, ""), "told ok|");
	EXPECT_STR(interface(&m, NULL), "told nobody added an interface 'eth1'|");
}

TEST(an_interface_has_its_limits_before_anybody_inside_can_use_it)
{
	AUTO(plug_done) struct isolation m = machine_make();

	m.net_rates[RATES_READ] = 1000;
	m.net_rates[RATES_WRITE] = 2000;
	(void)interface(&m, "tap0");
	EXPECT_STR(monitor_says(NULL, "9"), "limit 9 read 1000 -+0|");
	EXPECT_STR(monitor_says(NULL, ""), "limit 9 write 2000 -+0|");
	EXPECT_STR(monitor_says(NULL, ""), "up 9 eth1 02:00:00:00:00:01|");
	EXPECT_STR(agent_says(NULL), "told ok|");
	(void)add_disk(&m);
	EXPECT_STR(monitor_says(NULL, "7"), "show 7 /d plugged-0|");
}

TEST(an_interface_that_cannot_be_limited_goes_again)
{
	AUTO(plug_done) struct isolation m = machine_make();

	m.net_rates[RATES_WRITE] = 2000;
	(void)interface(&m, "tap0");
	EXPECT_STR(monitor_says(NULL, "9"), "limit 9 write 2000 -+0|");
	EXPECT_STR(monitor_says("no such limit", NULL), "unplug 9+0|");
	EXPECT_STR(monitor_says(NULL, ""), "told no such limit|");
	EXPECT(!m.plugged);
}

static const char *update(struct isolation *m, uint64_t ingress, uint64_t egress)
{
	plug_update(m, &(struct plan_limits){.net_ingress = ingress, .net_egress = egress}, 0, told,
		    NULL);
	return look();
}

TEST(every_interface_is_limited_each_way_that_was_asked_for)
{
	char tap[] = "tap";
	const struct plan plan = {.machine = {.tap = tap}};
	AUTO(plug_done) struct isolation m = machine_make();

	m.plan = &plan;
	(void)interface(&m, "tap0");
	(void)monitor_says(NULL, "0"); /* a slot like any other */
	(void)agent_says(NULL);
	(void)add_disk(&m);
	(void)monitor_says(NULL, "7");
	(void)agent_says(NULL);
	EXPECT_STR(update(&m, 1000, 0), "");
	EXPECT_STR(agent_says(NULL), "limit net read 1000 -+0|");
	EXPECT_STR(monitor_says(NULL, ""), "limit 0 read 1000 -+0|");
	EXPECT_STR(monitor_says(NULL, ""), "told ok|");
	EXPECT_STR(update(&m, UINT64_MAX, 500), "");
	EXPECT_STR(agent_says(NULL), "limit net read 0 -+0|");
	EXPECT_STR(monitor_says(NULL, ""), "limit net write 500 -+0|");
	EXPECT_STR(monitor_says(NULL, ""), "limit 0 read 0 -+0|");
	EXPECT_STR(monitor_says(NULL, ""), "limit 0 write 500 -+0|");
	EXPECT_STR(monitor_says(NULL, ""), "told ok|");
	EXPECT_EQ(m.net_rates[RATES_READ], 0);
	EXPECT_EQ(m.net_rates[RATES_WRITE], 500);
}

TEST(a_limit_that_is_refused_is_none_for_what_comes_later)
{
	char tap[] = "tap";
	const struct plan plan = {.machine = {.tap = tap}};
	AUTO(plug_done) struct isolation m = machine_make();

	m.plan = &plan;
	m.net_rates[RATES_READ] = 7;
	(void)update(&m, 1000, 1000);
	(void)agent_says(NULL);
	EXPECT_STR(monitor_says("no", NULL), "told no|");
	EXPECT_EQ(m.net_rates[RATES_READ], 7);
	EXPECT_EQ(m.net_rates[RATES_WRITE], 0);
	(void)update(&m, 1000, 0);
	EXPECT_STR(agent_says("not now"), "told not now|");
	EXPECT_EQ(m.net_rates[RATES_READ], 7);
}

TEST(an_interface_that_goes_meanwhile_does_not_spoil_the_limits_of_the_others)
{
	char tap[] = "tap";
	const struct plan plan = {.machine = {.tap = tap}};
	AUTO(plug_done) struct isolation m = machine_make();

	m.plan = &plan;
	(void)interface(&m, "tap0");
	(void)monitor_says(NULL, "9");
	(void)agent_says(NULL);
	(void)update(&m, 1000, 0);
	(void)agent_says(NULL);
	EXPECT_STR(monitor_says(NULL, ""), "limit 9 read 1000 -+0|");
	ask_fn *limit = monitor_waits;
	void *ctx = monitor_ctx;
	(void)interface(&m, NULL);
	(void)agent_says(NULL);
	EXPECT_STR(monitor_says(NULL, ""), "told ok|"); /* unplugged */
	limit(ctx, failure_of("no device '9'"), NULL);
	EXPECT_STR(look(), "told ok|");
	EXPECT_EQ(m.net_rates[RATES_READ], 1000);
}

TEST(what_the_monitor_refuses_never_came)
{
	AUTO(plug_done) struct isolation m = machine_make();

	(void)add_disk(&m);
	EXPECT_STR(monitor_says("no place", NULL), "told no place|");
	EXPECT(!m.plugged);
	(void)interface(&m, "tap0");
	EXPECT_STR(monitor_says(NULL, "33"), "told the monitor's answer: 33 is outside 0 to 32|");
	EXPECT(!m.plugged);
}

TEST(what_the_agent_cannot_show_goes_again_and_the_first_reason_is_told)
{
	AUTO(plug_done) struct isolation m = machine_make();

	(void)add_disk(&m);
	(void)monitor_says(NULL, "7");
	EXPECT_STR(agent_says("no file system"), "unplug plugged-0+0|");
	EXPECT_STR(monitor_says("still in use", NULL), "told no file system|");
	EXPECT(!m.plugged);
}

TEST(what_cannot_go_stays_and_may_be_tried_again)
{
	AUTO(plug_done) struct isolation m = machine_make();

	(void)interface(&m, "tap0");
	(void)monitor_says(NULL, "9");
	(void)agent_says(NULL);
	(void)interface(&m, NULL);
	EXPECT_STR(agent_says("busy"), "told busy|");
	(void)interface(&m, NULL);
	EXPECT_STR(agent_says(NULL), "unplug 9+0|");
	EXPECT_STR(monitor_says("not yet", NULL), "told not yet|");
	(void)interface(&m, NULL);
	(void)agent_says(NULL);
	EXPECT_STR(monitor_says(NULL, ""), "told ok|");
}

TEST(one_thing_at_a_time_happens_to_one_place)
{
	AUTO(plug_done) struct isolation m = machine_make();

	(void)add_disk(&m);
	EXPECT_STR(add_disk(&m), "told there is a disk at '/d'|");
	EXPECT_STR(remove_disk(&m), "told a disk is on its way at '/d'|");
	EXPECT_STR(interface(&m, "tap0"), "net 02:00:00:00:00:01+1|");
	EXPECT_STR(interface(&m, "tap0"), "told there is an interface 'eth1'|");
	EXPECT_STR(interface(&m, NULL), "told on its way is interface 'eth1'|");
}

TEST(a_machine_that_does_not_run_or_cannot_gets_nothing)
{
	AUTO(plug_done) struct isolation m = machine_make();

	m.over = true;
	EXPECT_STR(add_disk(&m), "told the machine does not run|");
	m.asker = NULL;
	EXPECT_STR(add_disk(&m), "told disks are added by hull-monitor, which needs KVM|");
	EXPECT_STR(interface(&m, "tap0"),
		   "told interfaces are added by hull-monitor, which needs KVM|");
}
