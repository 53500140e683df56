#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill -9 at every system call of create, start, exec and delete, of hull-oci and of the processes it makes: `delete --force` brings back a
# clean host. Strided, so that SECONDS_GIVEN spreads over all calls when it does not suffice for each. TELL=1 tells of each.
BUILD=${BUILD:-$(cd "$(dirname "$HULL")/.." && pwd)}
SOURCE=${SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$SOURCE/tests/integration/lib.sh"
export BUILD SOURCE
needs python3
. "$SOURCE/tests/lib/world.sh"
oci=$BUILD/src/hull-oci
. "$SOURCE/tests/lib/left.sh"
. "$SOURCE/tests/lib/verbs.sh"
end=$(($(date +%s) + ${SECONDS_GIVEN:-60}))

# once N: strikes and looks; 0 fine, 1 not, 3 no such call.
once() {
	strike_at "$1"
	got=$?
	timeout -s KILL 60 "$oci" --root "$tmp/state" delete --force "$me" >delete.err 2>&1 </dev/null
	deleted=$?
	now=$(left)
	[ -z "$TELL" ] || echo "# $verb of $bundle, $whom, call $1 ($(head -n 1 call)): $got, delete $deleted"
	if [ $deleted != 0 ] || [ -n "$now" ] || [ $got != 0 ] && [ $got != 3 ]; then
		echo "# $verb of $bundle, $whom killed at its call $1 ($(head -n 1 call)): struck $got, delete --force $deleted, left:"
		{ cat delete.err struck.err; echo "$now"; } | sed 's/^/#   /'
		runtime delete --force "$me"
		return 1
	fi
	return "$got"
}

left >/dev/null # what is there before
whole
verdict 'after a kill at %s system calls of create, start, exec and delete, delete --force leaves nothing'
