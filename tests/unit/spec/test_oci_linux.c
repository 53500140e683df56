/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <time.h>

#define MAPS(inside, outside, size)                                                                \
	"{'containerID':" #inside ",'hostID':" #outside ",'size':" #size "}"
#define USER "'namespaces':[{'type':'mount'},{'type':'user'}]"

TEST(namespaces_are_made_or_joined)
{
	PLAN(plan, NULL, NULL,
	     "'namespaces':[{'type':'mount'},{'type':'pid'},{'type':'cgroup'},{'type':'time'},"
	     "{'type':'network','path':'/proc/999999999/ns/net'},{'type':'ipc','path':'/run/x'},"
	     "{'type':'uts','path':''}]");

	EXPECT_EQ(plan.namespaces, (uint64_t)(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP |
					      CLONE_NEWTIME | CLONE_NEWUTS));
	EXPECT_EQ(plan.joins.n, 2);
	EXPECT_EQ(ITEM(plan.joins, plan_join, 0)->type, CLONE_NEWNET);
	EXPECT_STR(ITEM(plan.joins, plan_join, 0)->path, "/proc/999999999/ns/net");
	EXPECT_EQ(ITEM(plan.joins, plan_join, 1)->type, CLONE_NEWIPC);
}

TEST(a_user_namespace_has_its_maps)
{
	PLAN(plan, NULL, NULL,
	     USER ",'uidMappings':[" MAPS(0, 100000, 65536) "," MAPS(
		     65536, 1000, 1) "],"
				     "'gidMappings':[" MAPS(0, 4294967294, 1) "]");
	PLAN(joined, NULL, NULL,
	     "'namespaces':[{'type':'mount'},{'type':'user','path':'/run/user-ns'}]");

	EXPECT(plan.namespaces & CLONE_NEWUSER);
	EXPECT_EQ(plan.uid_maps.n, 2);
	EXPECT_EQ(ITEM(plan.uid_maps, plan_idmap, 0)->outside, 100000);
	EXPECT_EQ(ITEM(plan.uid_maps, plan_idmap, 1)->inside, 65536);
	EXPECT_EQ(ITEM(plan.gid_maps, plan_idmap, 0)->outside, 4294967294);
	EXPECT_EQ(joined.uid_maps.n, 0);
}

TEST(clocks_are_set_off)
{
	PLAN(plan, NULL, NULL,
	     "'namespaces':[{'type':'mount'},{'type':'time'}],'timeOffsets':{"
	     "'monotonic':{'secs':-5,'nanosecs':7},'boottime':{'secs':86400}}");

	EXPECT_EQ(plan.time_offsets.n, 2);
	EXPECT_EQ(ITEM(plan.time_offsets, plan_time_offset, 0)->clock, CLOCK_MONOTONIC);
	EXPECT_EQ(ITEM(plan.time_offsets, plan_time_offset, 0)->seconds, -5);
	EXPECT_EQ(ITEM(plan.time_offsets, plan_time_offset, 0)->nanoseconds, 7);
	EXPECT_EQ(ITEM(plan.time_offsets, plan_time_offset, 1)->clock, CLOCK_BOOTTIME);
}

#define L(text)                                                                                    \
	{                                                                                          \
		NULL, NULL, text                                                                   \
	}

TEST(namespaces_that_contradict_are_refused)
{
	static const struct refusal bad[] = {
		{L("'namespaces':{}"), "linux.namespaces: object where array"},
		{L("'namespaces':[{}]"), "linux.namespaces[0].type: missing"},
		{L("'namespaces':[{'type':'net'}]"),
		 "linux.namespaces[0].type: 'net' is not known"},
		{L("'namespaces':[{'type':'pid','path':'x'}]"),
		 "linux.namespaces[0].path: must be absolute"},
		{L("'namespaces':[{'type':'pid','path':7}]"),
		 "linux.namespaces[0].path: int where"},
		{L("'namespaces':[{'type':'pid'},{'type':'pid'}]"),
		 "linux.namespaces[1].type: given twice"},
		{L("'namespaces':[{'type':'pid','path':'/x'},{'type':'pid'}]"),
		 "linux.namespaces[1].type: given twice"},
		{L("'namespaces':[{'type':'pid'}]"), "linux.namespaces: without a mount namespace"},
		{L(USER), "linux.uidMappings: missing, a user namespace needs them"},
		{L(USER ",'uidMappings':[" MAPS(0, 0, 1) "]"), "linux.gidMappings: missing"},
		{L(SPACES ",'gidMappings':[" MAPS(0, 0, 1) "]"),
		 "linux.gidMappings: needs a user namespace"},
		{L(USER ",'uidMappings':{}"), "linux.uidMappings: object where array"},
		{L(USER ",'uidMappings':[" MAPS(0, 0, 0) "]"),
		 "linux.uidMappings[0].size: must be"},
		{L(USER ",'uidMappings':[" MAPS(-1, 0, 1) "]"),
		 "linux.uidMappings[0].containerID: not between"},
		{L(USER ",'uidMappings':[" MAPS(4294967295, 0, 1) "]"),
		 "linux.uidMappings[0].containerID: the map reaches 2^32-1"},
		{L(USER ",'uidMappings':[" MAPS(0, 1, 4294967295) "]"),
		 "linux.uidMappings[0].hostID: the map reaches 2^32-1"},
		{L(USER ",'uidMappings':[" MAPS(0, 0, 10) "," MAPS(9, 50, 1) "]"),
		 "linux.uidMappings[1].containerID: overlaps element 0"},
		{L(USER ",'gidMappings':[" MAPS(0, 0, 10) "," MAPS(10, 9, 1) "]"),
		 "linux.gidMappings[1].hostID: overlaps element 0"},
		{L(SPACES ",'timeOffsets':{'monotonic':{'secs':1}}"),
		 "linux.timeOffsets: need a time namespace"},
		{L("'namespaces':[{'type':'time'}],'timeOffsets':{'realtime':{'secs':1}}"),
		 "linux.timeOffsets.realtime: is no clock"},
		{L("'namespaces':[{'type':'time'}],'timeOffsets':{'boottime':7}"),
		 "linux.timeOffsets.boottime: must be an object"},
		{L("'namespaces':[{'type':'time'}],'timeOffsets':{'boottime':{'nanosecs':1000000000}}"),
		 "linux.timeOffsets.boottime.nanosecs: not between"},
		{L("'namespaces':[{'type':'time'}],'timeOffsets':{'boottime':{'secs':'1'}}"),
		 "linux.timeOffsets.boottime.secs: string where int"},
	};

	EXPECT_REFUSED(bad);
}

TEST(sysctls_belong_to_a_namespace_of_the_workload)
{
	PLAN(plan, NULL, NULL,
	     SPACES ",'sysctl':{'net.ipv4.ip_forward':'1','kernel.shmmax':'2','kernel.sem':'3 4',"
		    "'fs.mqueue.msg_max':'5','kernel.domainname':'d',"
		    "'net/ipv4/conf/eth0.100/mtu':'6','net.ipv4.conf.eth0/100.forwarding':'7'}");

	EXPECT_EQ(plan.sysctl.n, 7);
	EXPECT_STR(plan.sysctl.v[0], "net.ipv4.ip_forward=1");
	EXPECT_STR(plan.sysctl.v[2], "kernel.sem=3 4");
	EXPECT_STR(plan.sysctl.v[5], "net.ipv4.conf.eth0/100.mtu=6");
	EXPECT_STR(plan.sysctl.v[6], "net.ipv4.conf.eth0/100.forwarding=7");
}

TEST(sysctls_of_the_host_are_refused)
{
	static const struct refusal bad[] = {
		{L(SPACES ",'sysctl':[]"), "linux.sysctl: array where object"},
		{L(SPACES ",'sysctl':{'net.a':1}"), "linux.sysctl.net.a: must be a string"},
		{L(SPACES ",'sysctl':{'vm.swappiness':'1'}"),
		 "linux.sysctl.vm.swappiness: is not in a namespace"},
		{L(SPACES ",'sysctl':{'kernel.core_pattern':'|x'}"),
		 "linux.sysctl.kernel.core_pattern: is not in a namespace"},
		{L(SPACES ",'sysctl':{'kernel/core_pattern':'|x'}"),
		 "linux.sysctl.kernel.core_pattern: is not in a namespace"},
		{L(SPACES ",'sysctl':{'net.//.kernel.core_pattern':'|x'}"),
		 "linux.sysctl.net.//.kernel.core_pattern: is no name"},
		{L(SPACES ",'sysctl':{'net/../kernel/core_pattern':'|x'}"),
		 "linux.sysctl.net/../kernel/core_pattern: is no name"},
		{L(SPACES ",'sysctl':{'net..x':'1'}"), "linux.sysctl.net..x: is no name"},
		{L(SPACES ",'sysctl':{'net.x=y':'1'}"), "linux.sysctl.net.x=y: is no name"},
		{L("'namespaces':[{'type':'mount'}],'sysctl':{'net.x':'1'}"),
		 "linux.sysctl.net.x: needs a namespace of its own: network"},
		{L("'namespaces':[{'type':'mount'}],'sysctl':{'kernel.msgmax':'1'}"),
		 "linux.sysctl.kernel.msgmax: needs a namespace of its own: ipc"},
		{L("'namespaces':[{'type':'mount'}],'sysctl':{'kernel.hostname':'1'}"),
		 "linux.sysctl.kernel.hostname: needs a namespace of its own: uts"},
		{L("'namespaces':[{'type':'mount'},{'type':'network','path':'/proc/self/ns/net'}],"
		   "'sysctl':{'net.x':'1'}"),
		 "linux.sysctl.net.x: needs a namespace of its own: network"},
	};

	EXPECT_REFUSED(bad);
}

TEST(devices_are_nodes_without_a_rule)
{
	PLAN(plan, NULL, NULL,
	     SPACES ",'devices':[{'path':'/dev/fuse','type':'c','major':10,'minor':229,"
		    "'fileMode':8630,'uid':5,'gid':6},{'path':'/dev/p','type':'p','major':1},"
		    "{'path':'/dev/b','type':'b','major':8,'minor':0},"
		    "{'path':'/dev/u','type':'u','major':1,'minor':3}]");
	const struct plan_device *d = plan.limits.devices.items;

	EXPECT(plan.limits.devices.n > 4);
	EXPECT_STR(d[0].path, "/dev/fuse");
	EXPECT_EQ(d[0].type, 'c');
	EXPECT_EQ(d[0].major, 10);
	EXPECT_EQ(d[0].minor, 229);
	EXPECT_EQ(d[0].mode, 0666);
	EXPECT_EQ(d[0].uid, 5);
	EXPECT_EQ(d[0].gid, 6);
	EXPECT_STR(d[0].access, "");
	EXPECT_EQ(d[1].type, 'p');
	EXPECT_EQ(d[2].type, 'b');
	EXPECT_EQ(d[2].mode, 0666);
	EXPECT_EQ(d[3].type, 'c');
	EXPECT(!d[4].path); /* rules follow */
}

TEST(devices_that_cannot_be_made_are_refused)
{
	static const struct refusal bad[] = {
		{L(SPACES ",'devices':{}"), "linux.devices: object where array"},
		{L(SPACES ",'devices':[{'path':'/x'}]"), "linux.devices[0].type: missing"},
		{L(SPACES ",'devices':[{'path':'/x','type':'a'}]"),
		 "linux.devices[0].type: 'a' is not known"},
		{L(SPACES ",'devices':[{'type':'p'}]"), "linux.devices[0].path: missing"},
		{L(SPACES ",'devices':[{'path':'x','type':'p'}]"),
		 "linux.devices[0].path: must be absolute"},
		{L(SPACES ",'devices':[{'path':'/x','type':'c','minor':1}]"),
		 "linux.devices[0].major: missing"},
		{L(SPACES ",'devices':[{'path':'/x','type':'c','major':1}]"),
		 "linux.devices[0].minor: missing"},
		{L(SPACES ",'devices':[{'path':'/x','type':'c','major':-1,'minor':1}]"),
		 "linux.devices[0].major: not between"},
		{L(SPACES ",'devices':[{'path':'/x','type':'c','major':1,'minor':'1'}]"),
		 "linux.devices[0].minor: string where int"},
		{L(SPACES ",'devices':[{'path':'/x','type':'p','fileMode':-1}]"),
		 "linux.devices[0].fileMode: not between"},
		{L(SPACES ",'devices':[{'path':'/x','type':'p','uid':4294967295}]"),
		 "linux.devices[0].uid: not between"},
		{L(SPACES ",'devices':[{'path':'/x','type':'p','gid':'0'}]"),
		 "linux.devices[0].gid: string where int"},
	};

	EXPECT_REFUSED(bad);
}

TEST(plain_members_are_taken)
{
	PLAN(plan, NULL, NULL,
	     SPACES
	     ",'maskedPaths':['/proc/kcore','/sys'],'readonlyPaths':['/proc/sys'],"
	     "'cgroupsPath':'/a/b..c/x','rootfsPropagation':'rslave','mountLabel':'l',"
	     "'personality':{'domain':'LINUX32','flags':[]},"
	     "'intelRdt':{'closID':'c','l3CacheSchema':'L3:0=f','memBwSchema':'MB:0=20',"
	     "'enableCMT':true,'schemata':['L2:0=3','L2:1=3']},"
	     "'memoryPolicy':{'mode':'MPOL_BIND','nodes':'0-1','flags':['MPOL_F_STATIC_NODES']},"
	     "'netDevices':{'eth1':{'name':'inner'},'eth2':{}}");

	EXPECT_EQ(plan.masked.n, 2);
	EXPECT_STR(plan.masked.v[0], "/proc/kcore");
	EXPECT_STR(plan.read_only.v[0], "/proc/sys");
	EXPECT_STR(plan.cgroup, "/a/b..c/x");
	EXPECT_EQ(plan.root_propagation, MS_SLAVE | MS_REC);
	EXPECT_STR(plan.mount_label, "l");
	EXPECT(plan.has_personality);
	EXPECT_EQ(plan.personality, PER_LINUX32);
	EXPECT_STR(plan.rdt_closid, "c");
	EXPECT_STR(plan.rdt_l3, "L3:0=f\nL2:0=3\nL2:1=3");
	EXPECT_STR(plan.rdt_mb, "MB:0=20");
	EXPECT(strstr(kit_said, "linux.intelRdt.enableCMT: passed over"));
	EXPECT(plan.has_memory_policy);
	EXPECT_EQ(plan.memory_policy, 2 | 1 << 15);
	EXPECT_STR(plan.memory_nodes, "0-1");
	EXPECT_EQ(plan.net_devices.n, 2);
	EXPECT_STR(ITEM(plan.net_devices, plan_text_pair, 0)->name, "eth1");
	EXPECT_STR(ITEM(plan.net_devices, plan_text_pair, 0)->value, "inner");
	EXPECT_STR(ITEM(plan.net_devices, plan_text_pair, 1)->value, "");
}

TEST(a_cgroup_of_systemd_stands_as_it_is)
{
	PLAN(plan, NULL, NULL, SPACES ",'cgroupsPath':'user.slice:hull:c1'");

	EXPECT_STR(plan.cgroup, "user.slice:hull:c1");
}

TEST(plain_members_that_cannot_be_are_refused)
{
	static const struct refusal bad[] = {
		{L(SPACES ",'maskedPaths':['x']"), "linux.maskedPaths[0]: must be absolute"},
		{L(SPACES ",'maskedPaths':'/x'"), "linux.maskedPaths: string where array"},
		{L(SPACES ",'readonlyPaths':['/x','']"),
		 "linux.readonlyPaths[1]: must be absolute"},
		{L(SPACES ",'cgroupsPath':7"), "linux.cgroupsPath: int where string"},
		{L(SPACES ",'cgroupsPath':'../x'"), "linux.cgroupsPath: leads out by '..'"},
		{L(SPACES ",'cgroupsPath':'/a/..'"), "linux.cgroupsPath: leads out by '..'"},
		{L(SPACES ",'cgroupsPath':'/a//../../x'"), "linux.cgroupsPath: leads out by '..'"},
		{L(SPACES ",'rootfsPropagation':'x'"), "linux.rootfsPropagation: 'x' is not known"},
		{L(SPACES ",'mountLabel':[]"), "linux.mountLabel: array where string"},
		{L(SPACES ",'personality':{}"), "linux.personality.domain: missing"},
		{L(SPACES ",'personality':{'domain':'X'}"), "linux.personality.domain: 'X'"},
		{L(SPACES ",'personality':{'domain':'LINUX','flags':['X']}"),
		 "linux.personality.flags: none is known"},
		{L(SPACES ",'intelRdt':7"), "linux.intelRdt: int where object"},
		{L(SPACES ",'intelRdt':{'closID':'../x'}"),
		 "linux.intelRdt.closID: '../x' is no name"},
		{L(SPACES ",'intelRdt':{'closID':'..'}"), "linux.intelRdt.closID: '..' is no name"},
		{L(SPACES ",'intelRdt':{'enableMBM':1}"), "linux.intelRdt.enableMBM: int where"},
		{L(SPACES ",'intelRdt':{'enableMonitoring':'x'}"),
		 "linux.intelRdt.enableMonitoring: string where"},
		{L(SPACES ",'intelRdt':{'schemata':[1]}"), "linux.intelRdt.schemata: element 0"},
		{L(SPACES ",'memoryPolicy':{}"), "linux.memoryPolicy.mode: missing"},
		{L(SPACES ",'memoryPolicy':{'mode':'X'}"), "linux.memoryPolicy.mode: 'X'"},
		{L(SPACES ",'memoryPolicy':{'mode':'MPOL_BIND'}"),
		 "linux.memoryPolicy.nodes: missing"},
		{L(SPACES ",'memoryPolicy':{'mode':'MPOL_LOCAL','nodes':'0'}"),
		 "linux.memoryPolicy.nodes: not with this mode"},
		{L(SPACES ",'memoryPolicy':{'mode':'MPOL_BIND','nodes':'x'}"),
		 "linux.memoryPolicy.nodes: 'x' is no list"},
		{L(SPACES ",'memoryPolicy':{'mode':'MPOL_BIND','nodes':'0','flags':['X']}"),
		 "linux.memoryPolicy.flags: 'X'"},
		{L(SPACES ",'netDevices':[]"), "linux.netDevices: array where object"},
		{L(SPACES ",'netDevices':{'a/b':{}}"), "linux.netDevices.a/b: is no name"},
		{L(SPACES ",'netDevices':{'eth0':7}"), "linux.netDevices.eth0: must be an object"},
		{L(SPACES ",'netDevices':{'eth0':{'name':7}}"),
		 "linux.netDevices.eth0.name: int where"},
		{L(SPACES ",'netDevices':{'eth0':{'name':'0123456789abcdef'}}"),
		 "linux.netDevices.eth0.name: '0123456789abcdef' is no name"},
		{L(SPACES ",'netDevices':{'eth0':{},'eth1':{'name':'eth0'}}"),
		 "linux.netDevices.eth1.name: is given twice"},
		{L("'namespaces':[{'type':'mount'}],'netDevices':{'eth0':{}}"),
		 "linux.netDevices: need a network namespace"},
	};

	EXPECT_REFUSED(bad);
}
