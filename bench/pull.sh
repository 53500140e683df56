#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pull from a registry on loopback, until the image can be run: hull beside podman, and beside two floors: the unpacking of the same blobs by
# the same library and nothing else, and that with the two digests which no pull may leave out (bench/unpack.c). The image is of this host's own
# Debian files, once in five layers and once in one. Each round has one of each, on stores that are new; times are the least and the median of
# ROUNDS=5. Then what ten images on one base take on disk, what moves for one changed layer, the first start beside the hundredth, and the largest
# process of the pull of a layer of LARGE=2048 MiB.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-$PWD/build}
hull=$build/src/hull
for need in docker-registry skopeo umoci podman python3; do
	command -v $need >/dev/null || { echo "Pulls are left out: $need is not there"; exit 0; }
done
[ -e "$build/bench/unpack" ] || ninja -C "$build" --quiet bench/unpack
work=$(mktemp -d "$build/bench-pull.XXXXXX")
run=$(mktemp -d) # podman takes no long name here
rounds=${ROUNDS:-5}
export HULL_REGISTRIES=$work/registries

forget() { # forget FOLDER: a store with what is mounted of it
	awk -v at="$1/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r m; do umount -l "$m"; done
	rm -rf "$1"
}
end() {
	[ -z "${registry:-}" ] || kill "$registry" 2>/dev/null || true
	forget "$work"
	forget "$run"
}
trap end EXIT
trap 'exit 130' INT TERM

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
at=127.0.0.1:$port
echo "insecure $at" >"$work/registries"
printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: false}}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: "%s"}\n' "$work" "$at" >"$work/registry.yml"
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
registry=$!

umoci init --layout "$work/layout"
umoci new --image "$work/layout:1"
layer() { # layer MOST PLACE…: at most so many files of these places
	local most=$1
	shift
	find "$@" -xdev -type f -size -8M 2>/dev/null | sort | head -n "$most" | tee -a "$work/all" | tar -C / -cf "$work/layer.tar" --no-recursion -T - 2>/dev/null
	umoci raw add-layer --image "$work/layout:1" "$work/layer.tar"
	echo "  $(du -m "$work/layer.tar" | cut -f1) MB: $*"
}
send() { # send TAG NAME
	skopeo copy -q --dest-tls-verify=false "oci:$work/layout:$1" "docker://$at/$2"
}
echo 'The image, by layers as they are unpacked:'
mkdir -p "$work/bin/bin" && cp "$(command -v busybox)" "$work/bin/bin/" && ln -s busybox "$work/bin/bin/true"
tar -C "$work/bin" -cf "$work/layer.tar" . && umoci raw add-layer --image "$work/layout:1" "$work/layer.tar"
layer 300 /usr/bin
layer 400 /usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu
layer 4000 /usr/lib/python3 /usr/lib/python3.11
layer 8000 /usr/share
send 1 debian:1
umoci new --image "$work/layout:one" && tar -C / -cf "$work/layer.tar" --no-recursion -T "$work/all" 2>/dev/null && umoci raw add-layer --image "$work/layout:one" "$work/layer.tar"
rm -f "$work/layer.tar"
send one one:1
blobs_of() { # blobs_of TAG: the files of its layers
	python3 - "$work/layout" "$1" <<-'END'
		import json, sys
		top, tag = sys.argv[1:]
		read = lambda d: json.load(open(f'{top}/blobs/sha256/{d["digest"][7:]}'))
		manifest, = [m for m in json.load(open(f'{top}/index.json'))['manifests'] if m['annotations']['org.opencontainers.image.ref.name'] == tag]
		print(*(f'{top}/blobs/sha256/{l["digest"][7:]}' for l in read(manifest)['layers']))
	END
}

now() { date +%s%N; }
timed() { # timed NAME COMMAND…: its milliseconds and those of processor time, to the file of that name
	local name=$1 TIMEFORMAT='%R %U %S'
	shift
	{ time "$@" >/dev/null 2>"$work/why"; } 2>"$work/time" || { echo "$name failed: $(tail -n 1 "$work/why")"; exit 1; }
	awk '{ print $1 * 1000, ($2 + $3) * 1000 }' "$work/time" >>"$work/ms.$name"
}
figure() { # figure NAME COLUMN: least and median
	cut -d' ' -f"$2" "$work/ms.$1" | sort -n | awk '{ v[NR] = $1 } END { print v[1], v[int((NR + 1) / 2)] }'
}
compare() { # compare TAG NAME: rounds of one image, and their figures
	local what column
	rm -f "$work"/ms.*
	# shellcheck disable=SC2046 # one word per blob
	for _ in $(seq "$rounds"); do
		forget "$work/podman" && forget "$run"
		timed podman podman --root "$work/podman" --runroot "$run" --events-backend none pull -q --tls-verify=false "$at/$2"
		forget "$work/store"
		timed hull env HULL_ROOT="$work/store" "$hull" pull -q "$at/$2"
		timed unpack "$build/bench/unpack" $(blobs_of "$1")
		timed digests "$build/bench/unpack" -d $(blobs_of "$1")
	done
	printf '%-16s %9s %9s %9s\n' '' 'min ms' median 'cpu ms'
	for what in podman hull unpack digests; do
		echo "$what $(figure $what 1) $(figure $what 2)"
	done | awk '{ printf "%-16s %9d %9d %9d\n", $1, $2, $3, $5 }'
	for column in 1 2; do
		awk -v hull="$(figure hull $column)" -v podman="$(figure podman $column)" -v floor="$(figure unpack $column)" -v digests="$(figure digests $column)" \
			-v of="$([ $column = 1 ] || echo "'s processor time")" 'BEGIN {
			split(hull, h); split(podman, p); split(floor, f); split(digests, d)
			printf "hull is %.2f of podman%s, %.2f of the library alone, %.2f of library and digests (by the least: %.2f, %.2f, %.2f)\n",
				h[2] / p[2], of, h[2] / f[2], h[2] / d[2], h[1] / p[1], h[1] / f[1], h[1] / d[1] }'
	done
}
printf '\nPull until it can be run, %s rounds, five layers:\n' "$rounds"
compare 1 debian:1
printf '\nThe same files in one layer:\n'
compare one one:1

export HULL_ROOT=$work/store
forget "$work/store"
"$hull" pull -q "$at/debian:1" >/dev/null
used() { du -sk "$1" | cut -f1; }
hull_one=$(used "$HULL_ROOT")
forget "$work/podman" && forget "$run"
podman_pull() { podman --root "$work/podman" --runroot "$run" --events-backend none pull -q --tls-verify=false "$1" >/dev/null; }
podman_pull "$at/debian:1"
podman_one=$(used "$work/podman")
for i in $(seq 10); do # each with a megabyte of its own
	umoci tag --image "$work/layout:1" "app$i"
	mkdir -p "$work/own" && head -c 1000000 /dev/urandom >"$work/own/app$i" && tar -C "$work/own" -cf "$work/layer.tar" "app$i"
	umoci raw add-layer --image "$work/layout:app$i" "$work/layer.tar" && send "app$i" "app$i:1"
done
: >"$work/registry.log"
"$hull" pull -q "$at/app1:1" >/dev/null
moved=$(sed -n 's|.*"GET [^"]*/blobs/[^"]*" 20[06] \([0-9]*\) .*|\1|p' "$work/registry.log" | awk '{ n += $1 } END { print n + 0 }')
printf '\nOf an image with one more layer of 1 MB, whose other layers are there, %s bytes of blobs moved\n' "$moved"
for i in $(seq 10); do "$hull" pull -q "$at/app$i:1" >/dev/null && podman_pull "$at/app$i:1"; done
printf 'Ten images of 1 MB each on one base take %d KiB more than the base (%d KiB) in hull, %d KiB more than %d KiB in podman\n' \
	$(($(used "$HULL_ROOT") - hull_one)) "$hull_one" $(($(used "$work/podman") - podman_one)) "$podman_one"

start() { # start: the microseconds of one
	local began
	began=$(now)
	"$hull" run --rm --network none "$at/debian:1" true
	echo $((($(now) - began) / 1000))
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
for _ in $(seq "$rounds"); do
	forget "$work/store"
	"$hull" pull -q "$at/debian:1" >/dev/null
	start
done >"$work/first"
for _ in $(seq 2 100); do start; done >"$work/runs"
first=$(median <"$work/first")
last=$(tail -n 10 "$work/runs" | median)
printf '\nThe first start after a pull, the median of %d: %d us; the median of the last ten of a hundred: %d us (%s)\n' "$rounds" "$first" "$last" \
	"$(awk "BEGIN { printf \"%.2f\", $first / $last }")"

mib=${LARGE:-2048}
dd if=/dev/urandom of="$work/large" bs=1M count="$mib" status=none
tar -C "$work" -cf "$work/layer.tar" large && rm "$work/large"
umoci new --image "$work/layout:large" && umoci raw add-layer --image "$work/layout:large" "$work/layer.tar" && rm "$work/layer.tar"
send large large:1
python3 -c '
import resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL)
print(f"The largest process of a pull of a layer of {sys.argv[1]} MiB: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss} KiB, of 65536")
' "$mib" "$hull" pull -q "$at/large:1"
