#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bite.sh [NAME…]: each test of the container runtime's security (cases.tsv) is known to bite. weaken/NAME.patch takes one protection away; in
# a copy of the tree, in BUILD/bite, hull-oci and the tests are built with it, and each test that the patch names must fail there, as it must
# hold in the copy as it is. A patch that does not apply any more fails too.
: "${SOURCE:?}" "${BUILD:?}"
here=$SOURCE/tests/security
. "$SOURCE/tests/integration/lib.sh"
needs patch meson ninja busybox python3
[ "$(id -u)" = 0 ] || skip_all 'needs root'
cd "$SOURCE" || exit 1
tree=$BUILD/bite/tree
build=$BUILD/bite/build
mkdir -p "$tree" "$build" && cd "$BUILD/bite" || exit 1

# Only files that differ are written, so that what was built before serves again.
copy_tree() {
	(cd "$SOURCE" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - --ignore-failed-read) >tree.tar 2>/dev/null
	rm -rf fresh && mkdir fresh && tar -C fresh -xf tree.tar && rm tree.tar
	(cd fresh && find . -type f) | while read -r file; do
		cmp -s "fresh/$file" "$tree/$file" || { mkdir -p "$tree/${file%/*}" && cp -p "fresh/$file" "$tree/$file" && touch "$tree/$file"; }
	done
	rm -rf fresh
}

# tests_of PATCH: the tests that must fail with it, a line each.
tests_of() {
	sed -n 's/^Test: //p' "$1"
}

# target_of TEST: what to build for it; what is run comes first.
target_of() {
	case $1 in
	unit/machine/test_taken.c:*) echo 'tests/unit/machine/test_machine_taken tests/unit/machine/hull-share' ;;
	unit/*)
		name=${1%%.c:*} && name=${name#unit/}
		echo "tests/unit/${name%/*}/test_${name%/*}_${name##*/test_}"
		;;
	soak/*) echo 'src/hull-oci tests/strike' ;;
	integration/confined.sh:*) echo 'src/hull src/hull-import src/hull-image' ;;
	*) echo src/hull-oci ;;
	esac
}

# outcome TEST: `ok` or `not ok`, as it says; or how it ended without saying so.
outcome() {
	path=${1%%:*} sentence=${1#*:} target=$(target_of "$1")
	case $1 in
	unit/*) set -- "$build/${target%% *}" ;;
	*) set -- sh "$tree/tests/$path" ;;
	esac
	[ -e "ran.$(echo "$*" | tr -c 'a-z0-9\n' _)" ] || HULL=$build/src/hull BUILD=$build SOURCE=$tree SECONDS_GIVEN=15 \
		timeout -k 5 120 "$@" >"ran.$(echo "$*" | tr -c 'a-z0-9\n' _)" 2>&1 </dev/null
	said=$(grep -F -- "$sentence" "ran.$(echo "$*" | tr -c 'a-z0-9\n' _)" | grep -oE '^(not )?ok' | head -n 1)
	echo "${said:-silent}"
}

# built TEST…: what these tests need.
built() {
	# shellcheck disable=SC2046 # words
	ninja -C "$build" $(for test in "$@"; do target_of "$test"; done | tr ' ' '\n' | sort -u) >ninja.log 2>&1 || { tail -n 20 ninja.log; return 1; }
}

# all_say OUTCOME TEST…
all_say() {
	wanted=$1
	shift
	rm -f ran.*
	for test in "$@"; do
		got=$(outcome "$test")
		[ "$got" = "$wanted" ] || { echo "$test: $got"; cat ran.* | tail -n 20; return 1; }
	done
}

# listed NAME: a row of the list has this patch, and all tests that it names.
listed() {
	row=$(awk -F '\t' -v patch="weaken/$1.patch" '{ n = split($3, all, " \\+ "); for (i = 1; i <= n; i++) if (all[i] == patch) print $4 }' "$here/cases.tsv")
	[ -n "$row" ] || { echo "weaken/$1.patch is in no row of cases.tsv"; return 1; }
	tests_of "$here/weaken/$1.patch" | while read -r test; do
		echo "$row" | grep -qF -- "$test" || { echo "its row does not name $test"; exit 1; }
	done
}

# A weakened build may be unable to end what it began: that is ended here, the programs of $build by their path, and the cgroups that they
# are in.
end_left() {
	for pid in $(pgrep -f "^$build/"); do
		groups=$(sed -n 's/^[0-9]*:[^:]*:\(\/.*\)/\1/p' "/proc/$pid/cgroup" 2>/dev/null | grep -vx / | sort -u)
		kill -9 "$pid" 2>/dev/null
		for group in $groups; do
			soon remove_group "$group"
		done
	done
}
remove_group() { # in all hierarchies; who was in it may still be on the way out
	find /sys/fs/cgroup -depth -type d -path "*$1" -exec rmdir {} + 2>/dev/null
	[ -z "$(find /sys/fs/cgroup -type d -path "*$1")" ]
}

# bites NAME: with this patch its tests fail.
bites() {
	set -- "$1" "$here/weaken/$1.patch"
	listed "$1" || return 1
	patch -d "$tree" -p1 --no-backup-if-mismatch -f <"$2" >patch.log 2>&1 || { cat patch.log; copy_tree; return 1; }
	names=$(tests_of "$2")
	IFS='
'
	# shellcheck disable=SC2086 # lines
	set -- "$2" $names
	unset IFS
	file=$1
	shift
	built "$@" && all_say 'not ok' "$@"
	got=$?
	end_left
	patch -d "$tree" -p1 -R --no-backup-if-mismatch -f <"$file" >patch.log 2>&1
	return "$got"
}

every() { # all tests that any of the patches names
	for name in "$@"; do
		tests_of "$here/weaken/$name.patch"
	done | sort -u
}

# shellcheck disable=SC2046 # words
[ $# -gt 0 ] || set -- $(cd "$here/weaken" && for patch in *.patch; do echo "${patch%.patch}"; done | sort -V)
set_up() {
	copy_tree && { [ -f "$build/build.ninja" ] || meson setup "$build" "$tree" -Doptimization=1 -Ddebug=false; }
}
check 'a copy of the tree is set up' set_up
whole() {
	IFS='
'
	# shellcheck disable=SC2046 # lines
	set -- $(every "$@")
	unset IFS
	built "$@" && all_say ok "$@"
}
check 'all tests hold in the copy as it is' whole "$@"
for name in "$@"; do
	check "$name bites: $(head -n 1 "$here/weaken/$name.patch")" bites "$name"
done
done_testing
