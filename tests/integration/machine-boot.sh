#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Machines through the isolation interface alone (tests/machine/drive.c): the distribution's cloud kernel, added to a store, boots a
# machine whose root is one or many EROFS layers.
. "$(dirname "$0")/lib.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
store=$BUILD/machine-store # kept: the kernel is downloaded once per build folder
drive=$BUILD/tests/machine/machine_drive
kernel=$BUILD/src/hull-kernel

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}
for need in qemu-system-x86_64 mkfs.erofs busybox dpkg-deb depmod mke2fs; do
	command -v "$need" >/dev/null || skip_all "needs $need"
done
[ "$(id -u)" = 0 ] || skip_all 'needs root'
mkdir -p "$store"
if [ ! -e "$store/kernels/default" ]; then
	"$kernel" "$store" '' '' '' >"$work/add" 2>&1 || skip_all "the distribution's kernel cannot be had: $(tail -n 1 "$work/add")"
fi
for program in hull-agent hull-monitor hull-share; do # the driver looks for them beside itself
	ln -sf "$BUILD/src/$program" "$BUILD/tests/machine/$program"
done

mkdir -p "$work/root/bin" "$work/extra"
cp "$(command -v busybox)" "$work/root/bin/busybox"
for name in sh cat true id uname ls wc head sleep hostname mount touch tail awk; do ln -s busybox "$work/root/bin/$name"; done
layer() { # layer NAME FOLDER
	mkfs.erofs -T0 "$work/$1.erofs" "$2" >"$work/mkfs" 2>&1 && truncate -s %4096 "$work/$1.erofs"
}
layer base "$work/root"

runs=0
run() { # run [OPTION…] -- PROGRAM…: output in $work/out, messages in $work/log, folder in $dir
	runs=$((runs + 1)) dir=$work/machine-test-$$-$runs
	mkdir "$dir"
	options=''
	while [ "$1" != -- ]; do options="$options $1" && shift; done
	shift
	# shellcheck disable=SC2086 # the options
	cat "${input:-/dev/null}" |
		{ timeout 180 "$drive" -r "$dir" $options "$store" $layers -- "$@" 2>"$work/log"; echo $? >"$work/status"; } |
		cat >"$work/out" # pipes on both sides, as a keeper gives them
	tail -n 3 "$work/log"
}
ended() { # ended STATUS
	[ "$(cat "$work/status")" = "$1" ] || { echo "status $(cat "$work/status")"; return 1; }
}
said() { # said TEXT: the program's output is TEXT
	[ "$(cat "$work/out")" = "$1" ] || { echo "output: $(head -c 500 "$work/out")"; return 1; }
}
told() { # told TEXT: the driver's log has it
	grep -q -- "$1" "$work/log" || { tail -n 5 "$work/log"; return 1; }
}
layers=$work/base.erofs

boots() {
	# shellcheck disable=SC2016 # for the shell inside
	run -w -- /bin/sh -c 'echo $$ $(id -u) $(hostname); uname -r; echo to >/file && cat /file'
	said "1 0 box
$(readlink "$store/kernels/default")
to" && ended 0
}
leaves_nothing() {
	[ -z "$(ls -A "$dir")" ] || { ls -A "$dir"; return 1; }
	! find /sys/fs/cgroup -maxdepth 4 -type d -name "machine-test-$$-*" | grep .
}
keeps_bytes() {
	head -c 3000000 /dev/urandom >"$work/bytes"
	input=$work/bytes run -- /bin/cat
	cmp "$work/bytes" "$work/out"
}
tells_status() {
	run -- /bin/sh -c 'exit 42'
	ended 42
}
shows_100_layers() {
	layers=$work/base.erofs
	i=1
	while [ "$i" -lt 100 ]; do
		rm -rf "$work/extra" && mkdir "$work/extra" && echo "$i" >"$work/extra/f$i" && echo "$i" >"$work/extra/last"
		layer "l$i" "$work/extra" || return 1
		layers="$layers $work/l$i.erofs"
		i=$((i + 1))
	done
	run -- /bin/sh -c 'ls / | wc -l; cat /f1 /f50 /f99 /last'
	layers=$work/base.erofs
	tail -n 4 "$work/out" >"$work/tail" && mv "$work/tail" "$work/out"
	said '1
50
99
99'
}
fits_in_32_mib() {
	run -m 32 -w -- /bin/sh -c 'head -c 20000000 /dev/zero | tail -c 15000000 | wc -c'
	said 15000000
}
kills_beyond_the_limit() {
	run -m 32 -- /bin/awk 'BEGIN { s = "0123456789abcdef"; for (;;) s = s s }'
	ended 137 && ! told 'the machine has ended'
}
shares_volumes() {
	mkdir -p "$work/rw" "$work/ro" && echo host >"$work/rw/there" && echo fixed >"$work/ro/there"
	run -v "$work/rw:/rw" -v "$work/ro:/ro:ro" -- /bin/sh -c 'cat /rw/there /ro/there; echo inside >/rw/new; echo bad >/ro/there; exit 0'
	grep -q host "$work/out" && grep -q fixed "$work/out" && [ "$(cat "$work/rw/new")" = inside ] && [ "$(cat "$work/ro/there")" = fixed ]
}
names_missing_volume() {
	run -v "$work/nowhere:/v" -- /bin/true
	told "volume '$work/nowhere': No such file" && leaves_nothing
}
tells_panic() {
	run -x rdinit=/nowhere -- /bin/true
	told 'guest kernel panic: VFS: Unable to mount root fs' && told '^guest: .*Kernel panic' && leaves_nothing
}
# Of the machine of survives_killed_monitor(), seen from the host.
is_shut_in() {
	proc=/proc/$monitor
	for line in 'Uid:	65534	65534	65534	65534' 'CapPrm:	0000000000000000' 'CapBnd:	0000000000000000' 'NoNewPrivs:	1' 'Seccomp:	2'; do
		grep -qx "$line" "$proc/status" || { grep "^${line%%:*}:" "$proc/status"; return 1; }
	done
	for ns in mnt net ipc uts pid; do
		[ "$(readlink "$proc/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ] || { echo "no $ns namespace of its own"; return 1; }
	done
	tr '\0' ' ' <"$proc/cmdline" | grep -q '^hull-monitor' || return 0
	[ -z "$(ls -A "$proc/root")" ] || { ls -A "$proc/root"; return 1; }
}
survives_killed_monitor() {
	dir=$work/machine-test-$$-kill && mkdir "$dir"
	timeout 180 "$drive" -r "$dir" "$store" "$work/base.erofs" -- /bin/sleep 1000 </dev/null >/dev/null 2>"$work/log" &
	pid=$!
	waited=0
	until grep -q started "$work/log" || [ "$waited" -gt 900 ]; do sleep 0.1 && waited=$((waited + 1)); done
	monitor=$(cut -d' ' -f1 "$dir/monitor.pid")
	is_shut_in && shut=yes
	kill -9 "$monitor"
	wait "$pid"
	told 'was killed by signal 9' && leaves_nothing
}

check 'a machine boots and its first process is number 1' boots
check 'nothing of it stays' leaves_nothing
check 'megabytes go through unchanged' keeps_bytes
check 'the exit status comes through' tells_status
check '100 layers are one root' shows_100_layers
check '32 MiB of memory are the workload'\''s own' fits_in_32_mib
check 'beyond its memory the workload is killed, not the machine' kills_beyond_the_limit
check 'volumes are shared, read-only ones truly' shares_volumes
check 'a missing volume is named and leaves nothing' names_missing_volume
check 'a kernel panic is told with its words' tells_panic
shut=no
check 'a killed monitor is told and leaves nothing' survives_killed_monitor
check 'it ran with no rights, in namespaces of its own' test "$shut" = yes
done_testing
