#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The lab has cgroup v2 alone, and its controllers hold.
. "$(dirname "$0")/../integration/lib.sh"

v2=/sys/fs/cgroup
only_v2() {
	[ "$(stat -f -c %T "$v2")" = cgroup2fs ] && ! grep -q ' cgroup ' /proc/mounts
}
has() { # has CONTROLLER…
	for c in "$@"; do
		grep -qw "$c" "$v2"/cgroup.controllers || { echo "no $c in: $(cat "$v2"/cgroup.controllers)"; return 1; }
	done
}
within() { # within GROUP COMMAND…
	group=$v2/$1
	shift
	sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$group" "$@"
}
memory_holds() {
	echo 16M >"$v2"/m/memory.max
	within m sh -c 'x=$(head -c 100000000 /dev/zero | tr "\0" x)' && { echo 'took 100 MB'; return 1; }
	grep '^oom_kill [1-9]' "$v2"/m/memory.events
}
pids_hold() {
	echo 5 >"$v2"/p/pids.max
	within p sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait' && { echo 'started 8'; return 1; }
	grep '^max [1-9]' "$v2"/p/pids.events
}
freezes() {
	within f sleep 30 &
	sleep 0.5
	echo 1 >"$v2"/f/cgroup.freeze
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		grep -q 'frozen 1' "$v2"/f/cgroup.events && break
		sleep 0.1
	done
	grep 'frozen 1' "$v2"/f/cgroup.events && echo 1 >"$v2"/f/cgroup.kill && wait
}

check 'cgroup v2 is the only hierarchy' only_v2
check 'its controllers are there' has cpuset cpu io memory pids
echo '+memory +pids +cpu' >"$v2"/cgroup.subtree_control
mkdir "$v2"/m "$v2"/p "$v2"/f
check 'a memory limit kills' memory_holds
check 'a pids limit holds' pids_hold
check 'a group freezes and is killed' freezes
done_testing
