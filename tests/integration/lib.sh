# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# TAP for shell tests: check NAME COMMAND...; done_testing at the end.
n=0 bad=0
check() {
	n=$((n + 1)) name=$1
	shift
	if "$@" >out.$$ 2>&1; then
		echo "ok $n - $name"
	else
		bad=1
		echo "not ok $n - $name"
		sed 's/^/# /' out.$$
	fi
	rm -f out.$$
}
done_testing() {
	echo "1..$n"
	exit $bad
}

# machine_kernel SECONDS: machines can run in the store HULL_ROOT, else $why tells what they lack. Their kernel is the distribution's,
# kept in the build folder, downloaded once.
# shellcheck disable=SC2034 # why is for the caller
machine_kernel() {
	kernels=$BUILD/machine-store
	for need in qemu-system-x86_64 mke2fs; do
		command -v "$need" >/dev/null || { why="needs $need"; return 1; }
	done
	[ -e "$kernels/kernels/default" ] || said=$(HULL_ROOT=$kernels timeout "$1" "$HULL" kernel add --distribution 2>&1) || {
		why="the distribution's kernel cannot be had: $(echo "$said" | tail -n 1)"
		return 1
	}
	mkdir -p "$HULL_ROOT" && ln -s "$kernels/kernels" "$HULL_ROOT/kernels"
}
