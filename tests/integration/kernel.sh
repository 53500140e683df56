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

# --- kernels from source: trees with a Makefile of a few lines instead of Linux ---

make_tree() { # make_tree COMMAND: a tree whose vmlinux is made so; what make was asked for, and who asked, is in it
	rm -rf "$work/tree" && mkdir -p "$work/tree/arch/x86" "$work/tree/.git" && : >"$work/tree/Kconfig"
	cat >"$work/tree/Makefile" <<-EOF
		.RECIPEPREFIX = >
		mrproper:
		> echo mrproper >>record
		allnoconfig:
		> echo allnoconfig >>record; grep -v CONFIG_LOST \$(KCONFIG_ALLCONFIG) >.config
		kernelrelease:
		> @echo $release-built
		vmlinux:
		> { id -u; ls -A; tail -n 1 .config; } >>record; $1
	EOF
	cat >"$work/tree/vmlinux.S" <<-EOF
		.section .note.Xen, "a", @note
		.long 4, 8, 18
		.asciz "Xen"
		.quad 0x1000000
		.data
		.asciz "Linux version $release-built (x@y)"
		$(for m in $all; do echo ".asciz \"\", \"$m\""; done)
		.incbin "record"
	EOF
}
links='gcc -nostdlib -static -no-pie -Wl,-e0 -o vmlinux vmlinux.S'
build() { timeout 120 "$HULL" kernel build --source "$work/tree" "$@"; }
left() { find "$HULL_ROOT/kernels" "$HULL_ROOT/tmp" 2>/dev/null | sort; }
build_refused() { # build_refused TEXT COMMAND…: fails with TEXT in the last line, and the store is as before
	text=$1
	shift
	before=$(left)
	if "$@" >"$work/out" 2>"$work/err"; then echo "not refused"; return 1; fi
	cat "$work/err"
	tail -n 1 "$work/err" | grep -qF -- "$text" && [ "$(grep -c '^hull: kernel build: ' "$work/err")" = 1 ] && [ "$(left)" = "$before" ]
}
build_options() {
	refused '--jobs: not between' "$HULL" kernel build --jobs=-1 && refused "'many'" "$HULL" kernel build -j many &&
		! "$HULL" kernel build --modules x && ! "$HULL" kernel build x && "$HULL" kernel build --help | grep -q -- '--config FILE'
}
build_tools() {
	env "PATH=$work/nothing" "$HULL" kernel build 2>"$work/err" && return 1
	cat "$work/err"
	grep -q 'no gcc, make, flex, bison' "$work/err" && grep -q "install Debian's gcc make flex bison bc perl binutils" "$work/err" && is_clear
}
build_sources() {
	build_refused 'No such file' "$HULL" kernel build --source "$work/nowhere" && build_refused 'not a regular file' "$HULL" kernel build --source "$work/fifo" &&
		build_refused 'is no source of Linux' "$HULL" kernel build --source "$work" &&
		build_refused 'neither a folder nor an archive' "$HULL" kernel build --source "$work/text" &&
		tar -C "$work" -cJf "$work/text.tar.xz" text && build_refused 'holds no source of Linux' "$HULL" kernel build --source "$work/text.tar.xz" &&
		head -c 60 "$work/text.tar.xz" >"$work/cut.tar.xz" && build_refused "unpack '" "$HULL" kernel build --source "$work/cut.tar.xz"
}
build_fragments() {
	make_tree "$links"
	echo 'CONFIG_IPV6=m' >"$work/config" && build_refused "no modules: 'CONFIG_IPV6=m'" build --config "$work/config" &&
		printf '# right\nrm -rf /\n' >"$work/config" && build_refused "line 2: no option: 'rm -rf /'" build --config "$work/config" &&
		build_refused 'No such file' build --config "$work/nowhere" && build_refused 'not a regular file' build --config "$work/fifo" &&
		echo 'CONFIG_LOST=y' >"$work/config" && build_refused "'CONFIG_LOST=y' does not hold" build --config "$work/config"
}
build_names() {
	build_refused "cannot be a kernel's name" build --name ../x && make_kernel && "$HULL" kernel add "$work/vmlinuz" --modules "$work/modules" &&
		build_refused 'is there already' build --name "$release" && ! grep -q configuring "$work/err"
}
builds() { # the options in the fragment come last, and instead of hull's own
	make_tree "$links" && : >"$work/tree/.git/objects" && printf '# CONFIG_IPV6 is not set\nCONFIG_RETPOLINE=n\nCONFIG_FROB=y\n' >"$work/config" &&
		{ [ "$(build --config "$work/config" -j 3 2>"$work/err")" = "$release-built" ] || { cat "$work/err"; false; }; } && cat "$work/err" && [ "$(wc -l <"$work/err")" -le 3 ] && is_clear &&
		"$HULL" kernel ls | grep "^$release-built .* no" && strings -n 2 "$HULL_ROOT/kernels/$release-built/kernel" >"$work/out" &&
		grep -qx mrproper "$work/out" && grep -qx allnoconfig "$work/out" && grep -qx CONFIG_FROB=y "$work/out" && ! grep -qx .git "$work/out"
}
builds_as_nobody() { grep -qx 65534 "$work/out"; }
builds_archive() {
	tar -C "$work" -czf "$work/tree.tar.gz" tree && [ "$(timeout 120 "$HULL" kernel build --source "$work/tree.tar.gz" --name mine 2>/dev/null)" = mine ] &&
		"$HULL" kernel rm mine && build_refused 'is there already' build
}
build_fails() {
	"$HULL" kernel rm "$release-built" && make_tree 'echo hull.c:1: no such luck >&2; exit 1' && build_refused 'the kernel cannot be compiled' build &&
		grep -q 'no such luck' "$work/err" && make_tree 'echo x >vmlinux' && build_refused 'strip the kernel' build &&
		make_tree 'cp /bin/true vmlinux' && build_refused 'no Linux kernel' build
}
sleeps() { pgrep -f "^sleep 3600.$$" >/dev/null; }
rests() { ! sleeps; }
ended() { ! grep -q "^State:[[:space:]]*[^Z]" "/proc/$1/status" 2>/dev/null; }
is_clear() { [ -z "$(ls -A "$HULL_ROOT/tmp")" ]; }
build_stopped() { # build_stopped SIGNAL: while it compiles
	make_tree "sleep 3600.$$ & sleep 3600.$$"
	env --default-signal=INT,TERM,HUP "$HULL" kernel build --source "$work/tree" >"$work/out" 2>"$work/err" &
	pid=$!
	soon sleeps || return 1
	kill "-$1" "$pid"
	soon ended "$pid" || kill -9 "$pid"
	status=0
	wait "$pid" || status=$?
	cat "$work/err"
}
build_obeys() {
	for signal in INT TERM HUP; do
		build_stopped "$signal" && [ "$status" = 125 ] && tail -n 1 "$work/err" | grep -q 'stopped by a signal' && is_clear && rests || return 1
	done
}
build_orphaned() { build_stopped KILL && soon is_clear && soon rests; }
builds_really() {
	"$HULL" kernel build --name real 2>"$work/err" || { cat "$work/err"; return 1; }
	"$HULL" kernel ls | grep '^real ' && [ "$("$HULL" kernel rm real)" = real ] && is_clear
}
can_build() {
	for tool in gcc make flex bison bc perl ld objcopy tar xz unshare setpriv strings pgrep; do
		command -v "$tool" >/dev/null || { echo "needs $tool"; return 1; }
	done
	[ -e /usr/include/libelf.h ] || { echo 'needs libelf-dev'; return 1; }
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
check 'kernel build: wrong options are refused' build_options
check 'kernel build: what is not installed is named, with its packages, before anything is fetched' build_tools
while read -r function sentence; do
	if why=$(can_build); then check "kernel build: $sentence" "$function"; else skip "kernel build: $sentence" "$why"; fi
done <<'EOF'
build_sources a source that is none is refused
build_fragments a fragment that is none, or that does not hold, is refused
build_names a name is judged before anything is compiled
builds a tree is configured, compiled and added, and nothing else is left
builds_as_nobody the programs of the tree run as nobody
builds_archive an archive does as well
build_fails a failure shows what the compiler said last, and leaves nothing
build_obeys SIGINT, SIGTERM and SIGHUP end it, and it clears away
build_orphaned it clears away when hull itself was killed
EOF
sentence="kernel build: the distribution's source is compiled, and is what a machine needs"
if [ "${HULL_TEST_KERNEL_BUILD:-}" = 1 ]; then check "$sentence" builds_really; else skip "$sentence" 'takes half an hour: HULL_TEST_KERNEL_BUILD=1'; fi
done_testing
