#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# linux.resources on cgroup v2, as a container sees its own limits: files read inside, and what then is not to be had.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
# shellcheck source=oci-lib.sh
. "$(dirname "$0")/oci-lib.sh"
cg=/sys/fs/cgroup
disk=$(cat /sys/block/vda/dev)
device="{\"major\": ${disk%:*}, \"minor\": ${disk#*:}"
see() { # see FILE…: what the files of its own cgroup say
	printf 'cd %s && echo $(cat %s)' "$cg" "$*"
}
group=$cg/hull-oci

# --- memory ---
check 'memory.limit and memory.swap: v2 counts swap alone' is '67108864 33554432' once "$(see memory.max memory.swap.max)" \
	'r["memory"] = {"limit": 67108864, "swap": 100663296}'
check 'memory.swap without end is max' is '67108864 max' once "$(see memory.max memory.swap.max)" 'r["memory"] = {"limit": 67108864, "swap": -1}'
check 'memory.reservation is memory.low' is 33554432 once "$(see memory.low)" 'r["memory"] = {"reservation": 33554432}'
check 'swap that is less than memory is refused' refused 'memory.swap' once true 'r["memory"] = {"limit": 67108864, "swap": 1048576}'
taken() { # more than the limit kills, and the count says so
	[ "$(once 'x=$(head -c 100000000 /dev/zero | tr "\0" x); echo survived' 'r["memory"] = {"limit": 16777216, "swap": 16777216}')" != survived ]
}
check 'more than memory.limit is not to be had' taken

# --- cpu ---
check 'cpu.shares is cpu.weight' is 20 once "$(see cpu.weight)" 'r["cpu"] = {"shares": 512}'
check 'cpu.quota, cpu.period and cpu.burst' is '50000 200000 10000' once "$(see cpu.max cpu.max.burst)" \
	'r["cpu"] = {"quota": 50000, "period": 200000, "burst": 10000}'
check 'cpu.idle makes it idle' is 1 once "$(see cpu.idle)" 'r["cpu"] = {"idle": 1}'
check 'cpu.cpus and cpu.mems' is '0 0' once "$(see cpuset.cpus.effective cpuset.mems.effective)" 'r["cpu"] = {"cpus": "0", "mems": "0"}'
check 'a CPU that is not there is refused' refused 'cpuset.cpus' once true 'r["cpu"] = {"cpus": "0-9999"}'
check 'cpu.realtimeRuntime is refused: v2 has none' refused 'cpu.realtimeRuntime' once true 'r["cpu"] = {"realtimeRuntime": 1000}'
throttled() { # a tenth of a CPU for a loop of half a second
	once 'i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done; grep nr_throttled /sys/fs/cgroup/cpu.stat' 'r["cpu"] = {"quota": 10000, "period": 100000}' |
		grep 'nr_throttled [1-9]'
}
check 'the quota holds' throttled

# --- pids ---
check 'pids.limit' is 20 once "$(see pids.max)" 'r["pids"] = {"limit": 20}'
check 'pids.limit of -1 is max' is max once "$(see pids.max)" 'r["pids"] = {"limit": -1}'

forked() { # twenty at most: the shell says so of the others
	once 'for i in $(seq 30); do sleep 1 & done; wait' 'r["pids"] = {"limit": 20}' | grep -i "can't fork"
}
check 'more than pids.limit are not to be had' forked

# --- block I/O ---
modprobe -q bfq
echo bfq >/sys/block/vda/queue/scheduler
check 'blockIO.weight is BFQ'\''s' is 'default 300' once "$(see io.bfq.weight)" 'r["blockIO"] = {"weight": 300}'
check 'blockIO.weightDevice is BFQ'\''s of that device' is "default 100 $disk 200" once "$(see io.bfq.weight)" \
	"r['blockIO'] = {'weightDevice': [$device, 'weight': 200}]}"
check 'blockIO.leafWeight is told of: v2 has none' is 1 sh -c 'grep -c leafWeight' <<-X
	$(once true 'r["blockIO"] = {"leafWeight": 300}')
X
check 'blockIO.throttle*: four limits of one device' is "$disk rbps=1000001 wbps=1000002 riops=1003 wiops=1004" once "$(see io.max)" \
	"d = lambda n: [dict($device}, rate=n)]
r['blockIO'] = {'throttleReadBpsDevice': d(1000001), 'throttleWriteBpsDevice': d(1000002), 'throttleReadIOPSDevice': d(1003), 'throttleWriteIOPSDevice': d(1004)}"
slow_read() { # a megabyte at 256 KiB a second
	mknod rootfs/tmp/vda b "${disk%:*}" "${disk#*:}"
	echo 3 >/proc/sys/vm/drop_caches
	began=$(date +%s%N)
	once 'dd if=/tmp/vda of=/dev/null bs=64k count=16 2>/dev/null' "r['blockIO'] = {'throttleReadBpsDevice': [$device, 'rate': 262144}]}
r['devices'] = [{'allow': True, 'type': 'b', 'major': ${disk%:*}, 'minor': ${disk#*:}, 'access': 'r'}]"
	took=$((($(date +%s%N) - began) / 1000000))
	rm rootfs/tmp/vda
	echo "$took ms"
	[ "$took" -gt 2500 ]
}
check 'a throttle holds' slow_read
echo none >/sys/block/vda/queue/scheduler

# --- huge pages, RDMA, network ---
check 'hugepageLimits' is '4194304 4194304' once "$(see hugetlb.2MB.max hugetlb.2MB.rsvd.max)" 'r["hugepageLimits"] = [{"pageSize": "2MB", "limit": 4194304}]'
check 'huge pages that the host has not are refused' refused hugepageLimits once true 'r["hugepageLimits"] = [{"pageSize": "3MB", "limit": 1}]'
check 'rdma of a device that is not there is refused' refused 'nosuch0' once true 'r["rdma"] = {"nosuch0": {"hcaHandles": 3}}'
rdma_written() { # no host of ours has an RDMA device: by the system call that would limit it
	bundle rdma true 'r["rdma"] = {"nosuch0": {"hcaHandles": 3}}'
	strace -f -s 64 -e trace=write "$oci" --root "$tmp/state" run --bundle rdma rdma </dev/null 2>&1 | grep '"nosuch0 hca_handle=3 hca_object=max"'
}
check 'rdma is written as the kernel reads it' rdma_written
check 'network.classID is refused where no controller is' refused network.classID once true 'r["network"] = {"classID": 1048577}'
v1_network() { # the two controllers of v1 that say something of network, beside v2
	mkdir -p /mnt/tmp/net && mount -t cgroup -o net_cls,net_prio none /mnt/tmp/net || return 1
	long net 'r["network"] = {"classID": 1048577, "priorities": [{"name": "lo", "priority": 7}]}
c["linux"]["namespaces"] = [n for n in c["linux"]["namespaces"] if n["type"] != "network"]'
	got="$(cat /mnt/tmp/net/hull-oci/net/net_cls.classid) $(cat /mnt/tmp/net/hull-oci/net/net_prio.ifpriomap | grep '^lo ') $(grep -c . /mnt/tmp/net/hull-oci/net/cgroup.procs)"
	hull delete --force net
	left=$(find /mnt/tmp/net -mindepth 1 -name net)
	rmdir /mnt/tmp/net/hull-oci
	umount /mnt/tmp/net
	[ "$got $left" = '1048577 lo 7 1 ' ] || { echo "got: $got $left"; return 1; }
}
check 'network.classID and network.priorities arrive, with the process in that group' v1_network

# --- files by name ---
check 'unified: files of v2 by their names' is '50331648 8388608 33' once "$(see memory.high memory.min cpu.weight)" \
	'r["unified"] = {"memory.high": "50331648", "memory.min": "8388608", "cpu.weight": "33"}'
check 'unified: several lines' is "$disk rbps=1000001 wbps=max riops=max wiops=77" once "$(see io.max)" \
	"r['unified'] = {'io.max': '$disk rbps=1000001\n$disk wiops=77\n'}"
check 'unified: a file that is none is refused' refused no.such once true 'r["unified"] = {"no.such": "1"}'
check 'unified: a value that the kernel refuses is told' refused cpu.weight once true 'r["unified"] = {"cpu.weight": "0"}'

# --- devices: a BPF program ---
open_node() { # open_node MODE RULES: whether fuse (c 10 229), which the lab has loaded, opens inside
	rm -f rootfs/tmp/fuse && mknod rootfs/tmp/fuse c 10 229
	once "case $1 in r) (: </tmp/fuse) ;; w) (: >>/tmp/fuse) ;; esac 2>/dev/null; echo \$?" "r['devices'] = [{'allow': False, 'access': 'rwm'}$2]"
}
check 'a device that no rule allows does not open' is 1 open_node r ''
check 'one that a rule allows does' is 0 open_node r ", {'allow': True, 'type': 'c', 'major': 10, 'minor': 229, 'access': 'r'}"
check 'but not for more than it allows' is 1 open_node w ", {'allow': True, 'type': 'c', 'major': 10, 'minor': 229, 'access': 'r'}"
check 'the later rule wins' is 1 open_node r ", {'allow': True, 'type': 'c', 'major': 10, 'minor': 229, 'access': 'r'}, {'allow': False, 'type': 'c', 'major': 10, 'access': 'r'}"
check 'the usual ones open without a rule' is 0 once '(: </dev/zero >/dev/null); echo $?' "r['devices'] = [{'allow': False, 'access': 'rwm'}]"

# --- update, freeze, kill, delete ---
changed() {
	long up 'r["memory"] = {"limit": 67108864, "swap": 67108864}; r["pids"] = {"limit": 20}' || return 1
	printf '{"memory": {"limit": 134217728, "swap": 134217728}, "cpu": {"quota": 30000, "period": 60000, "idle": 0}, "pids": {"limit": 44}, "unified": {"memory.high": "100663296"}}' |
		hull update --resources - up || return 1
	is '134217728 0 30000 60000 44 100663296' hull exec up sh -c "$(see memory.max memory.swap.max cpu.max pids.max memory.high)"
}
check 'update changes each of them' changed
frozen() {
	hull pause up && grep 'frozen 1' "$group/up/cgroup.events" && hull resume up && grep 'frozen 0' "$group/up/cgroup.events"
}
check 'pause and resume are the freezer of v2' frozen
check 'exec is in its cgroup' is 2 sh -c "'$oci' --root state exec --detach up sleep 1000 </dev/null >/dev/null 2>&1 && grep -c . $group/up/cgroup.procs"
killed_frozen() {
	hull pause up && hull delete --force up && [ ! -e "$group/up" ]
}
check 'delete --force ends a frozen one (cgroup.kill)' killed_frozen
nested() { # cgroups that the workload makes, with processes in them, when it may write there
	long nest 'for m in c["mounts"]:
    if m["type"] == "cgroup": m["options"] = [o for o in m["options"] if o != "ro"]' || return 1
	hull exec nest sh -c 'mkdir -p /sys/fs/cgroup/a/b && sleep 1000 & sleep 0.3; echo $! >/sys/fs/cgroup/a/b/cgroup.procs && cat /sys/fs/cgroup/a/b/cgroup.procs' >/dev/null || return 1
	grep . "$group/nest/a/b/cgroup.procs" || return 1
	hull delete --force nest && [ ! -e "$group/nest" ]
}
check 'cgroups that the workload made go with it, and who is in them' nested
not_delegated() { # a parent whose controllers cannot be enabled: it has processes of its own
	mkdir "$cg/busy" && sleep 100 &
	sleep 0.2
	echo $! >"$cg/busy/cgroup.procs"
	bundle busy true 'c["linux"]["cgroupsPath"] = "/busy/in"; r["memory"] = {"limit": 67108864}'
	refused memory hull run --bundle busy busy </dev/null
	got=$?
	left=$(find "$cg/busy" -mindepth 1 -type d)
	kill $!
	sleep 0.2
	rmdir "$cg/busy"
	[ "$got" = 0 ] && [ -z "$left" ]
}
check 'a limit that its parent cannot hand on is refused, and leaves nothing' not_delegated
check 'nothing is left of all these' is '' find "$group" -mindepth 1 -type d
done_testing
