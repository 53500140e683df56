#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The memory of a machine on real KVM, with the distribution's kernel: what its workload frees goes back to the host, and it
# gets more and less while it runs.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
SOURCE=$PWD HULL=$BUILD/src/hull
export SOURCE HULL
. "$SOURCE/tests/integration/lib.sh"
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/hull-memory.XXXXXX")
cd "$tmp" || exit 1
export HULL_ROOT="$tmp/store" HULL_ISOLATION=vm
hull() {
	timeout -k 10 400 "$HULL" "$@" # a balloon is slow to fill where a processor is emulated, and others use the machine
}
finish() {
	for id in $(hull ps -aq 2>/dev/null); do hull rm -f "$id" >/dev/null 2>&1; done
	cd / && rm -rf "$tmp"
}
trap finish EXIT
machine_kernel 300 || { echo "1..0 # SKIP $why"; exit 0; }

runs() {
	busybox_root image && hull image import --env PATH=/bin image memory >/dev/null &&
		hull run -d --name m --network none --shm-size 300m --memory 256m --max-memory 512m memory sleep 10000 &&
		pid=$(hull inspect -f '{{.State.Pid}}' m) && grep -q hull-monitor "/proc/$pid/comm"
}
pss() { # MiB that the monitor takes on the host
	awk '$1 == "Pss:" { print int($2 / 1024) }' "/proc/$pid/smaps_rollup"
}
takes() { # takes MIB: at least so much more than when it was idle
	[ "$(pss)" -ge $((idle + $1)) ]
}
is_back() { # at most 30 MiB more than when it was idle: what is free lies between what is not
	[ "$(pss)" -le $((idle + 30)) ]
}
takes_200() {
	hull exec m sh -c 'lsmod | grep balloon; head -c 200m /dev/zero >/dev/shm/big' && peak=$(pss) && takes 190
}
gives_back() {
	hull exec m rm /dev/shm/big && soon is_back && after=$(pss)
}

total() { # MiB that the guest's kernel has
	hull exec m sh -c 'awk "/^MemTotal/ { print int(\$2 / 1024) }" /proc/meminfo'
}
gets_more() {
	before=$(total) && hull update --memory 384m m && now=$(total) && echo "$before $now" && [ $((now - before)) -ge 120 ] &&
		is 402653184 hull exec m cat /sys/fs/cgroup/memory.max
}
gives_more_back() { # below what it was started with: into the balloon
	hull update --memory 128m m && is 134217728 hull exec m cat /sys/fs/cgroup/memory.max
}
keeps_what_it_uses() {
	hull update --memory 256m m && hull exec m sh -c 'head -c 200m /dev/zero >/dev/shm/big' && refused 'could give back' hull update --memory 64m m &&
		is 268435456 hull exec m cat /sys/fs/cgroup/memory.max && hull exec m rm /dev/shm/big
}

check 'a machine runs' runs
sleep 4 # its modules are loaded after a second, and what is free is reported two seconds later
idle=$(pss)
check 'what its workload takes, it takes of the host' takes_200
check 'what the workload frees goes back to the host' gives_back
echo "# MiB of the host: idle $idle, with 200 taken $peak, freed $after"
check 'update --memory gives it more' gets_more
check 'and takes memory away' gives_more_back
check 'but not what it uses, and says what was reached' keeps_what_it_uses
check 'nor more than it was made for' refused '--max-memory' hull update --memory 1g m
done_testing
