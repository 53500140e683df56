#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# LIVES containers of hull-oci, AT_ONCE at a time, each with create, start, exec, kill and delete: nothing is left of them, neither in this
# world nor in the kernel (what its slabs, its cgroups and its keys count). Without LIVES as many as SECONDS_GIVEN allows. The kernel is
# everybody's: a leak is told from what others make by its size, half of one thing a life.
BUILD=${BUILD:-$(cd "$(dirname "$HULL")/.." && pwd)}
SOURCE=${SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$SOURCE/tests/integration/lib.sh"
export BUILD SOURCE
needs python3
. "$SOURCE/tests/lib/world.sh"
oci=$BUILD/src/hull-oci
. "$SOURCE/tests/lib/left.sh"
at_once=${AT_ONCE:-100}
lives=${LIVES:-1000000000}
seconds=${SECONDS_GIVEN:-3600}

busybox_root rootfs
mkdir -p state count failed

# bundle_for N: the bundle of slot N; the odd ones have a user namespace and hooks.
bundle_for() {
	edit="c['linux']['cgroupsPath'] = '/$cgroup/slot-$1'"
	[ $(($1 % 2)) = 0 ] || edit="$edit
c['linux']['namespaces'].append({'type': 'user'})
c['linux']['uidMappings'] = c['linux']['gidMappings'] = [{'containerID': 0, 'hostID': 100000, 'size': 65536}]
c['hooks'] = {'createRuntime': [{'path': '/bin/true'}], 'poststop': [{'path': '/bin/true'}]}"
	bundle_of "bundle/$1" 'exec sleep 1000' "$edit"
}

runtime() {
	timeout -s KILL 120 "$oci" --root "$tmp/state" "$@"
}

life() { # life SLOT
	runtime create --bundle "bundle/$1" "slot-$1" && runtime start "slot-$1" && runtime exec "slot-$1" true &&
		runtime kill "slot-$1" KILL && runtime delete --force "slot-$1"
}

slot() { # slot N SHARE: lives in a row, one at least
	i=0
	while [ $i = 0 ] || { [ $i -lt "$2" ] && [ "$(date +%s)" -lt $end ]; }; do
		life "$1" >"failed/$1" 2>&1 </dev/null || return 1
		i=$((i + 1))
		echo $i >"count/$1"
	done
	rm -f "failed/$1"
}

# kernel: what the kernel holds that a container is made of, a line "thing count" each.
kernel() {
	awk '$1 ~ /^(net_namespace|pid_namespace|uts_namespace|user_namespace|mnt_cache|nsproxy|shmem_inode_cache|sock_inode_cache|proc_inode_cache|task_struct|pid|kernfs_node_cache|bpf_prog)$/ { print $1, $2 }' /proc/slabinfo 2>/dev/null
	awk '!/^#/ { print "cgroups." $1, $3 }' /proc/cgroups 2>/dev/null
	awk '$1 == "0:" { split($3, keys, "/"); print "keys", keys[1] }' /proc/key-users 2>/dev/null
	awk '/^(KernelStack|Percpu|SUnreclaim):/ { print $1, $2 }' /proc/meminfo
}

# grown: what grew by more than half a piece a life, and anything of a thousand; kilobytes for what /proc/meminfo tells.
grown() {
	kernel >kernel.now
	awk -v n="$total" 'NR == FNR { was[$1] = $2; next }
		{ limit = n / 2 > 500 ? n / 2 : 500 }
		$1 ~ /:$/ { limit = limit < 50000 ? 50000 : limit }
		$1 in was && $2 - was[$1] > limit { print $1, was[$1], "->", $2 }' kernel.was kernel.now
}

nothing_grew() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do # the kernel lets go of some of it in its own time
		echo 2 >/proc/sys/vm/drop_caches 2>/dev/null
		[ -n "$(grown)" ] || return 0
		sleep 2
	done
	grown
	return 1
}

all_lived() {
	[ -z "$(ls failed)" ] && [ "$total" -gt 0 ] && return 0
	tail -n 3 failed/*
	return 1
}

slot_pids=
slots=$((at_once < lives ? at_once : lives))
i=0
while [ $i -lt $slots ]; do
	bundle_for $i || exit 1
	i=$((i + 1))
done
life 0 >/dev/null 2>&1 # what is made once for all
left >/dev/null
echo 2 >/proc/sys/vm/drop_caches 2>/dev/null
kernel >kernel.was
began=$(date +%s)
end=$((began + seconds))
lived() {
	cat count/* 2>/dev/null | awk '{ n += $1 } END { print n + 0 }'
}
drift() {
	kernel >"kernel.$1"
	awk 'NR == FNR { was[$1] = $2; next } $1 in was { printf "%s%s %+d", s, $1, $2 - was[$1]; s = ", " }' kernel.was "kernel.$1"
}
tell() { # every five minutes how far it is, for who waits
	while [ -e going ]; do
		i=$(((i + 1) % 300))
		[ $i != 0 ] || echo "# $(lived) lives in $(($(date +%s) - began)) s; grown: $(drift sofar)"
		sleep 1
	done
}
: >going
i=0
tell &
i=0
while [ $i -lt $slots ]; do
	slot $i $((lives / slots + (i < lives % slots))) &
	slot_pids="$slot_pids $!"
	i=$((i + 1))
done
for pid in $slot_pids; do wait "$pid"; done
rm going
wait
total=$(lived)
took=$(($(date +%s) - began))
check "$total lives, $slots at once, begin and end as they should" all_lived
check 'nothing is left of them' is '' left
check 'the kernel holds nothing of them' nothing_grew
echo "# $total lives in $took s; grown: $(drift now)"
[ "$took" -lt "$seconds" ] || [ "${LIVES:-0}" = 0 ] || echo "# not all of $lives: the time given was up"
done_testing
