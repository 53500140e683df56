#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Machines whose guest is no kernel but tests/lab/hostile.c, which never speaks to anybody: whatever it does instead, commands come back,
# the end is told for what it was, and nothing is left.
SOURCE=$(cd "$(dirname "$0")/../.." && pwd) HULL=$BUILD/src/hull
. "$SOURCE/tests/integration/lib.sh"
modprobe -a tun bridge veth 2>/dev/null
own_store ends
stock=$(readlink -f "$BUILD/machine-store/kernels/default")
[ -d "$stock" ] || skip_all 'no kernel of the distribution'

prepare() { # a store whose kernel is the hostile one, without modules
	mkdir -p store/kernels/mute && cp "$stock/info" "$stock/modules.cpio" store/kernels/mute &&
		cp "$BUILD/tests/lab_hostile" store/kernels/mute/kernel && ln -s mute store/kernels/default &&
		busybox_root root && "$HULL" image import --cmd '["true"]' root ends
}
machine() { # machine DEED [OPTION…]
	deed=$1
	shift
	timeout 60 "$HULL" run --vm --name w --network none --kernel-args "act=$deed" "$@" ends true
}
ends_with() { # ends_with WORDS DEED: run fails, one line tells why
	machine "$2" >out 2>err
	got=$?
	cat out err
	[ "$got" = 125 ] && [ "$(wc -l <err)" = 1 ] && grep -q "$1" err && nothing_left
}
monitor_pid() {
	cut -d ' ' -f 1 store/run/workloads/*/monitor.pid 2>/dev/null
}
nothing_left() {
	timeout 20 "$HULL" rm -f w >/dev/null 2>&1
	"$HULL" ps -aq | grep . && return 1
	pgrep -l 'hull-(monitor|share|keeper)' && return 1
	find /sys/fs/cgroup -type d -path '*/hull/*' | grep . && return 1
	grep "$PWD/store/run/workloads" /proc/self/mountinfo && return 1
	[ -z "$(find store/workloads store/run/workloads -mindepth 1 2>/dev/null)" ]
}
begin() { # begin DEED: one that says nothing, for ever
	machine "$1" >out 2>err &
	command=$!
	soon sh -c 'test -s store/run/workloads/*/monitor.pid'
}
gone() { # gone COMMAND…: comes back in time, and the machine with it
	timeout 30 "$HULL" "$@"
	got=$?
	wait "$command"
	cat out err
	[ "$got" = 0 ] && nothing_left
}
spins_and_is_removed() {
	begin spin && gone rm -f w
}
spins_and_is_stopped() {
	begin spin && gone stop -t 1 w
}
halts_and_is_removed() {
	begin halt && gone rm -f w
}
killed() { # the monitor itself
	begin spin && kill -9 "$(monitor_pid)" && wait "$command"
	cat err
	grep -q 'killed by signal 9' err && nothing_left
}

check 'a store whose kernel is hostile' prepare
check 'a triple fault is told for what it is' ends_with 'triple fault' triple
check 'a power off in the midst of requests too' ends_with 'powered itself off' off
check 'one that spins with interrupts off is removed' spins_and_is_removed
check 'one that spins with interrupts off is stopped' spins_and_is_stopped
check 'one that halts for ever is removed' halts_and_is_removed
check 'one whose monitor is killed is told apart' killed
done_testing
