#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a machine on real KVM has of a host's second processor, and nothing more: such an emulated host does not live long (tests/lab/outside).
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
SOURCE=$(cd "$(dirname "$0")/../.." && pwd) HULL=$BUILD/src/hull
. "$SOURCE/tests/integration/lib.sh"
modprobe -a tun bridge veth vhost_net 2>/dev/null
own_store processors
export HULL_ISOLATION=vm
machine_kernel 300 || skip_all "$why"
[ "$(nproc)" -gt 1 ] || skip_all 'needs two processors'

hull() {
	timeout -k 10 180 "$HULL" "$@"
}
begin() { # a server with a page of half a megabyte
	busybox_root root && hull image import root processors >/dev/null &&
		hull run -d --name w --cpus 2 processors sh -c 'seq 100000 >/tmp/index.html; httpd -f -p 80 -h /tmp' >/dev/null
}
cpus() { # cpus N: it has as many processors, as its kernel counts them
	hull update --cpus "$1" w && is "$1 $1 2" sh -c 'echo "$("$0" exec w grep -c ^processor /proc/cpuinfo) $("$0" machine inspect -f "{{.Cpus}} {{.MaxCpus}}" w)"' "$HULL"
}

check 'a machine of two processors starts' begin
check 'the host'\''s kernel moves its frames' sh -c 'readlink "/proc/$("$0" inspect -f "{{.State.Pid}}" w)/fd"/* | grep -qx /dev/vhost-net' "$HULL"
check 'it has a pair of queues for each of them' is 2 sh -c '"$0" exec w sh -c "ls -d /sys/class/net/eth0/queues/rx-*" | wc -l' "$HULL"
check 'many flows at once come whole' flows_come_whole w
check 'update takes a processor away' cpus 1
check 'and gives it back' cpus 2
check 'its frames come whole as before' flows_come_whole w
check 'it is removed' hull rm -f w
done_testing
