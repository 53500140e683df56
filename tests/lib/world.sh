# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Sourced behind lib.sh by a script that wants a world of its own: it then runs again as process 1 in one (mounts, network, processes; an
# empty /run), in a folder $tmp below /var/tmp, its cgroups to be below $cgroup, all of which go when it ends.
# shellcheck disable=SC2154 # skip_all and needs are lib.sh's
world_end() {
	[ -z "$inner" ] || kill -9 "$inner" 2>/dev/null
	wait
	for _ in 1 2 3 4 5 6 7 8 9 10; do # what was killed may still be on its way out of its cgroup
		find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null
		[ -n "$(find /sys/fs/cgroup -type d -name "$cgroup" 2>/dev/null)" ] || break
		sleep 0.3
	done
	rm -rf "$tmp" || { sleep 1 && rm -rf "$tmp"; }
}

if [ -z "${WORLD_FOLDER:-}" ]; then
	[ "$(id -u)" = 0 ] || skip_all 'needs root'
	needs unshare setpriv busybox timeout
	unshare -m -n -p --fork --mount-proc true 2>/dev/null || skip_all 'namespaces cannot be made here'
	world=$(basename "$0" .sh)
	tmp=$(mktemp -d "/var/tmp/hull-$world.XXXXXX") || exit 1
	cgroup=hull-$world-$$
	inner=
	trap world_end EXIT
	trap 'exit 1' HUP INT TERM
	WORLD_FOLDER=$tmp WORLD_CGROUP=$cgroup setpriv --pdeathsig KILL \
		unshare -m -n -p --fork --kill-child=KILL --mount-proc sh "$0" "$@" &
	inner=$!
	wait $inner
	got=$?
	inner=
	exit $got
fi

tmp=$WORLD_FOLDER
cgroup=$WORLD_CGROUP
cd "$tmp" || exit 1
mount --make-rprivate /
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock
ip link set lo up 2>/dev/null || busybox ip link set lo up
