#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill -9 at a random moment of run, start, exec, stop and rm, of the command, the keeper and the first process; of machines
# (HULL_ISOLATION=vm) the monitor, the share and the agent: the next command repairs, and nothing is left. SECONDS_GIVEN bounds it,
# SEED repeats it, TELL=1 tells of each round.
. "$(dirname "$0")/../integration/lib.sh"
isolation=${HULL_ISOLATION:-container}
seed=${SEED:-1}
end=$(($(date +%s) + ${SECONDS_GIVEN:-30}))
BUILD=$(cd "$(dirname "$HULL")/.." && pwd)
tmp=$(mktemp -d /var/tmp/hull-kill.XXXXXX)
export HULL_ROOT="$tmp/store"
cd "$tmp" || exit 1
sentence="after a kill at any moment of a $isolation's life the next command leaves nothing"

hull() {
	timeout -s KILL 60 "$HULL" "$@"
}

finish() {
	hull ps -aq 2>/dev/null | while read -r id; do hull rm -f "$id" >/dev/null 2>&1; done
	awk -v at="$tmp/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r at; do umount -l "$at"; done
	if bridge=$(cut -d ' ' -f 1 "$HULL_ROOT/network" 2>/dev/null); then
		ip link del "$bridge" 2>/dev/null
		nft delete table inet "hull_$bridge" 2>/dev/null
	fi
	[ ! -s ids ] || sort -u ids | while read -r id; do # of a round that failed
		find /sys/fs/cgroup -depth -type d -path "*/hull/$id*" -exec rmdir {} + 2>/dev/null
	done
	cd / && rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

random() { # random N: sets r to 0..N-1
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	r=$((seed / 65536 % $1))
}

pick() { # pick WORD...: sets word to one of them
	random $#
	shift "$r"
	word=$1
}

now_ms() {
	date +%s%3N
}

# --- the processes of the workload ---

run_file() { # run_file FILE: the pid in it, of the one workload there is
	cut -d ' ' -f 1 "$HULL_ROOT"/run/workloads/*/"$1" 2>/dev/null | head -n 1
}

in_cgroup() { # the pids in the workload's cgroup
	for folder in "$HULL_ROOT"/run/workloads/*; do
		id=${folder##*/}
		cat "/sys/fs/cgroup/hull/$id/workload/cgroup.procs" /sys/fs/cgroup/*/"hull/$id/workload/cgroup.procs" 2>/dev/null
	done | sort -nu | grep -vx 0
}

begun() { # begun PID: when it was started; nothing when it is gone
	sed -n 's/.*) //p' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'
}

note() { # remembers what there is of the workload just now
	for folder in "$HULL_ROOT"/workloads/* "$HULL_ROOT"/run/workloads/*; do
		[ ! -d "$folder" ] || echo "${folder##*/}" >>ids
	done
	for pid in $(run_file keeper) $(run_file monitor.pid) $(run_file share.pid) $(in_cgroup); do
		at=$(begun "$pid")
		[ -z "$at" ] || echo "$pid $at" >>processes
	done
}

end_agent() { # a kernel whose process 1 ends panics; this one only if it is not the host's
	# shellcheck disable=SC2016 # for the shell inside
	timeout -s KILL 20 "$HULL" exec w sh -c '[ "$(cat /proc/sys/kernel/random/boot_id)" = "$0" ] || echo c >/proc/sysrq-trigger' \
		"$(cat /proc/sys/kernel/random/boot_id)" >/dev/null 2>&1
}

strike() { # strike VICTIM
	pid=
	case $1 in
	command) pid=$command ;;
	keeper) pid=$(run_file keeper) ;;
	first) pid=$(in_cgroup | head -n 1) ;;
	monitor) pid=$(run_file monitor.pid) ;;
	share) pid=$(run_file share.pid) ;;
	agent) end_agent ;;
	esac
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
	[ -z "$TELL" ] || echo "# $doing, $moment of $span ms: $victim ($pid)"
}

strike_at_end() { # the keeper, when it has told of the end and takes everything apart
	note
	victim=keeper moment=$span pid=$(run_file keeper)
	timeout -s KILL 20 "$HULL" wait w >/dev/null 2>&1
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
	[ -z "$TELL" ] || echo "# $doing, at the end: keeper ($pid)"
}

# --- what is left ---

leftovers() { # what this store's workloads have outside its folders, and in them
	sort -u ids | while read -r id; do
		head=$(echo "$id" | cut -c 1-12)
		find /sys/fs/cgroup -maxdepth 5 -type d -name "$id" 2>/dev/null
		pgrep -f "workloads/$id" | sed 's/^/process /'
		[ ! -e "/sys/class/net/hl$head" ] || echo "link hl$head"
		nft list ruleset 2>/dev/null | grep -F "$head" | sed 's/^[[:space:]]*/rule /'
	done
	sort -u processes | while read -r pid at; do
		[ "$(begun "$pid")" != "$at" ] || echo "process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c 1-80))"
	done
	if bridge=$(cut -d ' ' -f 1 "$HULL_ROOT/network" 2>/dev/null); then
		[ ! -e "/sys/class/net/$bridge" ] || echo "link $bridge"
		nft list ruleset 2>/dev/null | grep -F "$bridge" | sed 's/^[[:space:]]*/rule /'
	fi
	awk -v at="$tmp/" 'index($5, at) == 1 && !index($5, "/run/layers/") { print "mount " $5 }' /proc/self/mountinfo
	find "$HULL_ROOT/workloads" "$HULL_ROOT/run/workloads" "$HULL_ROOT/tmp" -mindepth 1 -maxdepth 1 2>/dev/null
	hull ps -aq --no-trunc | sed 's/^/record /'
}

settled() { # nothing is left, at once or a moment later: an idle network stands for a quarter of a second
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		left=$(leftovers)
		[ -n "$left" ] || return 0
		sleep 0.3
	done
	return 1
}

# --- one round ---

perform() { # perform STEP OPTION...: in the background, after what comes before it; span: how long it takes, in milliseconds
	step=$1 span=$short
	shift
	case $step in
	run | run-d) span=$long ;;
	start) span=$long && "$HULL" create "$@" ;;
	stop) span=1200 && "$HULL" run -d "$@" ;;
	*) "$HULL" run -d "$@" ;;
	esac >/dev/null 2>&1
	case $step in
	run) "$HULL" run "$@" ;;
	run-d) "$HULL" run -d "$@" ;;
	start) "$HULL" start w ;;
	exec) "$HULL" exec w sleep 1000 ;;
	stop) "$HULL" stop -t 1 w ;;
	rm) "$HULL" rm -f w ;;
	esac >/dev/null 2>&1 &
	command=$!
}

go_on() { # go_on COMMAND: what the user does next
	case $1 in
	ps) hull ps -a ;;
	start) hull start w ;;
	esac >/dev/null 2>&1
	hull rm -f w >/dev/null 2>&1
	kill -9 "$command" 2>/dev/null
	wait "$command" 2>/dev/null
	hull rm -f w >/dev/null 2>&1
}

one_round() {
	: >ids
	: >processes
	pick run run-d start exec stop rm
	doing=$word
	pick '--network=none' '-p=127.0.0.1::80'
	# shellcheck disable=SC2086 # options
	perform "$doing" --name w "$word" $options kill sleep 1000
	# shellcheck disable=SC2086 # words
	pick $victims
	victim=$word
	pick moment moment end
	if [ "$doing-$word" = stop-end ] || [ "$doing-$word" = rm-end ]; then
		strike_at_end
	else
		random "$span"
		moment=$r
		sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
		note
		strike "$victim"
	fi
	note
	pick rm ps start
	go_on "$word"
	settled
}

# --- the sweep ---

prepare() {
	mkdir -p root/bin shared
	cp "$(command -v busybox)" root/bin/busybox
	for tool in sh sleep true cat; do ln -s busybox "root/bin/$tool"; done
	hull image import --env PATH=/bin root kill >/dev/null || return 1
	began=$(now_ms)
	# shellcheck disable=SC2086 # options
	hull run --rm --network none $options kill true >/dev/null || return 1
	long=$((($(now_ms) - began) * 5 / 4))
	[ $long -lt 30000 ] || long=30000
}

options='' short=60 victims='command keeper first'
if [ "$isolation" = vm ]; then
	machine_kernel 60 || {
		printf 'ok 1 - %s # SKIP %s\n1..1\n' "$sentence" "$why"
		exit 0
	}
	options="--vm --privileged -v $tmp/shared:/shared" short=250 victims='command keeper monitor share agent'
fi
prepare || {
	printf 'not ok 1 - %s\n# no round could begin\n1..1\n' "$sentence"
	exit 1
}
rounds=0
while [ "$(date +%s)" -lt $end ]; do
	rounds=$((rounds + 1)) from=$seed
	one_round && continue
	echo "not ok 1 - $sentence"
	echo "# left in round $rounds (SEED=$from): $doing, $victim killed after $moment of $span ms, then $word:"
	echo "$left" | sed 's/^/#   /'
	echo 1..1
	exit 1
done
echo "ok 1 - $sentence"
echo "# $rounds rounds, each of at most $long ms before the kill"
echo 1..1
