#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# torture.sh NOMEM TEST…: runs each unit test with its Nth allocation failing, for N = 1 and on until none fails; then with all from the Nth on.
# A test may fail then: it may not crash, hang, or end in a sanitizer's report. With TORTURE_SEED only random N, for SECONDS_GIVEN.
nomem=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
n=0

attempt() { # attempt TEST N ALL: 0 survived, 1 did not, 2 there was no Nth allocation
	env LD_PRELOAD="$nomem" NOMEM_AT="$2" ${3:+NOMEM_ALL=1} timeout -k 1 60 "$1" >"$log" 2>&1
	status=$?
	grep -q '^nomem:' "$log" || return 2
	[ "$status" -le 1 ] || return 1
}

told() { # told TEST VERDICT: one line of TAP
	n=$((n + 1))
	name=$(basename "$1" | sed 's/^test_//')
	if [ -z "$2" ]; then
		echo "ok $n - $name survives each failing allocation"
	else
		echo "not ok $n - $name survives each failing allocation"
		echo "# $2 ends with status $status"
		tail -n 5 "$log" | sed 's/^/# /'
	fi
}

each() { # each TEST: every N
	for all in '' 1; do
		at=1
		while :; do
			attempt "$1" "$at" $all
			case $? in
			1) told "$1" "NOMEM_AT=$at${all:+ NOMEM_ALL=1}"; return ;;
			2) [ "$at" -gt 1 ] || { told "$1" "nothing fails: $1"; return; }; break ;;
			esac
			at=$((at + 1))
		done
	done
	told "$1" ''
}

if [ -n "${TORTURE_SEED:-}" ]; then
	end=$(($(date +%s) + ${SECONDS_GIVEN:-10}))
	seed=$TORTURE_SEED
	tries=0
	bad=
	while [ "$(date +%s)" -lt "$end" ] && [ -z "$bad" ]; do
		for test in "$@"; do
			seed=$(((seed * 1103515245 + 12345) % 2147483648))
			attempt "$test" $((seed / 65536 % 2000 + 1)) "$([ $((seed / 16 % 2)) = 0 ] || echo 1)"
			case $? in
			0) tries=$((tries + 1)) ;;
			1) bad=$test; break ;;
			esac
		done
	done
	if [ "$tries" = 0 ] && [ -z "$bad" ]; then
		told "$1" "no try in $SECONDS_GIVEN s: $1"
	elif [ -n "$bad" ]; then
		told "$bad" "NOMEM_AT=$((seed / 65536 % 2000 + 1))$([ $((seed / 16 % 2)) = 0 ] || echo ' NOMEM_ALL=1')"
	else
		n=1
		echo "ok 1 - $tries runs with a failing allocation each, seed $TORTURE_SEED"
	fi
else
	for test in "$@"; do
		each "$test"
	done
fi
echo "1..$n"
