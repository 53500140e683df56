#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the engine withstands (SECURITY E3 to E8): a host that has nothing left, logs without end, words that look like orders, curious users,
# and a volume's source that changes while it is looked at.
# shellcheck disable=SC2016,SC3045 # dash knows ulimit -n; what stands in single quotes is for the shell inside
. "$SOURCE/tests/integration/lib.sh"
needs python3
. "$SOURCE/tests/lib/world.sh"
export HULL_ROOT="$tmp/store"
# dash has no $'\033'
esc=$(printf '\033')

hull() {
	timeout -k 10 60 "$HULL" "$@"
}
run() {
	hull run --network none "$@"
}

finish() {
	for id in $(hull ps -aq 2>/dev/null); do hull rm -f "$id" >/dev/null 2>&1; done
	awk -v at="$tmp/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r at; do umount "$at" 2>/dev/null || umount -l "$at"; done
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

make_image() {
	busybox_root image && hull image import --env PATH=/bin image bb >/dev/null
}
check 'an image is there' make_image

# one_line COMMAND...: it fails with 125 and one line of hull's.
one_line() {
	"$@" >said.out 2>said.err </dev/null
	got=$?
	cat said.out said.err
	[ "$got" = 125 ] && [ "$(wc -l <said.err)" = 1 ] && grep -q '^hull: ' said.err
}
nothing_left() {
	[ -z "$(hull ps -aq)" ] && [ -z "$(find "$HULL_ROOT/workloads" "$HULL_ROOT/run/workloads" -mindepth 1)" ]
}

# --- E3: a host that has nothing left ---
full_disk() {
	cp -a "$HULL_ROOT/db" full.db 2>/dev/null
	mount -t tmpfs -o size=1m,mode=700 full "$HULL_ROOT/workloads" && head -c 2000000 /dev/zero >"$HULL_ROOT/workloads/fill" 2>/dev/null
	one_line run --rm bb true
	got=$?
	cat said.err
	umount -l "$HULL_ROOT/workloads"
	[ "$got" = 0 ] && grep -q 'No space left' said.err
}
check 'a full disk is told in one line' full_disk
check 'with room again it runs' run --rm bb true
few_descriptors() { # from too few for anything to enough
	enough=
	for limit in 3 4 5 6 7 8 9 10 11 12 14 16 20 24 32 64; do
		(ulimit -n "$limit" && exec timeout -k 10 60 "$HULL" run --network none --rm bb echo ran) >few.out 2>few.err </dev/null
		got=$?
		if [ "$got" = 0 ] && grep -qx ran few.out; then
			enough=$limit
		elif [ "$got" -gt 127 ] || [ ! -s few.err ]; then
			echo "with $limit descriptors it ends with $got:"
			cat few.err
			return 1
		fi
	done
	[ -n "$enough" ] && nothing_left
}
check 'too few descriptors are told, and leave nothing' few_descriptors
pids=/sys/fs/cgroup/pids
[ -d $pids ] || pids=/sys/fs/cgroup
few_processes() {
	mkdir -p "$pids/$cgroup/few" || return 1
	enough=
	for limit in 1 2 3 4 5 6 8 12 20; do
		echo "$limit" >"$pids/$cgroup/few/pids.max" || return 1
		timeout -k 10 60 sh -c 'echo 0 >"$0/cgroup.procs" && exec "$1" run --network none --rm bb echo ran' "$pids/$cgroup/few" "$HULL" \
			>few.out 2>few.err </dev/null
		got=$?
		if [ "$got" = 0 ] && grep -qx ran few.out; then
			enough=$limit
		elif [ "$got" -gt 127 ] || [ ! -s few.err ]; then
			echo "with $limit processes it ends with $got:"
			cat few.err
			return 1
		fi
	done
	[ -n "$enough" ] && nothing_left
}
if [ -e "$pids/cgroup.procs" ] && { [ $pids != /sys/fs/cgroup ] || grep -qw pids /sys/fs/cgroup/cgroup.subtree_control; }; then
	check 'too few processes are told, and leave nothing' few_processes
else
	skip 'too few processes are told, and leave nothing' 'this host limits no processes'
fi
no_memory() { # every seventh allocation of the command, until there are no more
	[ -e "$BUILD/tests/libnomem.so" ] || { echo "no $BUILD/tests/libnomem.so"; return 1; }
	at=1
	while :; do
		LD_PRELOAD=$BUILD/tests/libnomem.so NOMEM_AT=$at timeout -k 10 60 "$HULL" run --network none --rm bb true >few.out 2>few.err </dev/null
		got=$?
		grep -q '^nomem:' few.err || break
		if [ "$got" != 0 ] && { [ "$got" -gt 127 ] || ! grep -qv '^nomem:' few.err; }; then
			echo "without allocation $at it ends with $got:"
			cat few.err
			return 1
		fi
		at=$((at + 7))
	done
	[ "$at" -gt 20 ] && nothing_left
}
check 'an allocation that fails is told, and leaves nothing' no_memory

# --- E4: logs ---
bounded() {
	run -d --name loud --log-max 256k bb sh -c 'while :; do echo 0123456789012345678901234567890123456789; done' >/dev/null || return 1
	sleep 3
	size=$(du -sk "$HULL_ROOT"/workloads/*/log* | awk '{ n += $1 } END { print n }')
	hull logs --tail 1 loud | cut -c 1-10 | grep -x 0123456789 && hull rm -f loud >/dev/null
	echo "$size KiB"
	[ "$size" -le 1024 ]
}
check 'a log is rotated and bounded' bounded

# --- E5: words are data ---
words='$(touch pwned) `touch pwned` %n%s%x "; touch pwned #'
check 'a variable is what was given' is "$words" run --rm -e "A=$words" bb sh -c 'echo "$A"'
check 'an argument is what was given' is "$words" run --rm bb echo "$words"
strange_volume() {
	mkdir -p "a b;'\$(touch pwned)" && echo there >"a b;'\$(touch pwned)/note"
	is there run --rm -v "$PWD/a b;'\$(touch pwned):/in" bb cat /in/note
}
check 'a path is what was given' strange_volume
labelled() {
	run -d --name label --label "a=$words${esc}[2J" bb sh -c "sleep 100 # ${esc}[2J$words" >/dev/null || return 1
	hull ps -a --no-trunc >ps.out && hull inspect label >inspect.out && hull ps -a --format '{{.Command}} {{.Labels}}' >format.out
	grep -lF "$esc" ps.out inspect.out && { echo 'an escape sequence reaches the terminal'; return 1; }
	python3 -c 'import json, sys; assert json.load(sys.stdin)[0]["Config"]["Labels"]["a"] == sys.argv[1]' "$words${esc}[2J" <inspect.out
}
check 'a label comes back whole, and no escape sequence through ps or inspect' labelled
escaped() {
	hull run --rm "no${esc}[2Jimage" true 2>said.err
	hull rm "no${esc}[2J" 2>>said.err
	hull run --name "x${esc}[2J" bb true 2>>said.err
	hull run --"x${esc}[2J" bb true 2>>said.err
	[ "$(grep -c '^hull' said.err)" -ge 4 ] && ! grep -F "$esc" said.err
}
check 'no escape sequence comes through an error' escaped
check 'none of these words was an order' test ! -e pwned

# --- E6: sockets ---
private() {
	find "$HULL_ROOT" /run -xdev -type s 2>/dev/null | while read -r socket; do
		[ "$(stat -c '%a %u' "$socket")" = '600 0' ] || { stat "$socket"; exit 1; }
		echo "$socket"
	done >sockets || { cat sockets; return 1; }
	[ -s sockets ]
}
check 'sockets are for their owner alone' private
# Even who can reach the socket is asked who he is.
stranger() {
	control=$(find "$HULL_ROOT" -type s -name ctl | head -n 1)
	folder=${control%/*}
	for uid in 0 1000; do
		(cd "$folder" && chmod 666 ctl && timeout 20 setpriv --reuid "$uid" --regid "$uid" --clear-groups /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    s.connect("ctl")
    s.settimeout(2)
    print("hung up" if s.recv(1) == b"" else "answered")
except TimeoutError:
    print("waits for a request")
except OSError as e:
    print("hung up")')
	done | tr '\n' ' '
	chmod 600 "$control"
}
open_folders() { # a stranger's way there, for once
	at=$HULL_ROOT/run/workloads
	chmod 711 "$tmp" "$HULL_ROOT" "$HULL_ROOT/run" "$at" "$at"/*
	is 'waits for a request hung up ' stranger
	got=$?
	chmod 700 "$HULL_ROOT" "$HULL_ROOT/run" "$at" "$at"/*
	return "$got"
}
check 'a stranger who reaches a keeper'\''s socket is hung up on' open_folders
listens() {
	awk 'FNR > 1 && $4 == "0A" { print FILENAME, $2 }' /proc/net/tcp /proc/net/tcp6
	awk 'FNR > 1 { print FILENAME, $2 }' /proc/net/udp /proc/net/udp6
}
check 'nothing listens on a network unasked' is '' listens

# --- E7: secrets ---
kept_secret() {
	echo 'TOKEN=s3cr3t-value' >secret.env && chmod 600 secret.env
	run -d --name safe --env-file secret.env bb sh -c 'test "$TOKEN" = s3cr3t-value && echo has it; sleep 100' >/dev/null || return 1
	soon sh -c '"$0" logs safe | grep -qx "has it"' "$HULL" || return 1
	cat /proc/[0-9]*/cmdline >arguments 2>/dev/null
	grep -a s3cr3t arguments && { echo 'a secret in argv'; return 1; }
	hull logs safe 2>&1 | grep s3cr3t && { echo 'a secret in the log'; return 1; }
	setpriv --reuid 1000 --regid 1000 --clear-groups grep -rls s3cr3t "$HULL_ROOT" /run && { echo 'a secret that everybody reads'; return 1; }
	hull rm -f safe >/dev/null
}
check 'a secret from a file is in no argument, no log, and nothing that others read' kept_secret

# --- E8: volumes ---
check 'a volume inside the store is refused' refused "inside hull's own store" run --rm -v "$HULL_ROOT/workloads:/x" bb true
by_link() {
	ln -s "$HULL_ROOT" way
	refused "inside hull's own store" run --rm -v "$PWD/way/workloads:/x" bb true
}
check 'nor is it reached by a link' by_link
swapped() { # between the look and the mount, sixty times
	mkdir -p honest && ln -s "$HULL_ROOT" trap
	(cd "$tmp" && exec python3 -c '
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
while True:
    libc.renameat2(-100, b"honest", -100, b"trap", 2)') &
	swapper=$!
	i=0 seen=0
	while [ "$i" -lt 60 ]; do
		run --rm -v "$tmp/honest:/x" bb ls /x >seen.out 2>/dev/null && seen=$((seen + 1))
		grep -qE '^(db|workloads|layers)$' seen.out && { echo "the store is seen in run $i"; break; }
		i=$((i + 1))
	done
	kill "$swapper"
	wait "$swapper" 2>/dev/null
	echo "$seen of $i ran"
	[ "$i" = 60 ] && [ "$seen" -gt 0 ]
}
check 'a source that is swapped for a link to the store is never mounted' swapped
for id in $(hull ps -aq); do hull rm -f "$id" >/dev/null 2>&1; done
check 'nothing is left' nothing_left
done_testing
