#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# N machines of the smallest size that hull makes, with the distribution's kernel, AT_ONCE at a time on real KVM: all start, all stop, and nothing
# of them is left on the host, neither after each few nor at the end.
SOURCE=$(cd "$(dirname "$0")/../.." && pwd) HULL=$BUILD/src/hull
N=${N:-8} AT_ONCE=${AT_ONCE:-4} smallest=6m
. "$SOURCE/tests/integration/lib.sh"
modprobe -a tun bridge veth 2>/dev/null
own_store many
export HULL_ISOLATION=vm
machine_kernel 300 || skip_all "$why"

hull() {
	timeout -k 10 400 "$HULL" "$@" # four at once share one emulated processor
}
prepare() {
	busybox_root root && hull image import --cmd '["/bin/sh", "-c", "trap exit TERM; sleep 10000 & wait"]' root many
}
present() { # what the host has of machines, and of what they are on
	ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/link \1/'
	nft list tables 2>/dev/null
	cut -d ' ' -f 5 /proc/self/mountinfo | sed 's/^/mount /'
	find /sys/fs/cgroup -type d | sed 's/^/cgroup /'
	for at in /proc/[0-9]*; do # the kernel's own threads have no program
		readlink "$at/exe" | sed 's/^/process /'
	done 2>/dev/null
	find store/workloads store/run /dev/shm -mindepth 1 ! -type d
	find store/workloads store/run/workloads -mindepth 1 -maxdepth 1 -type d
}
as_before() { # what is taken apart in the background gets its time, as the bridge of the first does
	soon nothing_more || { echo "$more"; return 1; }
}
nothing_more() {
	present 2>/dev/null | sort >now && more=$(comm -13 before now) && [ -z "$more" ]
}
each() { # each FIRST LAST COMMAND…: COMMAND mNUMBER for all of them at once; fails when one does
	i=$1 last=$2 pids=''
	shift 2
	while [ "$i" -le "$last" ]; do
		"$@" "m$i" >"said.$i" 2>&1 &
		pids="$pids $!"
		i=$((i + 1))
	done
	failed=0
	for pid in $pids; do wait "$pid" || failed=1; done
	[ "$failed" = 0 ] || { cat said.*; return 1; }
	rm -f said.*
}
begin() {
	hull run -d --rm --memory "$smallest" --name "$1" many
}
end() {
	hull stop -t 10 "$1"
}
lives() { # lives FIRST LAST
	each "$1" "$2" begin || return 1
	running=$(hull ps -q | wc -l)
	[ "$running" = $(($2 - $1 + 1)) ] || { hull ps -a; return 1; }
	each "$1" "$2" end
}
all_live() {
	first=1
	while [ "$first" -le "$N" ]; do
		last=$((first + AT_ONCE - 1))
		{ lives "$first" $((last < N ? last : N)) && as_before; } || { echo "machines from $first on"; return 1; }
		first=$((last + 1))
	done
}

check 'an image, and a kernel' prepare
check 'less memory than the smallest is refused' fails '--memory: less than 6m' "$HULL" run --rm --memory 6291455 many
check 'one machine of the smallest size runs and is stopped' lives 0 0 # the first makes what stays: the initramfs, the probe's word
present 2>/dev/null | sort >before
check "$N machines, $AT_ONCE at a time, are stopped, and nothing of them is left" all_live
done_testing
