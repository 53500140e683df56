#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hull-oci --systemd-cgroup under a systemd that is PID 1, on the hierarchies of v2 or v1: scopes, their limits seen from inside, their end.
# shellcheck disable=SC2016,SC2034 # what stands in single quotes is for the shell inside; OCI_OPTIONS is the library's
LAB_TOP=../..
# shellcheck source=../oci-lib.sh
. "$(dirname "$0")/../oci-lib.sh"
OCI_OPTIONS=--systemd-cgroup
cg=/sys/fs/cgroup
if [ -e $cg/cgroup.controllers ]; then
	v2=1 memory=memory.max pids=pids.max shares=cpu.weight share=20 tree=$cg at_memory=$cg at_pids=$cg at_cpu=$cg
	memory_property=MemoryMax
else
	v2='' memory=memory/memory.limit_in_bytes pids=pids/pids.max shares=cpu/cpu.shares share=512 tree=$cg/systemd
	at_memory=$cg/memory at_pids=$cg/pids at_cpu=$cg/cpu memory_property=MemoryLimit
fi
has_memory=1 # Debian's newer kernels have v1 without memory
[ -n "$v2" ] || grep -q " $cg/memory cgroup " /proc/mounts || has_memory=
scope=test.slice/test-a.slice/hull-one.scope
limits=${has_memory:+'r["memory"] = {"limit": 67108864}
'}'c["linux"]["cgroupsPath"] = "test-a.slice:hull:one"
r["cpu"] = {"shares": 512, "quota": 50000, "period": 100000}
r["pids"] = {"limit": 50}
'
property() { # property UNIT NAME: its value
	systemctl show "$1" --property "$2" --value
}
gone() { # gone UNIT FOLDER: nothing of it is left
	[ "$(property "$1" LoadState)" = not-found ] || { systemctl status --no-pager "$1"; return 1; }
	! find $cg -type d -name "$2" | grep .
}

check 'systemd is the init' is systemd cat /proc/1/comm
check 'limits are seen from inside' is "${has_memory:+67108864 }50 $share" once "cd $cg && echo \$(cat ${has_memory:+$memory} $pids $shares)" "$limits"
check 'a container that ended leaves no unit and no folder' gone hull-one.scope hull-one.scope
check 'a container is made in a slice of slices' long one "$limits"
check 'its unit is a scope that runs' is active property hull-one.scope ActiveState
check 'it is in the slice' is test-a.slice property hull-one.scope Slice
check 'systemd has given its cgroups away' is yes property hull-one.scope Delegate
check 'its process is in the folder that systemd made' is 1 grep -c . $tree/$scope/cgroup.procs
check 'that is the only one there' is sleep sh -c "cat /proc/\$(cat $tree/$scope/cgroup.procs)/comm"
[ -z "$has_memory" ] || check 'systemd knows the limit of memory' is 67108864 property hull-one.scope $memory_property
check 'systemd knows the limit of processes' is 50 property hull-one.scope TasksMax
check 'systemd knows the quota' is 500ms property hull-one.scope CPUQuotaPerSecUSec
check 'a further process is in its cgroups' is 2 sh -c "'$oci' --root state exec --detach one sleep 1000 </dev/null >/dev/null 2>&1 && grep -c . $tree/$scope/cgroup.procs"
updated() {
	hull update ${has_memory:+--memory 134217728} --pids-limit 77 one &&
		is "${has_memory:+134217728 }77" sh -c "echo \$(cat ${has_memory:+$at_memory/$scope/${memory##*/}} $at_pids/$scope/pids.max)" &&
		is "${has_memory:+134217728 }77" sh -c "echo \$(systemctl show hull-one.scope ${has_memory:+--property $memory_property} --property TasksMax | sort | sed 's/.*=//')"
}
check 'update changes the cgroup and the unit' updated
kept() {
	systemctl daemon-reload
	is "${has_memory:+134217728 }77 $share" sh -c "echo \$(cat ${has_memory:+$at_memory/$scope/${memory##*/}} $at_pids/$scope/pids.max $at_cpu/$scope/${shares##*/})"
}
check 'limits outlive a reload of systemd' kept
devices_kept() { # what is inside may still open null, and not what was not allowed
	mknod rootfs/tmp/fuse c 10 229
	is '0 1' hull exec one sh -c '(: </dev/null); echo -n "$? "; (: </tmp/fuse) 2>/dev/null; echo $?'
}
check 'so do the device rules' devices_kept
frozen() {
	hull pause one && hull state one | grep -q paused && hull resume one && hull state one | grep -q running
}
check 'it is frozen and thawed' frozen
check 'a second one of this unit is refused' refused 'hull-one.scope' sh -c "'$oci' --root other --systemd-cgroup run --bundle one two </dev/null"
check 'and the first one still runs' is active property hull-one.scope ActiveState
check 'delete --force ends it' hull delete --force one
check 'nothing is left of it' gone hull-one.scope hull-one.scope

check 'without a path it is below the usual slice' is 1 once "grep -c 'hull-oci-one.scope\|0::/\$\|systemd:/\$' /proc/self/cgroup | sed 's/.*/1/'"
usual() {
	long usual && is system.slice property hull-oci-usual.scope Slice && hull delete --force usual && gone hull-oci-usual.scope hull-oci-usual.scope
}
check 'which is system.slice' usual
empty_prefix() {
	long bare 'c["linux"]["cgroupsPath"] = "-.slice::bare"' && is /bare.scope property bare.scope ControlGroup && hull delete --force bare &&
		gone bare.scope bare.scope
}
check 'a scope may be in the root slice, and without a prefix' empty_prefix
annotated() {
	long noted 'c["linux"]["cgroupsPath"] = "system.slice:t:noted"
c["annotations"] = {"org.systemd.property.TimeoutStopSec": "7", "org.systemd.property.Description": "'"'by annotation'"'", "org.systemd.property.TasksMax": "uint64 33"}' &&
		is 'by annotation 7s 33' sh -c 'echo $(for p in Description TimeoutStopUSec TasksMax; do systemctl show t-noted.scope --property $p --value; done)'
}
check 'annotations become properties' annotated
stopped() { # by somebody else
	systemctl stop t-noted.scope && soon sh -c "'$oci' --root state state noted | grep -q stopped" && hull delete noted && gone t-noted.scope t-noted.scope
}
check 'a scope that systemctl stops is a container that stopped' stopped
nested() {
	long deep 'c["linux"]["cgroupsPath"] = "system.slice:t:deep"' && mkdir -p "$tree/system.slice/t-deep.scope/a/b" && hull delete --force deep &&
		gone t-deep.scope t-deep.scope
}
check 'folders made below the scope go with it' nested
killed() { # a create that is killed behind the making of its scope
	bundle torn true 'c["linux"]["cgroupsPath"] = "system.slice:t:torn"'
	timeout 20 strace -f -o /dev/null -e trace=clone3 -e inject=clone3:signal=KILL:when=1 \
		"$oci" --root "$tmp/state" --systemd-cgroup create --bundle torn torn </dev/null >/dev/null 2>&1
	[ -d state/torn ] || { echo 'nothing was begun'; return 1; }
	hull delete --force torn && gone t-torn.scope t-torn.scope
}
check 'a create that is killed is cleaned up by delete --force' killed
damaged() {
	long hurt 'c["linux"]["cgroupsPath"] = "system.slice:t:hurt"' && : >state/hurt/state && hull delete --force hurt 2>/dev/null && soon gone t-hurt.scope t-hurt.scope
}
check 'so is one whose state is damaged' damaged

refuse() { # refuse WORDS PYTHON
	bundle bad true "$2" && refused "$1" hull run --bundle bad bad </dev/null && [ ! -e state/bad ]
}
check 'a path that is none of systemd'\''s is refused' refuse 'is not SLICE:PREFIX:NAME' 'c["linux"]["cgroupsPath"] = "/a/b"'
check 'a slice that is none is refused' refuse 'is no slice' 'c["linux"]["cgroupsPath"] = "nothing:a:b"'
check 'a slice that climbs is refused' refuse 'leads out' 'c["linux"]["cgroupsPath"] = "../x.slice:a:b"'
check 'a name that systemd does not take is refused' refuse 'hull+x' 'c["linux"]["cgroupsPath"] = "system.slice:hull+x:b"'
check 'an annotation that is no value is refused' refuse 'org.systemd.property.TasksMax' 'c["annotations"] = {"org.systemd.property.TasksMax": "many"}'
check 'a property that systemd does not know is refused' refuse 'NoSuchThing' 'c["annotations"] = {"org.systemd.property.NoSuchThing": "true"}'
check 'what is refused leaves no unit' is '' sh -c 'systemctl list-units --no-legend --all "t-*.scope" "hull*.scope"'
no_systemd() {
	bundle lone true
	refused 'cannot reach systemd' unshare -m sh -c 'mount -t tmpfs run /run && exec "$0" --root /run/s --systemd-cgroup run --bundle lone lone </dev/null' "$oci"
}
check 'without a systemd to talk to it says so' no_systemd
one_way() { # one_way FOLDER: with that of the two sockets hidden
	bundle alone 'echo here' && is here unshare -m sh -c 'mount -t tmpfs hidden "$1" && exec "$0" --root state --systemd-cgroup run --bundle alone alone </dev/null' "$oci" "$1"
}
check 'without a bus it talks to systemd itself' one_way /run/dbus
check 'without the socket of systemd itself it talks over the bus' one_way /run/systemd
[ -n "$v2" ] || check 'v1'\''s hierarchies are what is tested here' test -d $cg/memory
done_testing
