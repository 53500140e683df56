#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Guests that are out for the monitor (tests/lab/hostile.c): on a monitor with sanitizers they drive every device with chains and accesses of
# their invention for SECONDS_GIVEN (SEED repeats a run); and what code that has taken over monitor or share can reach.
. "$(dirname "$0")/../integration/lib.sh"
seconds=${SECONDS_GIVEN:-60}
seed=${SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
modprobe tun 2>/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/0"
echo shared >"$work/root/0/file"
echo outside >"$work/outside"
head -c 1048576 /dev/zero | tr '\0' '\245' >"$work/first"
truncate -s 1M "$work/second"
(cd "$work" && sha256sum first outside) >"$work/sums"

# One machine after the other, until the time is over: a guest may end itself sooner.
runs() {
	over=$(($(date +%s) + seconds))
	: >"$work/failed"
	while left=$((over - $(date +%s))) && [ "$left" -gt 2 ] && [ ! -s "$work/failed" ]; do
		rm -f "$work/said" "$work/end" "$work/complaint" "$work/facts"
		python3 "$(dirname "$0")/hostile.py" "$work" "$BUILD" "$seed" "$left"
		sed -n 's/^@DONE/# DONE/p' "$work/said" | tr -d '\000\r' >>"$work/done"
		sed "s/^/# SEED=$seed: /" "$work/end" >>"$work/done"
		[ -s "$work/facts" ] || return 1
		for what in ended_well is_sound untouched bounded; do
			"$what" >"$work/why" 2>&1 || { echo "$what" && cat "$work/why"; } >>"$work/failed"
		done
		[ -s "$work/failed" ] || seed=$((seed + 1))
	done
	tr -d '\000' <"$work/said" | grep -a '^@' | tail -n 3
}
holds() { # holds WHAT: of every machine
	! grep -qx "$1" "$work/failed" || { echo "SEED=$seed" && cat "$work/failed"; return 1; }
}
ended_well() { # off, or by a fault of its own making: devices write where it lets them
	cat "$work/facts" "$work/end" "$work/complaint"
	grep -q '^status=0 ' "$work/facts" && grep -qE '^(poweroff|triple-fault|reset) ' "$work/end" && grep -qa '^@HOSTILE devices=' "$work/said"
}
is_sound() {
	! grep -qa '^@WRONG' "$work/said" && ! grep -q 'Sanitizer\|runtime error' "$work/complaint"
}
untouched() {
	(cd "$work" && sha256sum -c sums) && [ "$(stat -c %s "$work/second")" = 1048576 ]
}
bounded() { # guest memory, a heap for sanitizers, and what they shadow
	kib=$(sed 's/.*kib=//' "$work/facts")
	[ "$kib" -lt 200000 ]
}
taken_over() {
	TAKEN_KERNEL=$BUILD/tests/lab_hostile "$BUILD/tests/unit/machine/test_machine_taken" >"$work/taken"
	got=$?
	cat "$work/taken"
	[ "$got" = 0 ] && ! grep -q skipped "$work/taken"
}

check "guests are as hostile as they can for $seconds s (from SEED=$seed)" runs
cat "$work/done"
check 'the monitor has served them to their ends' holds ended_well
check 'every device still does what a driver asks of it' holds is_sound
check 'what was not handed out, or read-only, is as it was' holds untouched
check 'its memory is bounded' holds bounded
check 'code that has taken over monitor or share reaches nothing, with filters and without' taken_over
done_testing
