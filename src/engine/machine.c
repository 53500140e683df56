/* SPDX-License-Identifier: Apache-2.0 */
/* Workloads seen as machines: what `hull machine` shows. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "engine/control_client.h"
#include "engine/internal.h"

static int read_plan(struct engine *e, const struct workload *w, struct plan *ret, struct err *err)
{
	if (!w->vm)
		return err_set(err, EINVAL, "'%s' is a container, no machine", w->name);
	return workload_read_plan(e, w->id, ret, err);
}

int workload_machine(struct engine *e, const struct workload *w, struct machine_facts *ret,
		     struct err *err)
{
	struct plan plan = {0};

	int r = read_plan(e, w, &plan, err);
	if (r == 0)
		*ret = (struct machine_facts){.driver = plan.machine.accel == ACCEL_KVM
								? "hull-monitor"
								: "qemu",
					      .memory = plan.machine.memory,
					      .cpus = plan.machine.cpus};
	record_done(&plan_record, &plan);
	return r;
}

static void put_hex(struct json_out *out, const char *key, uint64_t n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "0x%" PRIx64, n);
	json_put_str(out, key, text);
}

static void put_memory_map(struct json_out *out, const struct machine_report *report)
{
	const struct machine_range *ranges = report->ranges.items;

	json_begin_array(out, "MemoryMap");
	for (size_t i = 0; i < report->ranges.n; i++) {
		json_begin(out, NULL);
		put_hex(out, "Address", ranges[i].address);
		json_put_uint(out, "Size", ranges[i].size);
		json_end(out);
	}
	json_end_array(out);
}

static void put_devices(struct json_out *out, const struct machine_report *report)
{
	const struct machine_device *devices = report->devices.items;

	json_begin_array(out, "Devices");
	for (size_t i = 0; i < report->devices.n; i++) {
		const struct machine_device *d = &devices[i];
		json_begin(out, NULL);
		json_put_uint(out, "Slot", d->slot);
		json_put_str(out, "Kind", d->kind);
		json_put_str(out, "Serial", d->label ? d->label : "");
		put_hex(out, "FeaturesOffered", d->offered);
		put_hex(out, "FeaturesAgreed", d->agreed);
		json_put_uint(out, "Status", d->status);
		json_put_str(out, "Queues", d->queues);
		json_put_uint(out, "ReadyUs", d->ready_us);
		json_end(out);
	}
	json_end_array(out);
}

static void put_exits(struct json_out *out, const struct machine_report *report)
{
	json_begin(out, "Exits");
	json_put_uint(out, "Ports", report->exits_ports);
	json_put_uint(out, "Mmio", report->exits_mmio);
	json_put_uint(out, "Other", report->exits_other);
	json_end(out);
}

/* In the order of a boot; 0 is a phase that is not known. */
static void put_boot(struct json_out *out, const struct machine_report *report)
{
	json_begin(out, "Boot");
	json_put_uint(out, "MonitorStartedUs", report->started_us);
	json_put_uint(out, "GuestEnteredUs", report->entered_us);
	json_put_uint(out, "DriverReadyUs", report->driver_us);
	json_put_uint(out, "AgentHelloUs", report->hello_us);
	json_put_uint(out, "WorkloadReadyUs", report->ready_us);
	json_end(out);
}

static void put_report(struct json_out *out, const struct machine_report *report)
{
	json_put_uint(out, "Pid", report->pid);
	json_put_uint(out, "MonitorPss", report->monitor_pss);
	json_put_uint(out, "SharePss", report->share_pss);
	put_boot(out, report);
	put_exits(out, report);
	put_memory_map(out, report);
	put_devices(out, report);
}

static void put_machine(struct json_out *out, const struct workload *w, const struct plan *plan,
			const struct machine_report *report)
{
	const struct plan_machine *m = &plan->machine;

	json_begin(out, NULL);
	json_put_str(out, "Id", w->id);
	json_put_str(out, "Name", w->name);
	json_put_str(out, "State", workload_state_name(w));
	json_put_str(out, "Driver", m->accel == ACCEL_KVM ? "hull-monitor" : "qemu");
	json_put_str(out, "Kernel", m->kernel);
	json_put_uint(out, "Memory", m->memory);
	json_put_uint(out, "Cpus", report ? report->cpus : m->cpus);
	json_put_uint(out, "MaxCpus", report ? report->max_cpus : m->max_cpus);
	if (report)
		put_report(out, report);
	json_end(out);
}

int workload_machine_inspect(struct engine *e, struct workload *w, struct buf *to, struct err *err)
{
	const struct control_request q = {.verb = CONTROL_REPORT, .number = 1};
	struct json_out out = JSON_OUT(to, false);
	struct control_reply reply = {0};
	struct plan plan = {0};
	bool running = workload_is_running(w);

	int r = read_plan(e, w, &plan, err);
	AUTO_CLOSE int ctl = r == 0 && running ? keeper_connect(e, w, err) : -1;
	if (r == 0 && running)
		r = ctl < 0 ? ctl : control_ask(ctl, &q, NULL, 0, &reply, err);
	if (r == 0)
		put_machine(&out, w, &plan, running ? &reply.report : NULL);
	record_done(&control_reply_record, &reply);
	record_done(&plan_record, &plan);
	return r < 0 ? r : buf_check(to, err);
}
