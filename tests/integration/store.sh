#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The store is looked at, mended, mounted and cleared.
. "$(dirname "$0")/lib.sh"

own_store store

layer_of() { # layer_of IMAGE N: the file of a layer
	"$HULL" image inspect --format "{{index .LayerFiles $2}}" "$1"
}

flip() { # flip FILE AT: one byte becomes another
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059 # octal of the byte
	printf "\\$(printf %o $(((byte + 1) % 256)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

is_clean() {
	"$HULL" system check >said || { cat said; return 1; }
	[ ! -s said ]
}

finds() { # finds TEXT: the check exits with 1 and says TEXT
	"$HULL" system check >said 2>&1
	[ $? = 1 ] && grep -q -- "$1" said || { cat said; return 1; }
}

mends() { # mends TEXT: the repair says TEXT, and the store is clean then
	"$HULL" system repair >said 2>&1 && grep -q -- "$1" said && is_clean || { cat said; return 1; }
}

mkdir -p root/bin root/etc root/data
cp "$(command -v busybox)" root/bin/busybox
for tool in sh sleep true cat ls tar; do ln -s busybox "root/bin/$tool"; done
echo welcome >root/etc/motd
head -c 300000 /dev/urandom >root/data/noise
"$kit/oci-kit" layout layers=3 "arch=$arch"
"$kit/oci-kit" waiting waiting "arch=$arch"
"$HULL" image import --env PATH=/bin --cmd '["/bin/sh"]' root box >/dev/null
tar -C root -czf root.tgz . && "$HULL" image import root.tgz tgz >/dev/null
"$HULL" image import layout oci >/dev/null
"$HULL" image import waiting waiting >/dev/null

# --- check and repair ---

check 'a sound store is clean' is_clean

remade() { # remade IMAGE AT: damage of one byte of the lowest layer is found and mended to the same bytes
	file=$(layer_of "$1" 0)
	cp "$file" whole && flip "$file" "$2" && finds 'layer' && mends 'made again of its kept blob' && cmp whole "$file"
}
check 'a flipped byte of content is found, and the layer made again of its blob' remade tgz 300000
check 'a flipped byte of the super block likewise' remade oci 1030
sealed() {
	file=$(layer_of waiting 1)
	cp "$file" whole && truncate -s 4096 "$file" && finds 'layer' && mends 'made again' && cmp whole "$file"
}
check 'a layer that needs those below it, cut short, is made again' sealed
chained() { # its content is compared on top of what is below it
	file=$(layer_of waiting 1)
	at=$(grep -abo 'in a folder of the layer below' "$file" | head -n 1 | cut -d: -f1)
	cp "$file" whole && flip "$file" "$at" && finds 'not what its blob holds' && mends 'made again' && cmp whole "$file"
}
check 'a flipped byte of content of such a layer is found' chained
gone() {
	file=$(layer_of oci 2)
	cp "$file" whole && rm "$file" && finds 'No such file' && mends 'made again' && cmp whole "$file"
}
check 'a layer file that is not there is made again' gone

both() {
	file=$(layer_of oci 1) && cp "$file" whole && rm "$file" && other=$(layer_of oci 0) && cp "$other" whole2 && truncate -s 0 "$other" &&
		mends 'made again' && cmp whole "$file" && cmp whole2 "$other"
}
check 'two layers of one image at once likewise' both

blob_damage() {
	file=$(find store/blobs/sha256 -type f -size +100k | head -n 1) && flip "$file" 5000 && finds "blob ${file##*/}: it has the digest" &&
		mends "blob ${file##*/}: removed" && [ ! -e "$file" ]
}
check 'a damaged blob is found and removed, its image stays' blob_damage

quick() {
	file=$(layer_of box 0) && cp "$file" whole && flip "$file" 300000 && "$HULL" system check --quick && finds "not what its diff-id says"
	found=$?
	cp whole "$file"
	return "$found"
}
check 'check --quick reads no content; a folder'\''s layer is judged by its diff-id' quick

hopeless() {
	cp -a store lost && HULL_ROOT=$dir/lost && file=$(layer_of box 0) && flip "$file" 300000 && "$HULL" system repair >said &&
		grep -q 'cannot be made again' said && grep -q 'Untagged: box:latest' said && is_clean && ! "$HULL" image exists box && "$HULL" image exists oci
	done=$?
	HULL_ROOT=$dir/store
	return "$done"
}
check 'what cannot be made again goes, and only that' hopeless

records() {
	command -v python3 >/dev/null || return 0
	cp -a store torn && HULL_ROOT=$dir/torn && python3 - <<-'END' || return 1
	import sqlite3
	db = sqlite3.connect('torn/db')
	db.execute("UPDATE manifest SET config = replace(config, 'KIT=1', 'KIT=2') WHERE id = (SELECT manifest FROM image WHERE name='oci:latest')")
	db.execute("INSERT INTO layer VALUES('zz','zz',0,1,1,1,1)")
	db.commit()
	END
	finds 'its config has the digest' && grep -q 'belongs to no image' said
	found=$?
	HULL_ROOT=$dir/store
	return "$found"
}
check 'records that contradict their digests are found' records

# --- fs-verity ---

sealed_by_kernel='where the file system has fs-verity, a layer cannot be changed, and damage is an error of reading it'
truncate -s 96M verity.img && mkdir -p verity && mke2fs -q -t ext4 -O verity verity.img 2>/dev/null && mount -o loop verity.img verity 2>/dev/null
sealed_layer() {
	file=$(HULL_ROOT=$dir/verity/store layer_of box 0) && lsattr "$file" | cut -d' ' -f1 | grep -q V && ! sh -c "echo x >>'$file'" 2>/dev/null || return 1
	HULL_ROOT=$dir/verity/store "$HULL" system check && HULL_ROOT=$dir/verity/store "$HULL" run --rm --network none box cat /etc/motd | grep -qx welcome || return 1
	at=$(filefrag -v "$file" | awk '$1 == "0:" { sub(/\.\./, "", $4); print $4 }') && block=$(stat -f -c %s verity) && umount -l verity && sleep 1 &&
		printf x | dd of=verity.img bs=1 seek=$((at * block + 5000)) conv=notrunc 2>/dev/null && mount -o loop verity.img verity || return 1
	HULL_ROOT=$dir/verity/store finds 'layer'
}
if ! mountpoint -q verity; then
	echo "ok $((n = n + 1)) - $sealed_by_kernel # SKIP no ext4 with verity can be mounted"
elif ! HULL_ROOT=$dir/verity/store "$HULL" image import --env PATH=/bin root box >/dev/null ||
	! lsattr "$(HULL_ROOT=$dir/verity/store layer_of box 0)" | cut -d' ' -f1 | grep -q V; then
	echo "ok $((n = n + 1)) - $sealed_by_kernel # SKIP this kernel has no fs-verity"
else
	check "$sealed_by_kernel" sealed_layer
fi
umount -l verity 2>/dev/null

# --- mount ---

mounted() {
	at=$("$HULL" image mount box) && diff -r root "$at" && [ "$("$HULL" image mount box)" = "$at" ] && "$HULL" image mount | grep -q "$at" &&
		! touch "$at/x" 2>/dev/null && "$HULL" image unmount box && [ ! -e "$at" ] && ! "$HULL" image unmount box 2>/dev/null
}
check 'a mounted image shows its files, cannot be changed, and goes' mounted
busy() {
	at=$("$HULL" image mount box) && (cd "$at" && ! "$HULL" image unmount box 2>"$dir/busy" && grep -q 'see --force' "$dir/busy" && "$HULL" image unmount --force box)
}
check 'unmounting what is in use needs --force' busy
removed() {
	"$HULL" image import root short >/dev/null && at=$("$HULL" image mount short) && "$HULL" rmi short >/dev/null && cmp root/data/noise "$at/data/noise" &&
		"$HULL" image unmount --all >/dev/null && [ ! -e "$at" ]
}
check 'an image that is removed while it is mounted can be read until it is unmounted' removed

# --- export ---

exported() {
	"$HULL" create --name w --network none box sleep 1000 >/dev/null && "$HULL" export -o stopped.tar w && mkdir -p x && tar -C x -xf stopped.tar &&
		cmp root/data/noise x/data/noise && ! "$HULL" export w 2>/dev/null >/dev/full
}
check 'a workload that never ran is exported' exported
exported_running() {
	"$HULL" start w >/dev/null && "$HULL" exec w sh -c 'echo new >/data/new; rm /etc/motd' && rm -rf x && mkdir x && "$HULL" export w | tar -C x -xf - &&
		[ "$(cat x/data/new)" = new ] && [ ! -e x/etc/motd ] && [ -d x/proc ] && [ -z "$(ls x/proc)" ] && [ -z "$(ls x/sys)" ]
}
check 'a running one is exported as it is now, without what is mounted in it' exported_running
exported_after() {
	"$HULL" stop -t 0 w >/dev/null && "$HULL" export -o after.tar w && tar -xOf after.tar ./data/new | grep -qx new && "$HULL" start w >/dev/null &&
		"$HULL" exec w cat /data/new && "$HULL" rm -f w
}
check 'a stopped one is exported with what it wrote, and starts again' exported_after

# --- show ---

shows() {
	"$HULL" image tree oci | grep -c '──' | grep -qx 3 && "$HULL" image tree oci | grep -q 'Top layer of: oci:latest' &&
		"$HULL" history oci | wc -l | grep -qx 4 && [ "$("$HULL" history -q --no-trunc oci | head -n 1)" = "$("$HULL" image inspect --format '{{.Id}}' oci)" ]
}
check 'tree and history tell the layers' shows
history_tells() {
	mkdir -p h && "$HULL" save oci | tar -C h -xf - && python3 - <<-'END' || return 1
	import hashlib, json
	index = json.load(open('h/index.json')); d = index['manifests'][0]
	def load(x): return json.load(open('h/blobs/sha256/' + x.split(':')[1]))
	def put(o):
	    t = json.dumps(o).encode(); n = hashlib.sha256(t).hexdigest(); open('h/blobs/sha256/' + n, 'wb').write(t); return 'sha256:' + n, len(t)
	m = load(d['digest']); c = load(m['config']['digest'])
	c['history'] = [{'created': '2024-01-02T03:04:05Z', 'created_by': 'COPY a \x1b[31mb', 'comment': 'first'}, {'created_by': 'ENV X=1', 'empty_layer': True},
	                {'created_by': 'RUN ' + 'x' * 100}, {'created_by': 'RUN y'}]
	m['config']['digest'], m['config']['size'] = put(c)
	d['digest'], d['size'] = put(m)
	json.dump(index, open('h/index.json', 'w'))
	END
	"$HULL" image import h told >/dev/null && "$HULL" history told >said && [ "$(wc -l <said)" = 5 ] && ! grep -q "$(printf '\033')" said &&
		[ "$("$HULL" history --format '{{.Comment}}|{{.CreatedAt}}' told | tail -n 1)" = 'first|2024-01-02T03:04:05Z' ] &&
		[ "$("$HULL" history --format '{{.Size}}' told | sed -n 3p)" = 0B ] && "$HULL" history --no-trunc told | grep -q "$(printf 'x%.0s' $(seq 100))"
}
command -v python3 >/dev/null && check 'history tells steps with and without a layer, and passes on no control characters' history_tells

# --- df and prune ---

df_counts() {
	"$HULL" system df --format '{{.Type}} {{.TotalCount}} {{.Active}}' >said && grep -qx 'Images 5 0' said && "$HULL" create --name w --network none box true >/dev/null &&
		"$HULL" system df --format '{{.Type}} {{.TotalCount}} {{.Active}}' >said && grep -qx 'Images 5 1' said && grep -qx 'Containers 1 0' said
}
check 'df counts images, those in use, and workloads' df_counts
prune_all() {
	"$HULL" system prune -f >said && grep -q '^Deleted workload:' said && "$HULL" image exists box && "$HULL" system prune --all </dev/null >said &&
		grep -q 'Untagged: box:latest' said && [ -z "$("$HULL" images -q)" ] && [ -z "$(find store/layers store/blobs -type f)" ]
}
check 'prune removes stopped workloads, and with --all every image without one' prune_all
check 'an empty store is clean' is_clean
done_testing
