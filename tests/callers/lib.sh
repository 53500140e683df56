# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Real callers of an OCI runtime. A script sources this first: it then runs again in a world of its own (mounts, network, processes; an
# empty /run), with its data in a folder below /var/tmp and its cgroups below one of its own, all of which go when it ends.
#
# RUNTIME is the runtime to be called (default: hull-oci as built). crun 1.8 refuses a hybrid cgroup host: the v2 mount is hidden from it.
. "$SOURCE/tests/integration/lib.sh"
RUNTIME=${RUNTIME:-$BUILD/src/hull-oci}
caller=$(basename "$0" .sh)

skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

# skip NAME WHY: a sentence that cannot be shown here.
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# needs PROGRAM...: all of them, or the whole script is skipped.
needs() {
	for program in "$@"; do
		command -v "$program" >/dev/null || skip_all "needs $program"
	done
}

outside_end() {
	[ -z "$inner" ] || kill -9 "$inner" 2>/dev/null
	wait
	for _ in 1 2 3 4 5 6 7 8 9 10; do # what was killed may still be on its way out of its cgroup
		find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null
		[ -n "$(find /sys/fs/cgroup -type d -name "$cgroup" 2>/dev/null)" ] || break
		sleep 0.3
	done
	rm -rf "$tmp" || { sleep 1 && rm -rf "$tmp"; }
}

if [ -z "${CALLER_FOLDER:-}" ]; then
	[ "$(id -u)" = 0 ] || skip_all 'needs root'
	needs unshare setpriv busybox timeout script
	[ -x "$RUNTIME" ] || { echo "Bail out! no runtime $RUNTIME"; exit 1; }
	unshare -m -n -p --fork --mount-proc true 2>/dev/null || skip_all 'namespaces cannot be made here'
	tmp=$(mktemp -d "/var/tmp/hull-$caller.XXXXXX") || exit 1
	cgroup=hull-$caller-$$
	inner=
	trap outside_end EXIT
	trap 'exit 1' HUP INT TERM
	CALLER_FOLDER=$tmp CALLER_CGROUP=$cgroup setpriv --pdeathsig KILL \
		unshare -m -n -p --fork --kill-child=KILL --mount-proc sh "$0" &
	inner=$!
	wait $inner
	got=$?
	inner=
	exit $got
fi

tmp=$CALLER_FOLDER
cgroup=$CALLER_CGROUP
cd "$tmp" || exit 1
mount --make-rprivate /
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock home bin
case $(basename "$RUNTIME") in
crun*) umount /sys/fs/cgroup/unified 2>/dev/null && mount -t tmpfs hidden /sys/fs/cgroup/unified ;;
esac
ip link set lo up 2>/dev/null || busybox ip link set lo up
export HOME="$tmp/home" TMPDIR="$tmp" PATH="$tmp/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
unset XDG_RUNTIME_DIR DOCKER_HOST CONTAINER_HOST CONTAINERD_ADDRESS CONTAINERD_NAMESPACE NOTIFY_SOCKET LISTEN_FDS
arch=$(dpkg --print-architecture 2>/dev/null || echo amd64)

# short NAME WORDS: the command NAME stands for WORDS, within a minute.
short() {
	printf '#!/bin/sh\nexec timeout --foreground -k 5 60 %s "$@"\n' "$2" >"bin/$1"
	chmod +x "bin/$1"
}

# is WANT COMMAND...: what the command prints is WANT.
is() {
	want=$1
	shift
	got=$("$@" 2>is.err)
	[ "$got" = "$want" ] || {
		printf 'wanted: %s\ngot: %s\n' "$want" "$got"
		cat is.err
		return 1
	}
}

# status N COMMAND...: it exits with N.
status() {
	want=$1
	shift
	"$@"
	got=$?
	[ "$got" = "$want" ] || {
		echo "wanted status $want, got $got"
		return 1
	}
}

# shows TEXT COMMAND...: what the command prints, errors too, holds TEXT.
shows() {
	want=$1
	shift
	"$@" >shows.out 2>&1
	grep -qF -- "$want" shows.out || {
		echo "no '$want' in:"
		cat shows.out
		return 1
	}
}

# fails COMMAND...: it exits with anything but 0, and not for the time it took.
fails() {
	"$@"
	got=$?
	[ "$got" != 0 ] && [ "$got" != 124 ] && [ "$got" != 137 ]
}

# soon COMMAND...: it succeeds within twenty seconds.
soon() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40; do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.5
	done
	"$@"
}

# in_terminal ROWS COLUMNS COMMAND: the command (for a shell) on a terminal of that size; its output without carriage returns.
in_terminal() {
	SHELL=/bin/sh timeout -k 5 60 script -qec "stty rows $1 cols $2; $3" /dev/null </dev/null >terminal.out
	got=$?
	tr -d '\r' <terminal.out
	return $got
}

# A root folder with busybox in root/.
make_root() {
	mkdir -p root/bin root/etc root/tmp root/root root/data root/proc root/dev root/sys root/home/alice
	cp "$(command -v busybox)" root/bin/busybox
	for tool in $(busybox --list); do
		[ "$tool" = busybox ] || ln -s busybox "root/bin/$tool"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n' >root/etc/passwd
	printf 'root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n' >root/etc/group
	echo from-image >root/data/file
	printf '#!/bin/sh\nexit 0\n' >root/data/not-executable
	chmod 1777 root/tmp
	tar -C root --sort=name --owner=0 --group=0 --numeric-owner -cf root.tar .
}

# archive NAME CMD: NAME.tar, a docker-archive of root/ as docker.io/library/NAME:latest with the command CMD (JSON).
archive() {
	mkdir -p "$1.d"
	cp root.tar "$1.d/layer.tar"
	printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin","FROM_IMAGE=1"],"Cmd":%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created_by":"tests"}]}' \
		"$arch" "$2" "$(sha256sum <root.tar | cut -d ' ' -f 1)" >"$1.d/config"
	config=$(sha256sum <"$1.d/config" | cut -d ' ' -f 1)
	mv "$1.d/config" "$1.d/$config.json"
	printf '[{"Config":"%s.json","RepoTags":["docker.io/library/%s:latest"],"Layers":["layer.tar"]}]' "$config" "$1" >"$1.d/manifest.json"
	tar -C "$1.d" -cf "$1.tar" .
}

# cgroups_left [PATTERN]: those below the script's own, in every hierarchy; fails when there are any (of such a name).
cgroups_left() {
	find /sys/fs/cgroup -type d \( -fstype cgroup -o -fstype cgroup2 \) -path "*/$cgroup/*" -name "${1:-*}" 2>/dev/null | grep . && return 1
	return 0
}

# mounts_left: mounts below the script's folder; fails when there are any. Given names are let pass.
mounts_left() {
	awk -v at="$tmp/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | grep -vxF -e "$tmp/-" "$@" && return 1
	return 0
}

# For the shell inside: its memory limit, its limit of processes, its share of the processors in 1/100, as the kernel has them.
# shellcheck disable=SC2034,SC2016 # used by the scripts
{
	memory_limit='cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'
	pids_limit='cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max'
	cpu_limit='set -- $(cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us 2>/dev/null || cat /sys/fs/cgroup/cpu.max); echo $(($1 * 100 / $2))'
}
can_raise_limits() { # CAP_SYS_RESOURCE, which build hosts may lack
	[ $((0x$(awk '/^CapBnd/ { print $2 }' /proc/self/status) >> 24 & 1)) = 1 ]
}
