#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Two stores that chose the same subnet while neither had a bridge: whoever comes second moves to another one.
. "$SOURCE/tests/integration/lib.sh"
unset HULL_ISOLATION
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/hull-stores.XXXXXX")
cd "$tmp" || exit 1

on() { # on STORE ARGUMENT...: hull with that store
	root=$tmp/$1
	shift
	HULL_ROOT=$root timeout -k 10 60 "$HULL" "$@"
}

finish() {
	for store in one two; do
		for id in $(on "$store" ps -aq 2>/dev/null); do on "$store" rm -f "$id" >/dev/null 2>&1; done
		bridge=$(cut -d ' ' -f 1 "$tmp/$store/network" 2>/dev/null)
		[ -z "$bridge" ] || ip link del "$bridge" 2>/dev/null
		[ -z "$bridge" ] || nft delete table inet "hull_$bridge" 2>/dev/null
	done
	awk -v at="$tmp/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r at; do umount -l "$at"; done
	cd / && rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

prepare() {
	mkdir -p image/bin image/etc
	cp "$(command -v busybox)" image/bin/busybox
	for name in sh sleep cat ip; do ln -s busybox "image/bin/$name"; done
	for store in one two; do on "$store" image import --env PATH=/bin image stores >/dev/null || return 1; done
}

subnet() { # subnet STORE
	cut -d ' ' -f 2 "$tmp/$1/network"
}

address() { # address STORE WORKLOAD
	on "$1" inspect -f '{{.NetworkSettings.IPAddress}}' "$2"
}

within() { # within STORE WORKLOAD: its address lies in the store's /16
	[ "$(address "$1" "$2" | cut -d . -f 1-2)" = "$(subnet "$1" | cut -d . -f 1-2)" ]
}

same_choice() { # store two made a workload, which never ran, in the subnet that store one has
	on one create --name first stores sleep 100 >id && echo "hull-$(printf %.8s "$(cat id)") $(subnet one)" >two/network &&
		on two create --name waiting stores sleep 100 && within two waiting && [ "$(subnet one)" = "$(subnet two)" ]
}

has_address() { # has_address STORE WORKLOAD: inside too, and in its /etc/hosts
	on "$1" exec "$2" ip addr show dev eth0 | grep -qF "inet $(address "$1" "$2")/16" &&
		on "$1" exec "$2" cat /etc/hosts | grep -q "^$(address "$1" "$2" | sed 's/\./\\./g')	"
}

moved() {
	[ "$(subnet one)" != "$(subnet two)" ]
}

back() { # who was displaced keeps what it has from then on
	was=$(subnet two)
	on one rm -f first && on two rm -f next waiting && on two run --rm stores sh -c true && [ "$(subnet two)" = "$was" ]
}

check 'each of two stores has an image' prepare
check 'both have chosen the same subnet' same_choice
check 'the first to run gets it' on one start first
check 'the second runs all the same' on two run -d --name next stores sleep 100
check 'for its store moved to another subnet' moved
check 'in which it has its address' has_address two next
check 'a workload made before starts too' on two start waiting
check 'with an address of the new subnet' within two waiting
check 'inside as well' has_address two waiting
check 'the first store notices nothing' has_address one first
check 'the second stays where it is' back
done_testing
