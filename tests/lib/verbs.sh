# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# create, start, exec and delete of a container `$me` in a world of its own (world.sh, left.sh), each with a process that is struck.
# shellcheck disable=SC2154 # $oci, $tmp, $cgroup, $BUILD, $verb, $whom and $bundle are the script's
me=struck

quiet() {
	timeout -s KILL 60 "$@" >/dev/null 2>&1 </dev/null
}
runtime() {
	quiet "$oci" --root "$tmp/state" "$@"
}

busybox_root rootfs
mkdir -p state
bundle_of plain 'exec sleep 1000' "c['linux']['cgroupsPath'] = '/$cgroup/$me'"
bundle_of more 'exec sleep 1000' "
c['linux']['cgroupsPath'] = '/$cgroup/$me'
c['linux']['namespaces'].append({'type': 'user'})
c['linux']['uidMappings'] = c['linux']['gidMappings'] = [{'containerID': 0, 'hostID': 100000, 'size': 65536}]
c['linux']['seccomp'] = {'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [{'names': ['kexec_load'], 'action': 'SCMP_ACT_ERRNO'}]}
c['linux']['resources']['memory'] = {'limit': 1 << 26}
c['hooks'] = {'createRuntime': [{'path': '/bin/true'}], 'poststop': [{'path': '/bin/true'}]}"

# strike_at N[=ERRNO]: strikes $whom (strike.c) at call N of $verb of $bundle; 3 when it makes no such call.
strike_at() {
	who=$whom
	case $verb in
	create) set -- "$1" create --bundle "$bundle" "$me" ;;
	start)
		runtime create --bundle "$bundle" --pid-file pid "$me"
		[ "$whom" != parked ] || who=@$(cat pid)
		set -- "$1" start "$me"
		;;
	exec) runtime run --detach --bundle "$bundle" "$me" && set -- "$1" exec --user 1:1 "$me" sleep 0 ;;
	delete) runtime run --detach --bundle "$bundle" "$me" && set -- "$1" delete --force "$me" ;;
	esac
	at=$1
	shift
	timeout -s KILL 90 "$BUILD/tests/strike" "$who" "$at" "$oci" --root "$tmp/state" "$@" >call 2>struck.err </dev/null
}


# sweep VERB WHOM BUNDLE FIRST: `once N` for every $stride-th call from FIRST on, until $end.
sweep() {
	verb=$1 whom=$2 bundle=$3 call=$4
	while [ "$(date +%s)" -lt "$end" ]; do
		once "$call"
		case $? in
		0) points=$((points + 1)) ;;
		1) points=$((points + 1)) failures=$((failures + 1)) ;;
		*) return 0 ;;
		esac
		call=$((call + stride))
	done
	return 1
}

# whole: one stride after the other, in an order that halves the gaps.
stride=32
whole() {
	points=0 failures=0 strides=0
	for first in 1 17 9 25 5 21 13 29 3 19 11 27 7 23 15 31 2 18 10 26 6 22 14 30 4 20 12 28 8 24 16 32; do
		for bundle in more plain; do
			sweep create 0 "$bundle" $first && sweep create 1 "$bundle" $first &&
				sweep start 0 "$bundle" $first && sweep start parked "$bundle" $first &&
				sweep exec 0 "$bundle" $first && sweep exec 1 "$bundle" $first && sweep exec 2 "$bundle" $first &&
				sweep delete 0 "$bundle" $first || return 1
		done
		strides=$((strides + 1))
	done
}

# verdict SENTENCE: the line of TAP, with %s for how many calls.
verdict() {
	how=$points
	[ "$strides" = "$stride" ] && how="every one of $points"
	verdict=ok
	[ "$failures" = 0 ] && [ "$points" -gt 0 ] || verdict='not ok'
	echo "$verdict 1 - $(echo "$1" | sed "s/%s/$how/")"
	[ "$strides" = "$stride" ] || echo "# $strides of $stride strides were done in the time given"
	echo 1..1
	[ "$verdict" = ok ]
}
