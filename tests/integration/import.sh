#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Images come in whole or not at all, from every form of source, honest or not.
. "$(dirname "$0")/lib.sh"

dir=$(mktemp -d)
kit=$(cd "$(dirname "$0")" && pwd)/oci-kit
arch=$(uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/')
cleanup() {
	umount "$dir/small" 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir" || exit 1
HULL_ROOT=$dir/store
export HULL_ROOT

fresh() { # an empty store
	rm -rf "$HULL_ROOT"
}

is_empty() { # no file of any image is left in the store, and no image
	left=$(find "$HULL_ROOT/layers" "$HULL_ROOT/blobs" "$HULL_ROOT/tmp" -type f -o -name 'import.*')
	[ -z "$left" ] || { echo "left: $left"; return 1; }
	[ -z "$("$HULL" images -q)" ] || { echo 'an image is listed'; return 1; }
}

is_sound() { # each image has all its layer files; after a collection there are no others
	for id in $("$HULL" images -q --no-trunc); do
		for file in $("$HULL" image inspect --format '{{join .LayerFiles " "}}' "$id"); do
			[ -s "$file" ] || { echo "$file of $id is missing"; return 1; }
			echo "$file" >>known
		done
	done
	"$HULL" image prune >/dev/null || return 1
	[ -z "$(ls "$HULL_ROOT/tmp")" ] || { echo "in tmp: $(ls "$HULL_ROOT/tmp")"; return 1; }
	touch known
	for file in "$HULL_ROOT"/layers/*; do
		[ ! -e "$file" ] || grep -qxF "$file" known || { echo "$file belongs to no image"; return 1; }
	done
	rm -f known
}

import() {
	timeout 120 "$HULL" image import "$@" >id
}

id_of() {
	"$HULL" image inspect --format '{{.Id}}' "$1"
}

layers_of() {
	"$HULL" image inspect --format '{{join .RootFS.Layers " "}}' "$1"
}

mkdir -p root/bin root/etc
cp /bin/busybox root/bin/busybox 2>/dev/null || cp /bin/sh root/bin/busybox
ln -s busybox root/bin/sh
echo welcome >root/etc/motd
tar -C root --sort=name -cf root.tar .
gzip -kn root.tar
xz -k root.tar
zstd -qk root.tar
"$kit" layout "arch=$arch"
tar -C layout -cf layout.tar .
gzip -kn layout.tar

# --- forms of sources ---

gives_the_same_layer() {
	import root.tar a:plain && import root.tar.gz a:gz && import root.tar.xz a:xz && import root.tar.zst a:zst || return 1
	for t in gz xz zst; do
		[ "$(layers_of "a:$t")" = "$(layers_of a:plain)" ] || { echo "$t differs"; return 1; }
	done
}
check 'a root tar gives the same layer plain and packed by gzip, xz and zstd' gives_the_same_layer

folder_as_it_lies() {
	import root b && file=$("$HULL" image inspect --format '{{join .LayerFiles " "}}' b) && mkdir mnt && mount -t erofs -o ro "$file" mnt || return 1
	diff -r root mnt
	same=$?
	umount mnt
	return "$same"
}
check 'a root folder becomes a layer with the same content' folder_as_it_lies

one_image_three_ways() {
	import layout c:folder && import layout.tar c:tar && import layout.tar.gz c:gz || return 1
	[ "$(id_of c:folder)" = "$(id_of c:tar)" ] && [ "$(id_of c:tar)" = "$(id_of c:gz)" ]
}
check 'an OCI layout is the same image as folder, tar and packed tar' one_image_three_ways

by_pipe() {
	import - d:root <root.tar.gz || return 1
	# shellcheck disable=SC2002 # a pipe is what is meant
	cat layout.tar | import - d:oci || return 1
	[ "$(layers_of d:root)" = "$(layers_of a:plain)" ] && [ "$(id_of d:oci)" = "$(id_of c:tar)" ]
}
check 'a root tar and a layout come through a pipe as well' by_pipe

id_is_the_configs_digest() {
	for f in layout/blobs/sha256/*; do
		grep -q '"rootfs"' "$f" && [ "$(id_of c:tar)" = "sha256:$(sha256sum "$f" | cut -d' ' -f1)" ] && return 0
	done
	return 1
}
check "the image's id is the digest of its config" id_is_the_configs_digest

keeps_blobs() {
	for f in layout/blobs/sha256/*; do
		case $(head -c 2 "$f" | od -An -tx1) in
		*'1f 8b'*) cmp "$f" "$HULL_ROOT/blobs/sha256/$(basename "$f")" || return 1 ;;
		esac
	done
}
check 'the compressed layers of a layout are kept as they came' keeps_blobs

if command -v skopeo >/dev/null; then
	docker_archive() {
		skopeo copy -q oci:layout docker-archive:docker.tar:me/kit:1 >/dev/null && import docker.tar e:1 || return 1
		[ "$(layers_of e:1)" = "$(layers_of c:tar)" ] && import --ref me/kit:1 docker.tar e:2
	}
	check 'a docker-archive written by skopeo gives the layers of the layout' docker_archive
	dir_again() {
		skopeo copy -q docker-archive:docker.tar oci-archive:again.tar:x && import again.tar f:1 && [ "$(layers_of f:1)" = "$(layers_of c:tar)" ]
	}
	check 'an oci-archive written by skopeo gives them too' dir_again
else
	echo "ok $((n = n + 1)) - skopeo's archives # SKIP skopeo is not installed"
fi
if command -v umoci >/dev/null; then
	by_umoci() {
		umoci init --layout um && umoci new --image um:t && umoci unpack --image um:t bundle && cp -a root/. bundle/rootfs/ &&
			umoci repack --image um:t bundle && umoci unpack --image um:t again && rm again/rootfs/etc/motd &&
			umoci repack --image um:t again && umoci config --image um:t --config.cmd /bin/sh || return 1
		import um g:1 && [ "$("$HULL" image inspect --format '{{join .Config.Cmd " "}}' g:1)" = /bin/sh ]
	}
	check 'a layout built by umoci, with a whiteout in a folder of the layer below' by_umoci
else
	echo "ok $((n = n + 1)) - umoci's layouts # SKIP umoci is not installed"
fi

hundred_layers() {
	"$kit" many layers=100 "arch=$arch" && import many many && [ "$(layers_of many | wc -w)" = 100 ]
}
check 'an image of 100 layers' hundred_layers

waits_for_lower() {
	"$kit" waiting waiting "arch=$arch" && import waiting waiting || return 1
	mkdir -p m0 m1 && i=0
	for file in $("$HULL" image inspect --format '{{join .LayerFiles " "}}' waiting); do
		mount -t erofs -o ro "$file" "m$i" || return 1
		i=$((i + 1))
	done
	[ "$(stat -c %a m1/f)" = 750 ] && cmp m0/f/0 m1/f/link
	same=$?
	umount m0 m1
	return "$same"
}
check 'a layer that needs the one below takes over its folders and files' waits_for_lower
check 'no mount is left of it' sh -c "! grep -q '$dir' /proc/self/mountinfo"

# --- what the user asks for ---

overrides() {
	import --cmd '["/bin/sh","-c","x y"]' --entrypoint /init -e A=1 --env B=2 -w /srv -u 5:6 --expose 80 --expose 53/udp -l k=v \
		--stop-signal INT root.tar o:1 || return 1
	[ "$("$HULL" image inspect --format '{{json .Config.Cmd}}|{{json .Config.Entrypoint}}|{{.Config.WorkingDir}}|{{.Config.User}}|{{json .Config.ExposedPorts}}|{{json .Config.Labels}}|{{.Config.StopSignal}}' o:1 | tr -d ' ')" = \
		'["/bin/sh","-c","xy"]|["/init"]|/srv|5:6|{"80/tcp":{},"53/udp":{}}|{"k":"v"}|INT' ] || { "$HULL" image inspect o:1; return 1; }
	"$HULL" image inspect o:1 | grep -q '"B=2"'
}
check 'cmd, entrypoint, env, workdir, user, expose, label and stop signal are in the config' overrides

platform_picks() {
	"$kit" two two-platforms "arch=$arch" && import two p:own && import --platform linux/mips two p:mips || return 1
	[ "$("$HULL" image inspect --format '{{.Architecture}}' p:own)" = "$arch" ] &&
		[ "$("$HULL" image inspect --format '{{.Architecture}}' p:mips)" = mips ] &&
		fails "no image for linux/s390x in it; there is: linux/mips, linux/$arch" "$HULL" image import --platform linux/s390x two p:x
}
check "of several platforms the host's is taken, or the one asked for" platform_picks

name_picks() {
	"$kit" names two-names "arch=$arch" && import --ref v2 names q:other && import names q:v1 &&
		fails 'choose one with --ref of: ?/? (v1), ?/? (v2)' "$HULL" image import names q:x
}
check 'of several images one is chosen by its name in the source' name_picks

foreign() {
	"$kit" mips arch=mips && import mips mips &&
		fails "image 'mips:latest' is for linux/mips; this host runs linux/$arch" "$HULL" create mips true
}
check 'an image for another architecture comes in, and running it says so' foreign

nested() {
	"$kit" nested nested=3 "arch=$arch" && import nested nested && "$kit" deeper nested=4 "arch=$arch" && fails 'an index in an index' "$HULL" image import deeper x
}
check 'an index in an index is followed three deep' nested

check 'a bad name is refused before anything is read' fails "image name 'Bad'" "$HULL" image import root.tar Bad
check 'a source that is not there' fails "open 'nowhere': No such file or directory" "$HULL" image import nowhere x
check 'a file that is no archive' fails 'not a tar archive' "$HULL" image import /etc/passwd x
check 'an endless device' fails "'/dev/zero' is no file, folder or pipe" "$HULL" image import /dev/zero x
mkfifo fifo
check 'a FIFO that nobody writes to ends at once' fails "'fifo'" "$HULL" image import fifo x
check 'every image in the store is whole' is_sound

packages_refused() {
	fails "'--evil' is not the name of a package" "$HULL" image from-packages x -- --evil && fails "'a,b' is not the name" "$HULL" image from-packages x -- a,b &&
		fails "--suite '-x'" "$HULL" image from-packages --suite=-x x -- a && fails "--mirror '-x'" "$HULL" image from-packages --mirror=-x x -- a || return 1
	command -v mmdebstrap >/dev/null || { fails 'its Debian package is missing' "$HULL" image from-packages x -- busybox; return; }
	timeout 60 "$HULL" image from-packages --mirror 'deb [trusted=yes] copy:/nowhere ./' x -- busybox 2>err
	[ $? = 125 ] && grep -q 'mmdebstrap ended with status' err && ! "$HULL" image exists x
}
check 'packages whose names are none, and a mirror that is not there, make no image' packages_refused

# --- lies: each refused in one line, and nothing is kept ---

refused() {
	rm -rf lie
	"$kit" lie "arch=$arch" "$@" && fails "'lie'" "$HULL" image import lie lie && is_empty || return 1
	tar -C lie -cf lie.tar . && fails "'lie.tar'" "$HULL" image import lie.tar lie && is_empty
}
fresh
for lie in $("$kit" --lies); do
	check "a layout with this wrong in it is refused, nothing kept: $lie" refused "$lie"
done
check 'a plain tar announced as gzip is refused' refused media-type-layer plain
check 'nothing was written beside the store' sh -c "[ ! -e '$dir/escaped' ] && [ ! -e '$dir/../escaped' ]"

truncated() { # truncated FILE: at parts of what is not only padding
	size=$(stat -c %s "$1")
	for part in 1 10 25 40 55 70; do
		head -c $((size * part / 100)) "$1" >cut.tar
		fails "'cut.tar'" "$HULL" image import cut.tar cut && is_empty || { echo "at $part %"; return 1; }
	done
}
check 'a root tar cut short anywhere is refused, nothing kept' truncated root.tar
check 'a packed root tar cut short anywhere is refused, nothing kept' truncated root.tar.gz
check 'a layout cut short anywhere is refused, nothing kept' truncated layout.tar

hostile_outer() {
	for entry in blobs/../../x blobs/sha256/../../../x; do
		cp layout.tar hostile.tar && tar -C layout -P --transform "s|^index.json\$|$entry|" -rf hostile.tar index.json 2>/dev/null
		fails "the archive holds the name '$entry'" "$HULL" image import hostile.tar x && is_empty || return 1
	done
	[ ! -e "$dir/x" ] && [ ! -e /x ]
}
check 'names that lead out of an archive are refused, nothing written' hostile_outer

twice() {
	cp layout.tar twice.tar && tar -C layout -rf twice.tar ./index.json && fails 'twice' "$HULL" image import twice.tar x && is_empty
}
check 'an archive that holds a name twice is refused' twice

# --- whole or absent ---

"$kit" big layers=4 kib=6000 "arch=$arch"

killed_at_random() {
	fresh
	import root.tar base || return 1
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
		"$BUILD/src/hull-import" --root "$HULL_ROOT" -- big big >/dev/null 2>&1 &
		pid=$!
		sleep "0.$(od -An -N1 -tu1 /dev/urandom | awk '{ printf "%03d", $1 * 1.5 }')"
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
		"$HULL" image inspect base >/dev/null && is_sound || return 1
		"$HULL" rmi big >/dev/null 2>&1
	done
	import big big && is_sound
}
check 'kill -9 of an import at any time leaves a sound store, and the next import succeeds' killed_at_random

killed_at_calls() {
	for at in linkat:1 linkat:3 linkat:5 fsync:1 fsync:5 fsync:9 mkdirat:9 pwrite64:1 pwrite64:9 pwrite64:20 unlinkat:1 unlinkat:4; do
		fresh
		import root.tar base || return 1
		strace -f -o /dev/null -e "inject=${at%:*}:signal=SIGKILL:when=${at#*:}" "$BUILD/src/hull-import" --root "$HULL_ROOT" -- big big >/dev/null 2>&1
		is_sound || { echo "killed at $at"; return 1; }
		import big big && is_sound || { echo "after a kill at $at"; return 1; }
	done
}
if command -v strace >/dev/null; then
	check 'kill -9 at links, syncs and writes of the records leaves a sound store' killed_at_calls
else
	echo "ok $((n = n + 1)) - kill -9 at system calls # SKIP strace is not installed"
fi

failing_calls() {
	for at in linkat:1 linkat:3 fsync:1 fsync:4 pwrite64:2 pwrite64:20 pwrite64:40 pwrite64:55 fdatasync:4 fdatasync:8 ftruncate:1 mkdirat:8 \
		recvmsg:1 recvmsg:2 sendmsg:2 mount:2 mount:4 unshare:1 openat2:1 openat2:4; do
		fresh
		strace -f -o trace -e "inject=${at%:*}:error=EIO:when=${at#*:}" "$BUILD/src/hull-import" --root "$HULL_ROOT" -- waiting x >out 2>err
		status=$?
		grep -q INJECTED trace || { echo "$at was not reached"; return 1; }
		if [ "$status" = 0 ]; then
			is_sound # where there is another way
		else
			[ "$status" = 1 ] && [ "$(wc -l <out)" = 1 ] && grep -q '^error ' out && is_empty
		fi || { echo "failed $at: $status"; cat out err; return 1; }
		import waiting x && is_sound || { echo "after a failed $at"; return 1; }
	done
}
if command -v strace >/dev/null; then
	check 'a system call that fails is told in one line, and nothing is kept' failing_calls
else
	echo "ok $((n = n + 1)) - failing system calls # SKIP strace is not installed"
fi

full_disk() {
	mkdir -p small && mount -t tmpfs -o size=9m none small || return 1
	HULL_ROOT=$dir/small
	fails 'No space left on device' "$HULL" image import big big && is_empty && import root.tar base && is_sound
	result=$?
	umount small
	HULL_ROOT=$dir/store
	return "$result"
}
check 'a full disk is told in one line, keeps nothing, and the store stays usable' full_disk

at_once() {
	fresh
	import big one &
	a=$!
	timeout 120 "$HULL" image import big two >id2 &
	b=$!
	wait "$a" && wait "$b" && [ "$(id_of one)" = "$(id_of two)" ] && is_sound
}
check 'two imports of one image at once both succeed' at_once

removed_meanwhile() {
	fresh
	import big one || return 1
	import big two &
	a=$!
	for _ in 1 2 3 4 5 6; do
		"$HULL" rmi one >/dev/null 2>&1
		sleep 0.05
	done
	wait "$a" && id_of two >/dev/null && is_sound
}
check 'removing an image while it is imported again leaves the new one whole' removed_meanwhile

nothing_left() {
	"$HULL" rmi two >/dev/null && is_empty
}
check 'removing the last image leaves no file' nothing_left
done_testing
