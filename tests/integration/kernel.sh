#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The kernels of a store: what `hull kernel` takes and refuses. Every kernel here is made up; tests/integration/machine-boot.sh starts a
# real one.
. "$(dirname "$0")/lib.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HULL_ROOT="$work/root"
mkdir "$HULL_ROOT"
"$HULL" kernel ls >"$work/out" # makes the store
release=6.9.1-test

bytes() { # bytes OFFSET TEXT: printf's TEXT into the kernel file at OFFSET
	# shellcheck disable=SC2059 # escapes are the point
	printf "$2" | dd of="$work/vmlinuz" bs=1 seek="$1" conv=notrunc 2>/dev/null
}
make_kernel() { # a bzImage of 4 + 8 sectors with a payload in no known form, so that it is kept as it is
	rm -f "$work/vmlinuz"
	truncate -s 6144 "$work/vmlinuz"
	bytes 497 '\003'                     # 0x1f1: setup sectors
	bytes 500 '\000\001\000\000'         # 0x1f4: 256 * 16 bytes follow
	bytes 510 '\125\252'                 # 0x1fe: 0xaa55
	bytes 514 'HdrS\017\002'             # 0x202: the header, version 2.15
	bytes 526 '\000\002'                 # 0x20e: the release is at 0x400
	bytes 1024 "$release (x@y) #1"
	bytes 566 '\001'                     # 0x236: 64-bit
	bytes 584 '\000\000\000\000\000\001\000\000' # 0x248: payload
}
make_modules() { # make_modules NAME…: a tree whose index says that these are built in
	rm -rf "$work/modules" && mkdir "$work/modules"
	for m; do echo "kernel/x/$m.ko"; done >"$work/modules/modules.builtin"
	: >"$work/modules/modules.order"
}
all='virtio_pci virtio_blk virtio_console erofs overlay ext4'

refused() { # refused TEXT COMMAND…: fails with one line that holds TEXT, and the store is as before
	text=$1
	shift
	before=$(find "$HULL_ROOT/kernels" "$HULL_ROOT/tmp" 2>/dev/null | sort)
	if "$@" >"$work/out" 2>"$work/err"; then echo "not refused"; return 1; fi
	cat "$work/err"
	[ "$(wc -l <"$work/err")" = 1 ] && grep -qF -- "$text" "$work/err" &&
		[ "$(find "$HULL_ROOT/kernels" "$HULL_ROOT/tmp" 2>/dev/null | sort)" = "$before" ]
}
tells_next_step() { refused "'hull kernel ls' names" "$HULL" kernel default "$release"; }
refuses_text() { echo hello >"$work/text" && refused 'no Linux kernel' "$HULL" kernel add "$work/text"; }
refuses_empty() { : >"$work/none" && refused 'empty' "$HULL" kernel add "$work/none"; }
refuses_program() { refused 'no Linux kernel' "$HULL" kernel add /bin/true; }
refuses_folder() { refused 'not a regular file' "$HULL" kernel add "$work"; }
refuses_fifo() { mkfifo "$work/fifo" && refused 'not a regular file' timeout 5 "$HULL" kernel add "$work/fifo"; }
refuses_missing() { refused 'No such file' "$HULL" kernel add "$work/nowhere"; }
refuses_cut() { make_kernel && truncate -s 5000 "$work/vmlinuz" && refused 'cut short: 5000 of 6144' "$HULL" kernel add "$work/vmlinuz"; }
refuses_32_bit() { make_kernel && bytes 566 '\000' && refused '32-bit x86' "$HULL" kernel add "$work/vmlinuz"; }
refuses_arm() { make_kernel && bytes 514 'none' && bytes 56 'ARM\144' && refused 'built for arm64' "$HULL" kernel add "$work/vmlinuz"; }
refuses_without_virtio() {
	# shellcheck disable=SC2086 # the list
	make_kernel && make_modules ${all#virtio_pci } && refused 'has no virtio_pci' "$HULL" kernel add "$work/vmlinuz" --modules "$work/modules"
}
adds() {
	# shellcheck disable=SC2086 # the list
	make_kernel && make_modules $all && [ "$("$HULL" kernel add "$work/vmlinuz" --modules "$work/modules")" = "$release" ] &&
		[ "$("$HULL" kernel ls -q)" = "$release" ] && [ "$(readlink "$HULL_ROOT/kernels/default")" = "$release" ] &&
		[ -z "$(ls -A "$HULL_ROOT/tmp")" ]
}
refuses_double() { refused 'is there already' "$HULL" kernel add "$work/vmlinuz" --modules "$work/modules"; }
adds_by_name() {
	"$HULL" kernel add "$work/vmlinuz" --modules "$work/modules" --name other && [ "$(readlink "$HULL_ROOT/kernels/default")" = "$release" ] &&
		"$HULL" kernel default other && [ "$(readlink "$HULL_ROOT/kernels/default")" = other ]
}
refuses_names() {
	for chosen in .. default a/b -x; do
		refused "cannot be a kernel's name" "$HULL" kernel add "$work/vmlinuz" --modules "$work/modules" "--name=$chosen" || return 1
	done
	refused 'no kernel' "$HULL" kernel default nowhere && refused "no kernel's name" "$HULL" kernel rm ..
}
removes() {
	"$HULL" kernel rm other && "$HULL" kernel rm "$release" && [ -z "$(ls -A "$HULL_ROOT/kernels")" ]
}

check 'an unknown kernel is named with the next step' tells_next_step
check 'a text is no kernel' refuses_text
check 'an empty file is no kernel' refuses_empty
check 'a program is no kernel' refuses_program
check 'a folder is no kernel' refuses_folder
check 'a fifo is refused and not waited for' refuses_fifo
check 'a missing file is named' refuses_missing
check 'a kernel cut short is refused' refuses_cut
check 'a 32-bit kernel is refused' refuses_32_bit
check 'a kernel of another architecture is refused' refuses_arm
check 'a kernel without virtio is refused' refuses_without_virtio
check 'a kernel is added, and the first one is the default' adds
check 'a kernel is not added twice' refuses_double
check 'a kernel can have another name, and be made the default' adds_by_name
check 'names that lead elsewhere are refused' refuses_names
check 'kernels are removed without a trace' removes
done_testing
