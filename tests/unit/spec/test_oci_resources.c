/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include <errno.h>

#define R(text) SPACES ",'resources':{" text "}"

TEST(limits_of_memory_and_processes)
{
	PLAN(plan, NULL, NULL,
	     R("'memory':{'limit':1048576,'reservation':7,'swap':-1,'kernel':8,'kernelTCP':9,"
	       "'swappiness':0,'disableOOMKiller':false,'useHierarchy':true,"
	       "'checkBeforeUpdate':true},'pids':{'limit':100}"));
	const struct plan_limits *l = &plan.limits;

	EXPECT_EQ(l->memory, 1048576);
	EXPECT_EQ(l->memory_reservation, 7);
	EXPECT(l->memory_swap == UINT64_MAX);
	EXPECT_EQ(l->memory_kernel, 8);
	EXPECT_EQ(l->memory_kernel_tcp, 9);
	EXPECT(l->has_swappiness && l->swappiness == 0);
	EXPECT(l->has_oom_disable && !l->oom_disable);
	EXPECT_EQ(l->pids, 100);
}

TEST(minus_one_is_no_limit_and_0_pids_is_silence)
{
	PLAN(none, NULL, NULL, R("'memory':{'limit':-1},'pids':{'limit':-1},'cpu':{'quota':-1}"));
	PLAN(zero, NULL, NULL, R("'pids':{'limit':0}"));

	EXPECT(none.limits.memory == UINT64_MAX);
	EXPECT(none.limits.pids == UINT64_MAX);
	EXPECT(none.limits.cpu_quota_us == UINT64_MAX);
	EXPECT_EQ(zero.limits.pids, 0);
	EXPECT(!zero.limits.has_swappiness && !zero.limits.has_oom_disable);
}

TEST(limits_of_processors)
{
	PLAN(plan, NULL, NULL,
	     R("'cpu':{'shares':512,'quota':50000,'period':100000,'burst':10000,"
	       "'realtimeRuntime':5,'realtimePeriod':6,'cpus':'0-1','mems':'0','idle':1}"));
	PLAN(least, NULL, NULL, R("'cpu':{'shares':1,'idle':0}"));
	const struct plan_limits *l = &plan.limits;

	EXPECT_EQ(l->cpu_shares, 512);
	EXPECT_EQ(l->cpu_quota_us, 50000);
	EXPECT_EQ(l->cpu_period_us, 100000);
	EXPECT_EQ(l->cpu_burst_us, 10000);
	EXPECT_EQ(l->cpu_rt_runtime_us, 5);
	EXPECT_EQ(l->cpu_rt_period_us, 6);
	EXPECT_STR(l->cpuset_cpus, "0-1");
	EXPECT_STR(l->cpuset_mems, "0");
	EXPECT(l->has_cpu_idle && l->cpu_idle == 1);
	EXPECT_EQ(least.limits.cpu_shares, 2);
	EXPECT(least.limits.has_cpu_idle && least.limits.cpu_idle == 0);
}

static bool has_blkio(const struct plan_limits *l, size_t i, enum plan_blkio_kind kind,
		      uint32_t minor, uint64_t value)
{
	const struct plan_blkio *b = ITEM(l->blkio, plan_blkio, i);

	return b->kind == kind && b->major == 8 && b->minor == minor && b->value == value;
}

TEST(limits_of_block_devices)
{
	PLAN(plan, NULL, NULL,
	     R("'blockIO':{'weight':10,'leafWeight':1000,"
	       "'weightDevice':[{'major':8,'minor':0,'weight':500,'leafWeight':300}],"
	       "'throttleReadBpsDevice':[{'major':8,'minor':1,'rate':600}],"
	       "'throttleWriteBpsDevice':[{'major':8,'minor':2,'rate':18446744073709551615}],"
	       "'throttleReadIOPSDevice':[{'major':8,'minor':3,'rate':300}],"
	       "'throttleWriteIOPSDevice':[{'major':8,'minor':4,'rate':0}]}"));
	const struct plan_limits *l = &plan.limits;

	EXPECT_EQ(l->blkio_weight, 10);
	EXPECT_EQ(l->blkio_leaf_weight, 1000);
	EXPECT_EQ(l->blkio.n, 6);
	EXPECT(has_blkio(l, 0, BLKIO_WEIGHT, 0, 500));
	EXPECT(has_blkio(l, 1, BLKIO_LEAF_WEIGHT, 0, 300));
	EXPECT(has_blkio(l, 2, BLKIO_READ_BPS, 1, 600));
	EXPECT(has_blkio(l, 3, BLKIO_WRITE_BPS, 2, UINT64_MAX));
	EXPECT(has_blkio(l, 4, BLKIO_READ_IOPS, 3, 300));
	EXPECT(has_blkio(l, 5, BLKIO_WRITE_IOPS, 4, 0));
}

TEST(limits_in_lists)
{
	PLAN(plan, NULL, NULL,
	     R("'hugepageLimits':[{'pageSize':'2MB','limit':209715200},{'pageSize':'64KB','limit':0}],"
	       "'network':{'classID':1048577,'priorities':[{'name':'eth0','priority':500}]},"
	       "'rdma':{'mlx5_1':{'hcaHandles':3,'hcaObjects':10000},'mlx4_0':{'hcaObjects':0}},"
	       "'unified':{'memory.high':'10485760','io.max':'8:0 rbps=1'}"));
	const struct plan_limits *l = &plan.limits;

	EXPECT_EQ(l->hugetlb.n, 2);
	EXPECT_STR(ITEM(l->hugetlb, plan_pair, 0)->name, "2MB");
	EXPECT_EQ(ITEM(l->hugetlb, plan_pair, 0)->value, 209715200);
	EXPECT(l->has_net_class && l->net_class == 1048577);
	EXPECT_STR(ITEM(l->net_priorities, plan_pair, 0)->name, "eth0");
	EXPECT_EQ(ITEM(l->net_priorities, plan_pair, 0)->value, 500);
	EXPECT_EQ(l->rdma.n, 2);
	EXPECT_STR(ITEM(l->rdma, plan_rdma, 0)->device, "mlx5_1");
	EXPECT_EQ(ITEM(l->rdma, plan_rdma, 0)->handles, 3);
	EXPECT(!ITEM(l->rdma, plan_rdma, 1)->has_handles);
	EXPECT(ITEM(l->rdma, plan_rdma, 1)->has_objects);
	EXPECT_EQ(l->unified.n, 2);
	EXPECT_STR(ITEM(l->unified, plan_text_pair, 1)->name, "io.max");
	EXPECT_STR(ITEM(l->unified, plan_text_pair, 1)->value, "8:0 rbps=1");
}

TEST(device_rules_stand_between_the_nodes_and_the_usual_ones)
{
	PLAN(plan, NULL, NULL,
	     R("'devices':[{'allow':false,'access':'rwm'},"
	       "{'allow':true,'type':'c','major':10,'minor':229,'access':'wr'},"
	       "{'allow':true,'type':'b','major':-1,'minor':0},{'allow':false,'type':'a'}]") ",'devices':[{'path':'/dev/p','type':'p'}]");
	const struct plan_device *d = plan.limits.devices.items;

	EXPECT_STR(d[0].path, "/dev/p");
	EXPECT(d[1].deny && d[1].type == 'a' && d[1].major == UINT32_MAX && !d[1].path);
	EXPECT(!d[2].deny && d[2].type == 'c' && d[2].major == 10 && d[2].minor == 229);
	EXPECT_STR(d[2].access, "rw");
	EXPECT(d[3].type == 'b' && d[3].major == UINT32_MAX && d[3].minor == 0);
	EXPECT_STR(d[3].access, "rwm");
	EXPECT(d[4].deny && d[4].type == 'a');
	EXPECT(!d[5].deny && d[5].type == 'c' && d[5].major == UINT32_MAX); /* mknod */
	EXPECT_STR(d[5].access, "m");
	EXPECT_EQ(plan.limits.devices.n, 5 + 10);
}

TEST(limits_that_cannot_be_are_refused)
{
	static const struct {
		const char *text, *line;
	} bad[] = {
		{"'memory':[]", "memory: array where object"},
		{"'memory':{'limit':-2}", "memory.limit: not between"},
		{"'memory':{'limit':'1'}", "memory.limit: string where int"},
		{"'memory':{'limit':1.5}", "memory.limit: double where int"},
		{"'memory':{'limit':9223372036854775808}", "memory.limit: not between"},
		{"'memory':{'reservation':{}}", "memory.reservation: object where int"},
		{"'memory':{'swap':-3}", "memory.swap: not between"},
		{"'memory':{'limit':10,'swap':9}", "memory.swap: less than limit"},
		{"'memory':{'kernel':true}", "memory.kernel: boolean where int"},
		{"'memory':{'kernelTCP':'x'}", "memory.kernelTCP: string where int"},
		{"'memory':{'swappiness':101}", "memory.swappiness: not between 0 and 100"},
		{"'memory':{'disableOOMKiller':0}", "memory.disableOOMKiller: int where boolean"},
		{"'memory':{'useHierarchy':0}", "memory.useHierarchy: int where boolean"},
		{"'memory':{'checkBeforeUpdate':0}", "memory.checkBeforeUpdate: int where boolean"},
		{"'cpu':7", "cpu: int where object"},
		{"'cpu':{'shares':-1}", "cpu.shares: not between"},
		{"'cpu':{'quota':-2}", "cpu.quota: not between"},
		{"'cpu':{'period':'1'}", "cpu.period: string where int"},
		{"'cpu':{'quota':5,'burst':6}", "cpu.burst: more than quota"},
		{"'cpu':{'burst':-1}", "cpu.burst: not between"},
		{"'cpu':{'realtimeRuntime':2,'realtimePeriod':1}",
		 "cpu.realtimeRuntime: more than"},
		{"'cpu':{'realtimePeriod':-1}", "cpu.realtimePeriod: not between"},
		{"'cpu':{'cpus':'0-'}", "cpu.cpus: '0-' is no list"},
		{"'cpu':{'cpus':7}", "cpu.cpus: int where string"},
		{"'cpu':{'mems':'-1'}", "cpu.mems: '-1' is no list"},
		{"'cpu':{'idle':2}", "cpu.idle: not between 0 and 1"},
		{"'pids':{'limit':'max'}", "pids.limit: string where int"},
		{"'blockIO':[]", "blockIO: array where object"},
		{"'blockIO':{'weight':9}", "blockIO.weight: not between 10 and 1000"},
		{"'blockIO':{'leafWeight':1001}", "blockIO.leafWeight: not between"},
		{"'blockIO':{'weightDevice':[{'minor':0,'weight':10}]}",
		 "blockIO.weightDevice[0].major: missing"},
		{"'blockIO':{'weightDevice':[{'major':8,'minor':0}]}",
		 "blockIO.weightDevice[0].weight: missing"},
		{"'blockIO':{'throttleReadBpsDevice':[{'major':8,'minor':0}]}",
		 "blockIO.throttleReadBpsDevice[0].rate: missing"},
		{"'blockIO':{'throttleWriteBpsDevice':[{'major':8,'rate':1}]}",
		 "blockIO.throttleWriteBpsDevice[0].minor: missing"},
		{"'blockIO':{'throttleReadIOPSDevice':{}}",
		 "blockIO.throttleReadIOPSDevice: object where array"},
		{"'blockIO':{'throttleWriteIOPSDevice':[{'major':8,'minor':0,'rate':-1}]}",
		 "blockIO.throttleWriteIOPSDevice[0].rate: not between"},
		{"'hugepageLimits':[{'limit':1}]", "hugepageLimits[0].pageSize: missing"},
		{"'hugepageLimits':[{'pageSize':'2MB'}]", "hugepageLimits[0].limit: missing"},
		{"'hugepageLimits':[{'pageSize':'../2MB','limit':1}]",
		 "hugepageLimits[0].pageSize: '../2MB' is none"},
		{"'hugepageLimits':[{'pageSize':'2MB','limit':1},{'pageSize':'2MB','limit':1}]",
		 "hugepageLimits[1].pageSize: '2MB' is given twice"},
		{"'network':{'classID':'1'}", "network.classID: string where int"},
		{"'network':{'priorities':[{'priority':1}]}",
		 "network.priorities[0].name: missing"},
		{"'network':{'priorities':[{'name':'a b','priority':1}]}",
		 "network.priorities[0].name: 'a b' is no name"},
		{"'network':{'priorities':[{'name':'a'}]}",
		 "network.priorities[0].priority: missing"},
		{"'rdma':[]", "rdma: array where object"},
		{"'rdma':{'a':7}", "rdma.a: must be an object"},
		{"'rdma':{'a':{}}", "rdma.a: neither"},
		{"'rdma':{'a b':{}}", "rdma: 'a b' is no name"},
		{"'rdma':{'a':{'hcaHandles':-1}}", "rdma.a.hcaHandles: not between"},
		{"'unified':[]", "unified: array where object"},
		{"'unified':{'memory.max':1}", "unified.memory.max: must be a string"},
		{"'unified':{'../memory.max':'1'}", "unified.../memory.max: is no file"},
		{"'unified':{'..':'1'}", "unified...: is no file"},
		{"'devices':{}", "devices: object where array"},
		{"'devices':[{}]", "devices[0].allow: missing"},
		{"'devices':[{'allow':1}]", "devices[0].allow: int where boolean"},
		{"'devices':[{'allow':true,'type':'p'}]", "devices[0].type: 'p' is not known"},
		{"'devices':[{'allow':true,'major':-2}]", "devices[0].major: not between"},
		{"'devices':[{'allow':true,'minor':'1'}]", "devices[0].minor: string where int"},
		{"'devices':[{'allow':true,'access':'rwx'}]",
		 "devices[0].access: 'rwx' is not made"},
		{"'devices':[{'allow':true,'access':7}]", "devices[0].access: int where string"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[600];
		char line[200];
		(void)snprintf(text, sizeof(text), R("%s"), bad[i].text);
		(void)snprintf(line, sizeof(line), "linux.resources.%s", bad[i].line);
		const struct refusal one = {{NULL, NULL, text}, line};
		EXPECT(kit_refused(&one));
	}
}

TEST(resources_alone_are_read_the_same_without_the_usual_rules)
{
	AUTO(auto_json) struct json_object *doc = NULL;
	struct plan_limits limits = {0};
	struct err err = ERR_INIT;
	const char *text = "{\"pids\":{\"limit\":5}}";

	EXPECT_EQ(json_parse(text, strlen(text), 1000, "x", &doc, &err), 0);
	EXPECT_EQ(spec_limits(doc, &kit_config, &limits, &err), 0);
	EXPECT_EQ(limits.pids, 5);
	EXPECT_EQ(limits.devices.n, 0);
	record_done(&plan_limits_record, &limits);
	json_free(doc);
	doc = NULL;
	EXPECT_EQ(json_parse("[]", 2, 1000, "x", &doc, &err), 0);
	EXPECT_EQ(spec_limits(doc, &kit_config, &limits, &err), -EINVAL);
	EXPECT_STR(err.msg, "linux.resources: must be an object");
}
