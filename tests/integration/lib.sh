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

skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

# skip NAME WHY: a sentence that cannot be shown here.
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# needs PROGRAM...: all of them, or the whole script is skipped.
needs() {
	for program in "$@"; do
		command -v "$program" >/dev/null || skip_all "needs $program"
	done
}

# is WANT COMMAND...: what the command prints is WANT.
is() {
	want=$1
	shift
	got=$("$@" 2>is.err)
	[ "$got" = "$want" ] || {
		printf 'wanted: %s\ngot: %s\n' "$want" "$got"
		cat is.err
		return 1
	}
}

# status N COMMAND...: it exits with N.
status() {
	want=$1
	shift
	"$@"
	got=$?
	[ "$got" = "$want" ] || {
		echo "wanted status $want, got $got"
		return 1
	}
}

# refused WORDS COMMAND...: it fails (with $got), and all that it says is one line that holds WORDS; lines that end in $beside, if set, do not count.
refused() {
	words=$1
	shift
	"$@" >refused.out 2>refused.all </dev/null
	got=$?
	cat refused.out refused.all
	sed "${beside:+/$beside\$/d}" refused.all >refused.err
	[ "$got" != 0 ] && [ "$(cat refused.out refused.err | wc -l)" = 1 ] && grep -qF -- "$words" refused.err
}

# soon COMMAND...: it succeeds within twenty seconds.
soon() {
	until=$(($(date +%s) + 20))
	while [ "$(date +%s)" -lt $until ]; do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	"$@"
}

# fails TEXT COMMAND...: within a minute, with status 125, all that hull says for it is one line on standard error that holds TEXT.
fails() {
	text=$1
	shift
	timeout 60 "$@" >out 2>err
	status=$?
	[ "$status" = 125 ] || { echo "status $status"; cat err; return 1; }
	[ "$(wc -l <err)" = 1 ] || { echo 'not one line:'; cat err; return 1; }
	grep -qF -- "$text" err || { cat err; return 1; }
}

# own_store NAME: the script goes on in $dir, a folder of its own, with a store in it and images in $kit's and this machine's $arch.
# own_store_end, which the end calls, takes down what runs, is mounted and lies there.
# shellcheck disable=SC2034 # kit and arch are for the caller
own_store() {
	dir=$(mktemp -d -p /var/tmp "hull-$1.XXXXXX") || exit 1
	trap own_store_end EXIT
	kit=$SOURCE/tests/integration
	arch=$(uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/')
	cd "$dir" || exit 1
	HULL_ROOT=$dir/store
	export HULL_ROOT
}
own_store_end() {
	"$HULL" rm -f w >/dev/null 2>&1
	"$HULL" image unmount -a -f >/dev/null 2>&1
	awk -v at="$dir/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r place; do umount -l "$place"; done
	rm -rf "$dir"
}

# busybox_root DIR: a root folder with busybox, and the user alice.
busybox_root() {
	mkdir -p "$1/bin" "$1/etc" "$1/tmp" "$1/root" "$1/data" "$1/proc" "$1/dev" "$1/sys" "$1/home/alice"
	cp "$(command -v busybox)" "$1/bin/busybox"
	for tool in $(busybox --list); do
		[ "$tool" = busybox ] || ln -s busybox "$1/bin/$tool"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n' >"$1/etc/passwd"
	printf 'root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n' >"$1/etc/group"
	echo from-image >"$1/data/file"
	printf '#!/bin/sh\nexit 0\n' >"$1/data/not-executable"
	chmod 1777 "$1/tmp"
}

# flows_come_whole NAME: the workload serves, by httpd and from /tmp/index.html, what `seq 100000` says, to one and then to eight at a time.
flows_come_whole() {
	address=$(timeout 180 "$HULL" inspect -f '{{.NetworkSettings.IPAddress}}' "$1") && soon timeout 20 busybox wget -q -O flow.0 "http://$address/" || return 1
	clients=
	for i in 1 2 3 4 5 6 7 8; do timeout 100 busybox wget -q -O "flow.$i" "http://$address/" & clients="$clients $!"; done
	# shellcheck disable=SC2086 # one word each
	wait $clients
	sum=$(seq 100000 | md5sum)
	for i in 1 2 3 4 5 6 7 8; do [ "$(md5sum <"flow.$i")" = "$sum" ] || { echo "flow $i is another"; return 1; }; done
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

# etc_hull: /etc/hull is there from now on, to be mounted over in a mount namespace; tests that run at once share it.
etc_hull() {
	exec 9>"$BUILD/etc-hull.lock"
	until flock -s 9 && [ -d /etc/hull ]; do
		flock -x 9
		[ -d /etc/hull ] || { mkdir /etc/hull && : >"$BUILD/etc-hull.made"; } || return 1
	done
}
# no_etc_hull: the last of them takes it away, if one of them made it.
no_etc_hull() {
	{ flock -n -x 9 && [ -e "$BUILD/etc-hull.made" ] && rmdir /etc/hull && rm "$BUILD/etc-hull.made"; } 2>/dev/null
	flock -u 9 2>/dev/null
}
