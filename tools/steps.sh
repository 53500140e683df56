# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by check and check-long: named steps, each a line of TAP in $TAP, with its time and, when it fails, its output.
# shellcheck disable=SC2034 # for those who source this
san='-Dwerror=true -Db_lundef=false'

# step 'sentence' COMMAND…: runs it; a failure is recorded and the run goes on.
step() {
	local name=$1 began=$SECONDS log
	shift
	log=$(mktemp)
	if "$@" >"$log" 2>&1; then
		echo "ok - $name" >>"$TAP"
		echo "ok      $name ($((SECONDS - began)) s)"
	else
		echo "not ok - $name" >>"$TAP"
		echo "FAILED  $name ($((SECONDS - began)) s):"
		tail -n 60 "$log"
	fi
	rm -f "$log"
}

# configured DIR [OPTION…]: DIR is a build folder, set up with these options when it is none yet.
configured() {
	local dir=$1
	shift
	[ -f "$dir/build.ninja" ] || meson setup "$dir" "$@"
}

# built DIR [OPTION…]: the same, and everything in it built.
built() {
	configured "$@" && ninja -C "$1" --quiet
}

# tested DIR ARGUMENT…: meson test in DIR; what fails is shown, and left in DIR's log for test-summary. Many tests wait more than they work:
# twice as many as there are cores run at once.
tested() {
	local dir=$1
	shift
	rm -f "$dir"/meson-logs/testlog*.json
	meson test -C "$dir" --print-errorlogs --no-stdsplit --num-processes "$(($(nproc) * 2))" "$@" | grep -v '^\(ninja: \|\[[0-9]*/[0-9]*\] \|Full log\|$\)'
}
