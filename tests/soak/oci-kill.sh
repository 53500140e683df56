#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill -9 of hull-oci at a random system call of create, start, exec and delete: `delete --force` brings back a clean host.
# SECONDS_GIVEN bounds it, SEED repeats it. HULL is the command as built; hull-oci stands beside it.
oci=$(dirname "$HULL")/hull-oci
for need in strace busybox; do
	command -v $need >/dev/null || { echo "ok 1 - kills at system calls # SKIP needs $need"; echo 1..1; exit 0; }
done
seed=${SEED:-1}
end=$(($(date +%s) + ${SECONDS_GIVEN:-30}))
tmp=$(mktemp -d /var/tmp/hull-oci-kill.XXXXXX)
cd "$tmp" || exit 1
me=oci-kill-$$
trap 'timeout 30 "$oci" --root "$tmp/state" delete --force "$me" >/dev/null 2>&1; cd / && rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

random() { # random N: sets r to 0..N-1
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	r=$((seed / 65536 % $1))
}

quiet() {
	timeout -s KILL 30 "$@" >/dev/null 2>&1 </dev/null
}

left() {
	find /sys/fs/cgroup -maxdepth 4 -type d -name "$me" 2>/dev/null
	ls state 2>/dev/null
	pgrep -x 'sleep' -a | grep "sleep $mark" | sed 's/^/process /'
}

mark=$((100000 + $$))
mkdir -p rootfs/bin state && cp "$(command -v busybox)" rootfs/bin/busybox && ln -s busybox rootfs/bin/sleep
"$oci" spec && sed -i "s|\"terminal\": *true|\"terminal\":false|; s|\"sh\"|\"/bin/sleep\",\"$mark\"|" config.json

rounds=0 failed=0
while [ "$(date +%s)" -lt $end ] && [ $failed = 0 ]; do
	rounds=$((rounds + 1))
	random 4
	case $r in
	0) verb='create' && set -- create "$me" ;;
	1) verb='start' && quiet "$oci" --root state create "$me" && set -- start "$me" ;;
	2) verb='exec' && quiet "$oci" --root state run -d "$me" && set -- exec "$me" /bin/sleep 0 ;;
	3) verb='delete' && quiet "$oci" --root state run -d "$me" && set -- delete --force "$me" ;;
	esac
	random 220
	n=$((r + 1))
	quiet strace -o /dev/null -e trace=all -e "inject=all:signal=KILL:when=$n" "$oci" --root state "$@"
	timeout -s KILL 30 "$oci" --root state delete --force "$me" >/dev/null 2>delete.err
	now=$(left)
	[ -z "$now" ] || { sleep 0.5 && now=$(left); } # a parked process that lost its parent is on its way out
	if [ -n "$now" ]; then
		failed=1
		echo "# left after a kill at call $n of $verb:"
		{ echo "$now"; cat delete.err; } | sed 's/^/#   /'
	fi
done
if [ $failed = 0 ]; then
	echo "ok 1 - after a kill at any of $rounds system calls delete --force leaves nothing"
else
	echo "not ok 1 - after a kill at any system call delete --force leaves nothing"
fi
echo 1..1
exit $failed
