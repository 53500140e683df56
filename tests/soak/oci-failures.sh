#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every system call of create, start, exec and delete fails once (no memory, no descriptors, a full disk, no processes, in turn), of hull-oci
# and of the processes it makes; then each allocation of hull-oci. It says so in a line or does without, never crashes or hangs, and
# `delete --force` brings back a clean host. Strided as oci-kill.sh is; TELL=1 tells of each.
BUILD=${BUILD:-$(cd "$(dirname "$HULL")/.." && pwd)}
SOURCE=${SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$SOURCE/tests/integration/lib.sh"
export BUILD SOURCE
needs python3
[ "$(uname -m)" = x86_64 ] || skip_all 'strike changes registers of x86-64 alone'
. "$SOURCE/tests/lib/world.sh"
oci=$BUILD/src/hull-oci
. "$SOURCE/tests/lib/left.sh"
. "$SOURCE/tests/lib/verbs.sh"
given=${SECONDS_GIVEN:-60}

# once N: fails the call and looks; 0 fine, 1 not, 3 no such call.
once() {
	set -- "$1" 12 24 28 11 # ENOMEM, EMFILE, ENOSPC, EAGAIN
	shift $((1 + ($1 + points) % 4))
	strike_at "$call=$1"
	got=$?
	number=$(sed -n 1p call) ended=$(sed -n 2p call)
	[ "$call" -gt 4 ] || [ "$ended" != 139 ] || ended=0 # the first are the loader's own, and without memory it crashes
	timeout -s KILL 60 "$oci" --root "$tmp/state" delete --force "$me" >delete.err 2>&1 </dev/null
	deleted=$?
	now=$(left)
	[ -z "$TELL" ] || echo "# $verb of $bundle, $whom, call $call ($number) fails with $1: $got, ends $ended, delete $deleted: $(head -n 1 struck.err)"
	silent= # a failed write of the line itself is the one excuse
	[ "${ended:-0}" = 0 ] || [ -s struck.err ] || [ "$number" = 1 ] || [ "$number" = 20 ] || silent=' in silence'
	if [ $deleted != 0 ] || [ -n "$now" ] || [ -n "$silent" ] || { [ $got != 0 ] && [ $got != 3 ]; } || [ "${ended:-0}" -gt 127 ] && [ "${ended:-0}" != 255 ]; then
		echo "# $verb of $bundle, call $call ($number) of $whom fails with $1: struck $got, ended $ended$silent, delete --force $deleted, left:"
		{ cat delete.err struck.err; echo "$now"; } | sed 's/^/#   /'
		runtime delete --force "$me"
		return 1
	fi
	return "$got"
}

# without VERB N: the same for allocation N of hull-oci alone; 3 when there is none.
without() {
	case $1 in
	start) runtime create --bundle more "$me" ;;
	exec | delete) runtime run --detach --bundle more "$me" ;;
	esac
	case $1 in
	create) set -- "$1" "$2" --bundle more "$me" ;;
	start) set -- "$1" "$2" "$me" ;;
	exec) set -- "$1" "$2" "$me" sleep 0 ;;
	delete) set -- "$1" "$2" --force "$me" ;;
	esac
	word=$1 at=$2
	shift 2
	LD_PRELOAD=$BUILD/tests/libnomem.so NOMEM_AT=$at timeout -s KILL 60 "$oci" --root "$tmp/state" "$word" "$@" >/dev/null 2>struck.err </dev/null
	ended=$?
	timeout -s KILL 60 "$oci" --root "$tmp/state" delete --force "$me" >delete.err 2>&1 </dev/null
	deleted=$?
	now=$(left)
	grep -q '^nomem:' struck.err || return 3
	[ $deleted = 0 ] && [ -z "$now" ] && { [ $ended = 0 ] || grep -qv '^nomem:' struck.err; } && { [ $ended -le 127 ] || [ $ended = 255 ]; } && return 0
	echo "# $word without allocation $at ends with $ended, delete --force $deleted, left:"
	{ cat delete.err struck.err; echo "$now"; } | sed 's/^/#   /'
	runtime delete --force "$me"
	return 1
}

allocations() {
	points=0 failures=0
	for word in create start exec delete; do
		at=1
		while [ "$(date +%s)" -lt "$end" ]; do
			without "$word" "$at"
			got=$?
			[ $got != 3 ] || break
			failures=$((failures + got)) points=$((points + 1)) at=$((at + step))
		done
	done
}

left >/dev/null # what is there before
step=${STEP:-7}
end=$(($(date +%s) + given / 3)) # the rest is for the system calls
allocations
echo "# $points allocations of hull-oci failed, each ${step}th, $failures of them badly"
missed=$failures
end=$(($(date +%s) + given - given / 3))
whole
failures=$((failures + missed))
verdict 'after a failure of %s system calls of create, start, exec and delete, and of allocations, delete --force leaves nothing'
