#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hull compare: one image in both isolations, and what each cost. Machines need the distribution's kernel; without one only what needs
# none is shown.
. "$(dirname "$0")/lib.sh"

work=$(mktemp -d)
HULL_ROOT=$work/store
export HULL_ROOT
cleanup() {
	"$HULL" ps -aq 2>/dev/null | while read -r id; do "$HULL" rm -f "$id" >/dev/null 2>&1; done
	find "$work/store/run/layers" -mindepth 1 -maxdepth 1 -exec umount {} \; 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}
[ "$(id -u)" = 0 ] || skip_all 'needs root'
for need in qemu-system-x86_64 busybox python3 dpkg-deb depmod; do
	command -v "$need" >/dev/null || skip_all "needs $need"
done
mkdir -p "$work/root/bin" "$work/root/etc"
cp "$(command -v busybox)" "$work/root/bin/busybox"
for name in sh true sleep; do ln -s busybox "$work/root/bin/$name"; done
"$HULL" image import --cmd /bin/true "$work/root" box >/dev/null || skip_all 'no image can be made here'
kept=$BUILD/machine-store # of machine-boot.sh: the kernel is downloaded once per build folder
mkdir -p "$kept"
if [ ! -e "$kept/kernels/default" ]; then
	"$BUILD/src/hull-kernel" "$kept" '' '' '' >"$work/add" 2>&1 ||
		skip_all "the distribution's kernel cannot be had: $(tail -n 1 "$work/add")"
fi
cp -a "$kept/kernels" "$work/store/"

compare() { # compare ARGUMENT…: its output in $work/out, messages in $work/err, status in $status
	timeout -s KILL 150 "$HULL" compare "$@" >"$work/out" 2>"$work/err"
	status=$?
}
field() { # field EXPRESSION: of the JSON document d, in Python
	python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
m = d["Metrics"]
print(eval(sys.argv[2]))' "$work/out" "$1"
}
holds() { # holds EXPRESSION…: each is true
	for expression; do
		[ "$(field "$expression")" = True ] || { echo "not so: $expression" && head -c 3000 "$work/out"; return 1; }
	done
}
nothing_left() {
	[ -z "$("$HULL" ps -aq)" ] || { "$HULL" ps -a; return 1; }
	! find "$work/store/workloads" "$work/store/run/workloads" -mindepth 1 | grep .
}

runs() {
	compare -n 1 --no-warm-up --format json --report "$work/page.html" box
	[ "$status" = 0 ] || { cat "$work/err"; return 1; }
}
tells_progress() {
	grep -q 'round 1 of 1: run as container' "$work/err" && grep -q 'round 1 of 1: idle as machine' "$work/err" &&
		[ "$(wc -l <"$work/err")" = 4 ]
}
names_host() {
	holds 'd["Host"]["Kernel"] == "'"$(uname -r)"'"' 'd["Host"]["Cpus"] > 0' 'd["Machine"]["Accelerator"] in ("kvm", "tcg")' \
		'd["Machine"]["Kernel"] == "'"$(readlink "$kept/kernels/default")"'"' 'd["Image"] == "box"' 'len(d["Notes"]) >= 3'
}
is_plausible() {
	holds 'all(len(m[k][s]["Samples"]) == 1 for k in ("start", "exit", "cpu", "memory_peak", "memory_idle", "disk") for s in ("Container", "Machine"))' \
		'0 < m["start"]["Container"]["Median"] < m["exit"]["Container"]["Median"]' \
		'm["start"]["Machine"]["Median"] > m["start"]["Container"]["Median"]' \
		'm["exit"]["Machine"]["Median"] < 150 * 10**9' \
		'm["cpu"]["Machine"]["Median"] > m["cpu"]["Container"]["Median"] > 0' \
		'm["memory_idle"]["Machine"]["Median"] > 16 * 2**20' \
		'0 < m["memory_idle"]["Container"]["Median"] < 16 * 2**20' \
		'm["start"]["Ratio"] > 1'
}
tells_memory_apart() {
	# shellcheck disable=SC2016 # Python
	holds 'm["memory_idle_guest"]["Container"]["Median"] == 0' 'm["memory_idle_guest"]["Machine"]["Median"] > 8 * 2**20' \
		'm["memory_idle_monitor"]["Machine"]["Median"] > 2**20' 'm["memory_idle_workload"]["Container"]["Median"] > 0' \
		'all(sum(m["memory_idle_" + k][s]["Median"] for k in ("workload", "guest", "monitor", "share", "keeper")) == m["memory_idle"][s]["Median"] for s in ("Container", "Machine"))'
}
writes_page() {
	grep -q '<svg ' "$work/page.html" && grep -q '</html>' "$work/page.html" && ! grep -qi '<script\|http' "$work/page.html"
}
refuses_failing() {
	compare -q -n 1 --no-warm-up box -- /bin/sh -c 'echo first >&2; echo last words >&2; exit 3'
	[ "$status" = 125 ] && [ ! -s "$work/out" ] && [ "$(cat "$work/err")" = \
		'hull: compare: the command ended with status 3 as container: last words' ] || { cat "$work/err"; return 1; }
}
refuses() { # refuses MESSAGE ARGUMENT…
	message=$1
	shift
	compare -q "$@"
	[ "$status" = 125 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "$message" "$work/err" || { echo "status $status" && cat "$work/err"; return 1; }
}
ends_in_time() {
	refuses 'it did not get ready in time' -n 1 --no-warm-up --timeout 1s box -- /bin/sleep 100
}
is_interrupted() {
	timeout -s KILL 100 "$HULL" compare -n 1 --no-warm-up box -- /bin/sleep 100 >"$work/out" 2>"$work/err" &
	killer=$!
	waited=0
	until "$HULL" ps -q | grep -q . || [ "$waited" -gt 100 ]; do sleep 0.1 && waited=$((waited + 1)); done
	# the command itself stands below timeout
	kill -TERM "$(cat "/proc/$killer/task/$killer/children")"
	wait "$killer"
	[ $? = 125 ] && grep -q 'interrupted; what was made is removed' "$work/err" || { cat "$work/err"; return 1; }
}

check 'both isolations are run and compared' runs
check 'nothing stays of it' nothing_left
check 'each run is told while it runs' tells_progress
check 'host, hypervisor and kernels are named' names_host
check 'the figures are plausible' is_plausible
check 'idle memory is told apart, and its parts are the whole' tells_memory_apart
check 'the report is one page that fetches nothing' writes_page
check 'a command that fails is refused with its status and last words' refuses_failing
check 'nothing stays of a refused one' nothing_left
check 'a command that does not end is given up' ends_in_time
check 'an interrupt removes what was made' is_interrupted
check 'nothing stays of an interrupted one' nothing_left
check 'an unknown image is named' refuses 'nowhere' nowhere
check 'an unknown probe is named' refuses "'warp': no such probe" --profile warp box
check 'a server without an exposed port is refused' refuses 'exposes no TCP port' --load / box
check 'an unknown format is refused' refuses 'neither json nor table' --format xml box
done_testing
