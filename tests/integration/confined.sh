#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Whoever reads what a stranger has made has given up its rights by then, wherever that comes from.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || skip_all 'needs root'

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
HULL_ROOT=$dir/store
export HULL_ROOT

says() { # says PID LINE…: /proc says all of this of it
	of=$1
	shift
	for line in "$@"; do grep -qx "$line" "/proc/$of/status" || { echo "not $line"; return 1; }; done
}
is_confined() { # is_confined PATTERN: the oldest process whose command line is like that, soon
	soon pgrep -f "$1" && pid=$(pgrep -o -f "$1") && soon says "$pid" 'Seccomp:.2' && says "$pid" 'CapEff:.0*' 'CapPrm:.0*' 'NoNewPrivs:.1'
}
confined() { # confined COMMAND…: while it waits for its standard input, which is no archive in the end
	mkfifo hold && exec 7<>hold || return 1
	"$@" <hold 7>&- &
	a=$!
	of="^[^ ]*hull-import --root=$dir/" # and who mounts for it, which is its child and younger
	is_confined "$of"
	result=$?
	exec 7>&-
	wait "$a"
	rm hold
	return "$result"
}
check 'who reads what a stranger has made has no capability, and a list of system calls' confined "$HULL" image import - x:1
check 'whoever reads an archive of images has not either' confined "$HULL" load
looks() { # looks VERB: likewise, while it reads zeros that take a while and no room
	[ -d big ] || { mkdir big && truncate -s 1G big/zeros && "$HULL" image import big zeros:1 >/dev/null; } || return 1
	"$HULL" system "$1" >/dev/null &
	a=$!
	is_confined "^[^ ]*hull-image $dir/store $1"
	result=$?
	wait "$a" && return "$result"
}
check 'nor has who looks for damage in the store' looks check
check 'nor who repairs it' looks repair
[ -z "$(pgrep -f "hull-(import --root=|image )$dir/")" ] && left=nothing
check 'no process is left of that' [ "$left" = nothing ]
done_testing
