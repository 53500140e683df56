#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill -9 of a command, its keeper or its workload at a random moment of start, exec, stop and rm: the next command repairs, and
# nothing is left. SECONDS_GIVEN bounds it, SEED repeats it.
seed=${SEED:-1}
end=$(($(date +%s) + ${SECONDS_GIVEN:-30}))
tmp=$(mktemp -d /var/tmp/hull-kill.XXXXXX)
export HULL_ROOT="$tmp/store"
cd "$tmp" || exit 1

finish() {
	timeout -s KILL 60 "$HULL" ps -aq 2>/dev/null | while read -r id; do timeout -s KILL 60 "$HULL" rm -f "$id" >/dev/null 2>&1; done
	awk -v at="$tmp/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r at; do umount -l "$at"; done
	cd / && rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

random() { # random N: sets r to 0..N-1
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	r=$((seed / 65536 % $1))
}

leftovers() { # what this store's workloads have outside its folders
	for id in $ids; do
		find /sys/fs/cgroup -maxdepth 4 -type d -name "$id" 2>/dev/null
		pgrep -f "workloads/$id" | sed 's/^/process /'
	done
	find "$HULL_ROOT/workloads" "$HULL_ROOT/run/workloads" -mindepth 1 -maxdepth 1 2>/dev/null
}

victim() { # a process of the workload that runs just now: the command, the keeper, the first process
	random 3
	case $r in
	0) echo "$command" ;;
	1) cut -d' ' -f1 "$HULL_ROOT"/run/workloads/*/keeper 2>/dev/null | head -n 1 ;;
	2) timeout -s KILL 20 "$HULL" inspect --format '{{.State.Pid}}' w 2>/dev/null ;;
	esac
}

mkdir -p root/bin
cp "$(command -v busybox)" root/bin/busybox
for name in sh sleep true; do ln -s busybox root/bin/$name; done
"$HULL" image import root kill >/dev/null || { echo 'not ok 1 - an image is imported'; exit 1; }

rounds=0
failed=0
while [ "$(date +%s)" -lt $end ]; do
	rounds=$((rounds + 1))
	began=$seed
	random 4
	case $r in
	0) "$HULL" run --name w --network none kill sleep 100 >/dev/null 2>&1 & ;;
	1) "$HULL" run -d --name w --network none kill sleep 100 >/dev/null 2>&1 & ;;
	2) "$HULL" run -d --name w --network none kill sleep 100 >/dev/null 2>&1; "$HULL" exec w sleep 100 >/dev/null 2>&1 & ;;
	3) "$HULL" run -d --name w --network none kill sleep 100 >/dev/null 2>&1; "$HULL" rm -f w >/dev/null 2>&1 & ;;
	esac
	command=$!
	random 40
	sleep "0.0$(printf '%02d' "$r")"
	pid=$(victim)
	case $pid in '' | 0) ;; *) kill -9 "$pid" 2>/dev/null ;; esac
	ids=$(ls "$HULL_ROOT/workloads" 2>/dev/null)
	timeout -s KILL 30 "$HULL" rm -f w >/dev/null 2>&1
	kill -9 "$command" 2>/dev/null
	wait "$command" 2>/dev/null
	timeout -s KILL 30 "$HULL" rm -f w >/dev/null 2>&1
	left=$(leftovers)
	if [ -n "$left" ] || [ -n "$(timeout -s KILL 30 "$HULL" ps -aq)" ]; then
		failed=$((failed + 1))
		echo "# left in round $rounds (seed $began):"
		echo "$left" | sed 's/^/#   /'
		"$HULL" ps -a | sed 's/^/#   /'
		break
	fi
done
if [ $failed = 0 ]; then
	echo "ok 1 - after a kill at any of $rounds moments the next command leaves nothing"
else
	echo "not ok 1 - after a kill at any moment the next command leaves nothing"
fi
echo 1..1
exit $failed
