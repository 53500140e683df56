#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is seen of an image, mounted or from inside, is what umoci unpacks: names, types, modes, owners, times, attributes, content, links.
. "$(dirname "$0")/lib.sh"
needs umoci python3
[ "$(id -u)" = 0 ] || skip_all 'needs root'
own_store exact

same_as_umoci() { # same_as_umoci LAYOUT IMAGE
	umoci unpack --image "$1:zoo" "bundle-$1" >/dev/null && "$HULL" image import "$1" "$2" >/dev/null && at=$("$HULL" image mount "$2") &&
		"$kit/same-tree" "bundle-$1/rootfs" "$at"
}
"$kit/zoo-kit" zoo "$arch"
check 'whiteouts, opaque folders, changed types, links across layers, attributes, devices, odd names, deep paths' same_as_umoci zoo zoo:1

sparse() { # which umoci's reader does not know
	"$kit/zoo-kit" holes "$arch" sparse && "$HULL" image import holes holes:1 >/dev/null && at=$("$HULL" image mount holes:1) || return 1
	[ "$(stat -c %s "$at/sparse")" = $((4 << 20)) ] && [ "$(head -c 5000 /dev/zero | tr '\0' A)" = "$(dd if="$at/sparse" bs=1 skip=$((1 << 20)) count=5000 2>/dev/null)" ] &&
		[ "$(tr -d '\0AB' <"$at/sparse" | wc -c)" = 0 ] && [ "$(tr -d '\0' <"$at/sparse" | wc -c)" = 9096 ]
}
check 'a sparse file of GNU tar has its size, its content and its holes' sparse

saved() {
	"$HULL" save zoo:1 | HULL_ROOT=$dir/second "$HULL" load -q && HULL_ROOT=$dir/second && at=$("$HULL" image mount zoo:1) && "$kit/same-tree" bundle-zoo/rootfs "$at"
	same=$?
	"$HULL" image unmount -a -f >/dev/null
	HULL_ROOT=$dir/store
	return "$same"
}
check 'the same in another store, by save and load' saved

without_blobs() {
	HULL_ROOT=$dir/store "$HULL" system prune --blobs -f >/dev/null && "$HULL" save zoo:1 | HULL_ROOT=$dir/third "$HULL" load -q && HULL_ROOT=$dir/third &&
		at=$("$HULL" image mount zoo:1) && "$kit/same-tree" bundle-zoo/rootfs "$at"
	same=$?
	"$HULL" image unmount -a -f >/dev/null
	HULL_ROOT=$dir/store
	return "$same"
}
check 'the same of layers that were made into tars again, their blobs pruned' without_blobs

others_unpack() {
	"$HULL" save zoo:1 >lean.tar && mkdir lean && tar -C lean -xf lean.tar && sed -i 's/zoo:1/zoo/g' lean/index.json &&
		umoci unpack --image lean:zoo bundle-lean >/dev/null && "$kit/same-tree" bundle-zoo/rootfs bundle-lean/rootfs
}
check 'and umoci unpacks those to the same' others_unpack

root_folder() {
	mkdir -p odd/bin && cp "$(command -v busybox)" odd/bin/busybox && ln -s busybox odd/bin/sh && chown 12:34 odd && chmod 1771 odd && touch -d '2001-02-03 04:05:06 UTC' odd &&
		"$HULL" image import --env PATH=/bin odd odd:1 >/dev/null || return 1
	[ "$("$HULL" run --name w --network none odd:1 busybox stat -c '%a %u %g' /)" = '1771 12 34' ] && "$HULL" start -a w | grep -qx '1771 12 34' &&
		[ "$(stat -c '%a %u %g %Y' "$("$HULL" image mount odd:1)")" = "1771 12 34 $(date -u -d '2001-02-03 04:05:06 UTC' +%s)" ]
}
check "the root folder has the image's owner and mode" root_folder
done_testing
