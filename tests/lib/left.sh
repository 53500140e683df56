# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What containers of $oci leave in a world of its own (world.sh), looked at without starting a program where there is nothing to see.
# shellcheck disable=SC2154 # $oci, $tmp and $cgroup are the script's

# bundle_of DIR SCRIPT [PYTHON]: a bundle in DIR with $tmp/rootfs, cgroups below $cgroup and one more limit than the default; PYTHON edits
# its configuration `c`.
bundle_of() {
	mkdir -p "$1" && (cd "$1" && "$oci" spec) || return 1
	SCRIPT=$2 EDIT=${3:-} ROOTFS=$tmp/rootfs python3 - "$1/config.json" <<-'PY'
		import json, os, sys
		path = sys.argv[1]
		c = json.load(open(path))
		c['process'].update(terminal=False, args=['/bin/sh', '-c', os.environ['SCRIPT']], env=['PATH=/bin'])
		c['root']['path'] = os.environ['ROOTFS']
		c['linux'].setdefault('resources', {})['pids'] = {'limit': 50}
		exec(os.environ['EDIT'])
		json.dump(c, open(path, 'w'))
	PY
}

left_processes() { # all but shells: this script and its callers are nothing else
	for at in /proc/[0-9]*; do
		read -r comm <"$at/comm" 2>/dev/null || continue
		case $comm in
		sh | timeout) ;;
		*) orphan "$at" || echo "process ${at#/proc/} ($comm, $(sed -n 's/^State:.//p' "$at/status"))" ;;
		esac
	done 2>/dev/null
}

# orphan PROCESS: it is dead and a child of process 1, this script, which reaps it once it waits again: not while it reads $(left).
orphan() {
	[ "$(sed -n 's/^State:\t\(.\).*/\1/p; s/^PPid:\t//p' "$1/status" | tr -d '\n')" = Z1 ]
}

left_files() { # state folders and cgroups
	for at in "$tmp"/state/* /sys/fs/cgroup/*/"$cgroup"/* /sys/fs/cgroup/"$cgroup"/*; do
		[ ! -d "$at" ] || echo "$at"
	done
}

left_mounts() { # those that were not there when this was asked first
	[ -e "$tmp/mounts" ] || cut -d ' ' -f 5 /proc/self/mountinfo | sort >"$tmp/mounts"
	cut -d ' ' -f 5 /proc/self/mountinfo | sort | comm -13 "$tmp/mounts" - | sed 's/^/mount /'
}

left_namespaces() { # those of no process that was there when this was asked first
	readlink /proc/[0-9]*/ns/* 2>/dev/null | sort -u >"$tmp/ns.now"
	[ -e "$tmp/ns" ] || cp "$tmp/ns.now" "$tmp/ns"
	comm -13 "$tmp/ns" "$tmp/ns.now" | sed 's/^/namespace /'
}

left_now() {
	left_processes
	left_files
	left_mounts
	left_namespaces
}

# left: what is there of containers; who is on its way out gets ten seconds, for a busy host takes apart slowly. Each look is a whole one:
# who was made while the one before it went over /proc was in none of its lists.
left() {
	for _ in $(seq 50); do
		now=$(left_now)
		[ -n "$now" ] || return 0
		sleep 0.2
	done
	echo "$now"
}
