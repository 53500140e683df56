#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill -9 at a random moment of import, load, rmi, prune and repair, with another command on the same store at work beside them: the store
# is sound, the images that nobody touched are there and run, and a collection leaves nothing that no image needs.
tmp=$(mktemp -d -p /var/tmp hull-kill-store.XXXXXX)
here=$(cd "$(dirname "$0")" && pwd)
sentence='kill -9 at any moment of what changes images leaves a sound store'
seed=${SEED:-1}
end=$(($(date +%s) + ${SECONDS_GIVEN:-20}))
arch=$(uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/')
export HULL_ROOT="$tmp/store"

cleanup() {
	"$HULL" rm -f w >/dev/null 2>&1
	awk -v at="$tmp/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r place; do umount -l "$place"; done
	rm -rf "$tmp"
}
trap cleanup EXIT
cd "$tmp" || exit 1

random() { # random N: r is a number below N, of the seed
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	r=$((seed / 65536 % $1))
}

pick() { # pick WORD...: word is one of them
	random $#
	shift "$r"
	word=$1
}

act() { # act WHAT: one command that changes the store
	case $1 in
	import) set -- image import layout big:1 ;;
	waiting) set -- image import waiting big:1 ;;
	folder) set -- image import root big:1 ;;
	load) set -- load -i saved.tar ;;
	rmi) set -- rmi -f big:1 ;;
	prune) set -- image prune ;;
	repair) set -- system repair ;;
	blobs) set -- system prune --blobs -f ;;
	esac
	exec "$HULL" "$@" >/dev/null 2>&1
}

is_sound() {
	timeout -s KILL 60 "$HULL" system check >said 2>&1 || { echo "check: $(cat said)"; return 1; }
	"$HULL" image exists base:1 || { echo 'the image that nobody touched is gone'; return 1; }
	timeout -s KILL 60 "$HULL" run --rm --network none base:1 true >said 2>&1 || { echo "run: $(cat said)"; return 1; }
	timeout -s KILL 60 "$HULL" image prune >/dev/null 2>said || { echo "prune: $(cat said)"; return 1; }
	left=$(ls store/tmp)
	[ -z "$left" ] || { echo "in tmp: $left"; return 1; }
	"$HULL" images -q --no-trunc | sort -u | while read -r id; do
		"$HULL" image inspect --format '{{join .LayerFiles "\n"}}' "$id"
	done >known
	for file in "$HULL_ROOT"/layers/*; do
		grep -qxF "$file" known || { echo "$file belongs to no image"; return 1; }
	done
}

one_round() {
	pick import import waiting folder load rmi prune repair blobs
	doing=$word
	pick import load rmi prune repair none
	beside=$word
	[ "$beside" = none ] || { (act "$beside") & other=$!; }
	(act "$doing") &
	pid=$!
	random 250
	sleep "0.$(printf %03d "$r")"
	kids=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null)
	# shellcheck disable=SC2086 # pids
	kill -9 $pid $kids 2>/dev/null
	wait "$pid" 2>/dev/null
	[ "$beside" = none ] || wait "$other" 2>/dev/null
	is_sound
}

mkdir -p root/bin && cp "$(command -v busybox)" root/bin/busybox && ln -s busybox root/bin/true && ln -s busybox root/bin/sh &&
	"$here/../integration/oci-kit" layout layers=4 kib=3000 "arch=$arch" && "$here/../integration/oci-kit" waiting waiting "arch=$arch" &&
	"$HULL" image import --env PATH=/bin root base:1 >/dev/null && "$HULL" image import layout s:1 >/dev/null && "$HULL" save -o saved.tar s:1 || {
	printf 'not ok 1 - %s\n# no round could begin\n1..1\n' "$sentence"
	exit 1
}
rounds=0
while [ "$(date +%s)" -lt "$end" ]; do
	rounds=$((rounds + 1)) from=$seed
	why=$(one_round) || {
		printf 'not ok 1 - %s\n# round %s (SEED=%s): %s\n1..1\n' "$sentence" "$rounds" "$from" "$why"
		exit 1
	}
	random 1000000 # one_round drew in a shell of its own
done
printf 'ok 1 - %s\n# %s rounds\n1..1\n' "$sentence" "$rounds"
