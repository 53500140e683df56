#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What leaves the store is what came in, and docker, podman and skopeo take it; what they write comes in with all its names.
. "$(dirname "$0")/lib.sh"

own_store save

id_of() {
	"$HULL" image inspect --format '{{.Id}}' "$1"
}

blob() { # blob ARCHIVE DIGEST: its content
	tar -xOf "$1" "blobs/sha256/${2#sha256:}"
}

mkdir -p root/bin root/etc
cp "$(command -v busybox || echo /bin/sh)" root/bin/busybox
ln -s busybox root/bin/sh
ln root/bin/busybox root/bin/again
mkfifo root/etc/fifo
echo welcome >root/etc/motd
chmod 4711 root/bin/busybox
setfattr -n user.note -v kept root/etc/motd 2>/dev/null
tar -C root --sort=name -cf root.tar .
"$kit/oci-kit" layout layers=3 "arch=$arch"
"$HULL" image import --cmd '["/bin/sh"]' root folder:1 >/dev/null
"$HULL" image import root.tar tar:1 >/dev/null
"$HULL" image import layout oci:1 >/dev/null
"$HULL" tag oci:1 example.org:5000/a/b:2
"$HULL" save -o saved.tar folder:1 tar:1 oci:1 example.org:5000/a/b:2

# --- hull's own ---

round_trip() {
	HULL_ROOT=$dir/second
	said=$("$HULL" load -i saved.tar | sort | tr '\n' ';') && [ "$said" = \
		'Loaded image: example.org:5000/a/b:2;Loaded image: folder:1;Loaded image: oci:1;Loaded image: tar:1;' ] || { echo "$said"; return 1; }
	"$HULL" save folder:1 tar:1 oci:1 example.org:5000/a/b:2 | cmp - saved.tar
	same=$?
	for each in folder:1 tar:1 oci:1 example.org:5000/a/b:2; do
		second=$(id_of "$each")
		[ "$(HULL_ROOT=$dir/store "$HULL" image inspect --format '{{.Id}}' "$each")" = "$second" ] || { echo "$each differs"; same=1; }
	done
	HULL_ROOT=$dir/store
	return "$same"
}
check 'save and load bring images with all their names into another store, and saving again gives the same bytes' round_trip
of_platform() {
	HULL_ROOT=$dir/platforms
	"$kit/oci-kit" two two-platforms "arch=$arch" && tar -C two -cf two.tar . || return 1
	for p in "linux/$arch" linux/mips; do
		said=$("$HULL" load --platform "$p" -i two.tar) && [ "linux/$("$HULL" image inspect --format '{{.Architecture}}' "${said##* sha256:}")" = "$p" ] || { echo "$p: $said"; return 1; }
	done
	fails 'no image for linux/s390x in it' "$HULL" load --platform linux/s390x -i two.tar && fails 'not OS/ARCHITECTURE' "$HULL" load --platform mips -i two.tar
	result=$?
	HULL_ROOT=$dir/store
	return "$result"
}
check 'load --platform takes the image for that platform' of_platform

digests_stay() {
	manifest=$(sed -n 's/.*"digest": *"\(sha256:[0-9a-f]*\)".*/\1/p' layout/index.json | head -n 1)
	blob saved.tar "$manifest" | cmp - "layout/blobs/sha256/${manifest#sha256:}" || return 1
	for file in layout/blobs/sha256/*; do
		blob saved.tar "${file##*/}" | cmp - "$file" || return 1
	done
}
check 'manifest, config and layers of a layout leave with the digests they came with' digests_stay

tar_stays() {
	blob saved.tar "$(sha256sum root.tar | cut -d' ' -f1)" | cmp - root.tar
}
check 'a root tar leaves as the tar it came as' tar_stays

folder_unpacks() {
	layer=$("$HULL" image inspect --format '{{index .RootFS.Layers 0}}' folder:1) && mkdir -p unpacked &&
		blob saved.tar "$layer" | tar -C unpacked --xattrs --xattrs-include='*' -xf - || return 1
	for tree in root unpacked; do
		(cd "$tree" && find . ! -type d -exec stat -c '%n %F %a %u %g %h %s' {} + | sort) >"$tree.list"
	done
	cmp root.list unpacked.list || { diff root.list unpacked.list; return 1; }
	[ "$(getfattr --only-values -n user.note unpacked/etc/motd 2>/dev/null)" = "$(getfattr --only-values -n user.note root/etc/motd 2>/dev/null)" ]
}
check 'a folder leaves as a tar whose digest is its diff-id, and which unpacks to the folder' folder_unpacks

by_stdio() {
	"$HULL" save oci:1 | HULL_ROOT=$dir/third "$HULL" load -q >said && [ ! -s said ] && HULL_ROOT=$dir/third "$HULL" image exists oci:1
}
check 'an archive goes through a pipe, and load -q says nothing' by_stdio

by_id() {
	"$HULL" save -o by-id.tar "$(id_of oci:1)" && tar -xOf by-id.tar manifest.json | grep -q '"RepoTags":\["example.org:5000/a/b:2","oci:1"\]' || return 1
	"$HULL" image import root unnamed:1 >/dev/null && id=$(id_of unnamed:1) && "$HULL" image import --cmd x root unnamed:1 >/dev/null &&
		"$HULL" save -o unnamed.tar "$id" && HULL_ROOT=$dir/third "$HULL" load -i unnamed.tar | grep -qx "Loaded image ID: $id"
}
check 'an image saved by its id has all its names, and one without a name is loaded without' by_id

check '--format takes the two names that docker and podman have, and no other' \
	sh -c "\"\$HULL\" save --format oci-archive oci:1 >a && \"\$HULL\" save --format docker-archive oci:1 | cmp - a && ! \"\$HULL\" save --format zip oci:1 >/dev/null 2>&1"

check 'an image that is not there is told, and no file is left' sh -c "! \"\$HULL\" save -o none.tar nowhere 2>/dev/null && [ ! -e none.tar ] && ! ls none.tar.* 2>/dev/null"
check 'a folder is no place for an archive' fails "is a folder" "$HULL" save -o root oci:1
check 'a root tar is nothing to load' fails 'no OCI layout and no docker-archive' "$HULL" load -i root.tar
check 'an archive cut short is refused' sh -c "head -c 40000 saved.tar >cut.tar; ! HULL_ROOT=$dir/fourth \"\$HULL\" load -i cut.tar 2>/dev/null && [ -z \"\$(HULL_ROOT=$dir/fourth \"\$HULL\" images -q)\" ]"

damaged_blob() {
	cp -a store bad && file=$(find bad/blobs/sha256 -type f -size -64k | head -n 1) && printf x | dd of="$file" bs=1 seek=40 conv=notrunc 2>/dev/null &&
		HULL_ROOT=$dir/bad fails 'see hull system repair' "$HULL" save -o bad.tar oci:1 tar:1 && [ ! -e bad.tar ]
}
check 'a kept blob that was damaged never leaves the store' damaged_blob

pruned() {
	cp -a store lean && HULL_ROOT=$dir/lean && "$HULL" system prune --blobs -f >/dev/null && "$HULL" save -o lean.tar oci:1 &&
		HULL_ROOT=$dir/fresh && "$HULL" load -i lean.tar >/dev/null && HULL_ROOT=$dir/lean && a=$("$HULL" image mount oci:1) &&
		HULL_ROOT=$dir/fresh && b=$("$HULL" image mount oci:1) && diff -r "$a" "$b"
	same=$?
	for store in lean fresh; do HULL_ROOT=$dir/$store "$HULL" image unmount -a >/dev/null; done
	HULL_ROOT=$dir/store
	return "$same"
}
check 'without kept blobs an image leaves as other layers with the same files' pruned

# --- others read it ---

if command -v skopeo >/dev/null; then
	skopeo_reads() {
		for from in docker-archive:saved.tar:oci:1 oci-archive:saved.tar:oci:1 oci-archive:saved.tar:folder:1 docker-archive:saved.tar:tar:1; do
			rm -rf copied && skopeo copy -q "$from" oci:copied:x >/dev/null || { echo "$from"; return 1; }
		done
		skopeo inspect --raw oci-archive:saved.tar:example.org:5000/a/b:2 | cmp - "layout/blobs/sha256/${manifest#sha256:}"
	}
	check 'skopeo reads it as docker-archive and as oci-archive' skopeo_reads
	skopeo_writes() {
		skopeo copy -q oci:layout docker-archive:sk.tar:me/sk:7 >/dev/null && skopeo copy -q oci:layout oci-archive:sko.tar:me/sko:8 >/dev/null &&
			"$HULL" load -i sk.tar | grep -q 'me/sk:7$' && "$HULL" load -i sko.tar | grep -qx 'Loaded image: me/sko:8' &&
			[ "$(id_of me/sko:8)" = "$(id_of oci:1)" ]
	}
	check "skopeo's docker-archive and oci-archive are loaded with their names" skopeo_writes
else
	echo "ok $((n = n + 1)) - skopeo reads and writes # SKIP skopeo is not installed"
fi
if command -v umoci >/dev/null; then
	umoci_reads() { # whose names hold no colon
		rm -rf plain && mkdir plain && "$HULL" save folder:1 | tar -C plain -xf - && sed -i 's/folder:1/one/g' plain/index.json &&
			umoci unpack --image plain:one bundle && cmp root/bin/busybox bundle/rootfs/bin/busybox
	}
	check 'umoci unpacks it' umoci_reads
fi
if command -v podman >/dev/null; then
	pm() {
		timeout 120 podman --root "$dir/pm" --runroot "$dir/pmrun" --storage-driver vfs --cgroup-manager cgroupfs "$@" 2>>pm.log
	}
	podman_reads() {
		pm load -q -i saved.tar >said && [ "$(pm images --format '{{.Repository}}:{{.Tag}}' | wc -l)" = 4 ] || { cat said pm.log; pm images; return 1; }
		[ "sha256:$(pm image inspect --format '{{.Id}}' folder:1)" = "$(id_of folder:1)" ]
	}
	check 'podman loads it: four names, the same ids' podman_reads
	podman_writes() {
		for format in docker-archive oci-archive; do
			rm -f pm.tar
			pm save -q --format "$format" -o pm.tar localhost/folder:1 2>/dev/null || pm save -q --format "$format" -o pm.tar folder:1 || return 1
			HULL_ROOT=$dir/from-$format "$HULL" load -i pm.tar >said || return 1
			grep -q 'folder:1$' said || { cat said; return 1; }
		done
		pm save -q -m -o pm-many.tar folder:1 tar:1 && HULL_ROOT=$dir/from-many "$HULL" load -i pm-many.tar | wc -l | grep -qx 2
	}
	check "podman's archives of each kind, and of several images, are loaded with their names" podman_writes
else
	echo "ok $((n = n + 1)) - podman loads it # SKIP podman is not installed"
fi
if command -v dockerd >/dev/null && [ "$(id -u)" = 0 ]; then
	docker_both() {
		cat >dockers.sh <<-'END'
		mount --make-rprivate / && mount -t tmpfs run /run && mkdir -p /run/docker
		dockerd --data-root "$PWD/docker" --exec-root /run/docker --pidfile /run/docker.pid --bridge none --iptables=false \
			--ip6tables=false --storage-driver vfs -H "unix://$PWD/docker.sock" >dockerd.log 2>&1 &
		export DOCKER_HOST="unix://$PWD/docker.sock" DOCKER_CONFIG="$PWD"
		for _ in $(seq 100); do docker version >/dev/null 2>&1 && break; sleep 0.3; done
		docker load -i saved.tar && docker images --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' >docker.images &&
			docker save -o docker.tar folder:1 oci:1 tar:1
		END
		timeout 180 unshare -m -n -p --fork --kill-child --mount-proc sh dockers.sh || { tail -n 5 dockerd.log; return 1; }
		for each in folder:1 oci:1 tar:1; do
			grep -qx "$each $(id_of "$each")" docker.images || { cat docker.images; return 1; }
		done
		HULL_ROOT=$dir/from-docker "$HULL" load -i docker.tar | sort | tr '\n' ';' >said
		[ "$(cat said)" = 'Loaded image: folder:1;Loaded image: oci:1;Loaded image: tar:1;' ] || { cat said; return 1; }
		[ "$(HULL_ROOT=$dir/from-docker "$HULL" image inspect --format '{{.Id}}' tar:1)" = "$(id_of tar:1)" ] &&
			HULL_ROOT=$dir/from-docker "$HULL" save tar:1 oci:1 | tar -xOf - manifest.json >/dev/null
	}
	check 'docker loads it: the same names and ids; what docker saves is loaded with the same names and ids' docker_both
else
	echo "ok $((n = n + 1)) - docker loads it # SKIP dockerd is not installed"
fi
done_testing
