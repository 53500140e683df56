# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Real callers of an OCI runtime. A script sources this first: it then runs again in a world of its own (mounts, network, processes; an
# empty /run), with its data in a folder below /var/tmp and its cgroups below one of its own, all of which go when it ends.
#
# RUNTIME is the runtime to be called (default: hull-oci as built). crun 1.8 refuses a hybrid cgroup host: the v2 mount is hidden from it.
. "$SOURCE/tests/integration/lib.sh"
RUNTIME=${RUNTIME:-$BUILD/src/hull-oci}
caller=$(basename "$0" .sh)

[ -x "$RUNTIME" ] || { echo "Bail out! no runtime $RUNTIME"; exit 1; }
needs script
. "$SOURCE/tests/lib/world.sh"
mkdir -p home bin
case $(basename "$RUNTIME") in
crun*) umount /sys/fs/cgroup/unified 2>/dev/null && mount -t tmpfs hidden /sys/fs/cgroup/unified ;;
esac
export HOME="$tmp/home" TMPDIR="$tmp" PATH="$tmp/bin:${CALLER_PATH:+$CALLER_PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
unset XDG_RUNTIME_DIR DOCKER_HOST CONTAINER_HOST CONTAINERD_ADDRESS CONTAINERD_NAMESPACE NOTIFY_SOCKET LISTEN_FDS
arch=$(dpkg --print-architecture 2>/dev/null || echo amd64)

# short NAME WORDS: the command NAME stands for WORDS, within a minute.
short() {
	printf '#!/bin/sh\nexec timeout --foreground -k 5 60 %s "$@"\n' "$2" >"bin/$1"
	chmod +x "bin/$1"
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

# in_terminal ROWS COLUMNS COMMAND: the command (for a shell) on a terminal of that size; its output without carriage returns.
in_terminal() {
	SHELL=/bin/sh timeout -k 5 60 script -qec "stty rows $1 cols $2; $3" /dev/null </dev/null >terminal.out
	got=$?
	tr -d '\r' <terminal.out
	return $got
}

# A root folder with busybox in root/ and root.tar.
make_root() {
	busybox_root root
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

# check_first CAPS [OPTION...]: one life in the foreground with most of what `run` takes, as docker and podman share it; CAPS is the
# line that tells what rights the caller gives.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
inside='echo "pid=$$"
echo "user=$(id -u):$(id -g)"
echo "pwd=$PWD"
echo "image=$FROM_IMAGE given=$GIVEN"
echo "host=$(hostname)"
echo "links=$(ip link | grep -c "^[0-9]")"
echo "volume=$(cat /in/note)"; echo written >/in/back; echo no >/fixed/x
echo "tmpfs=$(grep -c " /scratch tmpfs" /proc/mounts)"
echo "stdin=$(cat)"
echo "to standard error" >&2
echo "caps=$(sed -n "s/^CapEff:[^0-9a-f]*0*//p" /proc/self/status) seccomp=$(sed -n "s/^Seccomp:[^0-9]*//p" /proc/self/status)"
echo "memory=$('$memory_limit')"
echo "pids=$('$pids_limit')"
echo "cpu=$('$cpu_limit')"
echo "nofile=$(ulimit -n)"
echo "shm=$(df -k /dev/shm | awk "END { print \$2 }")"
echo "sysctl=$(cat /proc/sys/net/ipv4/ip_default_ttl)"
echo "masked=$(cat /proc/keys /proc/timer_list 2>/dev/null | wc -c)"
exit 42'
first() { # first OPTION...
	mkdir -p shared fixed
	echo from-host >shared/note
	echo some-input | run --rm -i --name first --hostname box -w /data -e GIVEN=1 -v "$tmp/shared:/in" -v "$tmp/fixed:/fixed:ro" \
		--tmpfs /scratch --memory 64m --pids-limit 50 --cpus 0.5 --ulimit nofile=512:1024 --shm-size 2m "$@" \
		--sysctl net.ipv4.ip_default_ttl=77 bb sh -c "$inside" >first.out 2>first.err
}
first_has() {
	grep -qxF -- "$1" first.out || { cat first.out first.err; return 1; }
}
check_first() {
	caps=$1
	shift
	check "$caller run gives the exit status" status 42 first "$@"
	check 'its process is number 1' first_has pid=1
	check 'it runs as root' first_has user=0:0
	check '-w is where it starts' first_has pwd=/data
	check 'variables come from the image and from -e' first_has 'image=1 given=1'
	check '--hostname is its name' first_has host=box
	check 'it has one link, the loopback' first_has links=1
	check 'a volume shows what the host has' first_has volume=from-host
	check 'a volume is written to' is written cat shared/back
	check 'a volume with :ro is not' test ! -e fixed/x
	check '--tmpfs is one' first_has tmpfs=1
	check 'standard input reaches it' first_has stdin=some-input
	check 'standard error is kept apart' grep -qx 'to standard error' first.err
	check "it has $caller's capabilities and its seccomp profile" first_has "$caps"
	check '--memory is the limit of its cgroup' first_has memory=67108864
	check '--pids-limit is the limit of its cgroup' first_has pids=50
	check '--cpus is the limit of its cgroup' first_has cpu=50
	check '--ulimit is its limit' first_has nofile=512
	check '--shm-size is the size of /dev/shm' first_has shm=2048
	check '--sysctl is set' first_has sysctl=77
}
