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
