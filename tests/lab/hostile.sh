#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A guest that is out for the monitor (tests/lab/hostile.c): on a monitor with sanitizers it drives every device with chains and accesses of
# its invention for SECONDS_GIVEN (SEED repeats a run); and what code that has taken over monitor or share can reach.
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

runs() {
	python3 "$(dirname "$0")/hostile.py" "$work" "$BUILD" "$seed" "$seconds"
	tail -n 3 "$work/facts" "$work/end" "$work/complaint"
	tr -d '\000' <"$work/said" | grep -a '^@' | tail -n 3
	[ -s "$work/facts" ]
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

check "a guest is as hostile as it can for $seconds s (SEED=$seed)" runs
grep -a '^@DONE' "$work/said" | sed 's/^@/# /'
sed 's/^/# /' "$work/end"
check 'the monitor has served it to its end' ended_well
check 'every device still does what a driver asks of it' is_sound
check 'what was not handed out, or read-only, is as it was' untouched
check 'its memory is bounded' bounded
check 'code that has taken over monitor or share reaches nothing, with filters and without' taken_over
done_testing
