#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hull-kernel-build: what hull-kernel has done by other programs to make a kernel from source, in WORK, a folder of its own:
#
#	unpack WORK SOURCE [FRAGMENT]	SOURCE (a folder, or an archive) becomes WORK/tree/linux, FRAGMENT is kept for later
#	configure WORK			WORK/tree/linux/.config from hull's options with FRAGMENT's on top; its release is in WORK/release
#	compile WORK JOBS		WORK/kernel
#
# On standard output: "step TEXT" for whoever waits, "error TEXT" before it fails with status 1. A tree's own programs (make runs them) may
# be anybody's: they run as nobody, without a network, and write below WORK/tree only.
verb=$1
work=$2
here=${0%/*}
log=$work/log

fail() { # fail TEXT…
	echo "error $*"
	exit 1
}
last_line() { # what the programs said last, for the one line of an error
	grep -v '^$' "$log" | tail -n 1
}

# --- nobody's part ---

run() { # run COMMAND…: in the tree, with nothing of the caller's but PATH
	set -- env -i PATH="$PATH" HOME=/nonexistent LC_ALL=C CCACHE_DISABLE=1 KBUILD_BUILD_USER=hull KBUILD_BUILD_HOST=hull "$@"
	if [ "$(id -u)" != 0 ]; then
		(cd "$work/tree/linux" && exec "$@")
	else # the folders above may be closed to nobody: in a mount namespace of its own the tree is /mnt
		unshare --mount --net sh -c 'mount --bind "$1" /mnt && cd /mnt/linux && shift &&
			exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --inh-caps=-all -- "$@"' sh "$work/tree" "$@"
	fi
}

# --- the source ---

is_linux() { # is_linux FOLDER
	[ -f "$1/Kconfig" ] && [ -f "$1/Makefile" ] && [ -d "$1/arch/x86" ]
}
take_folder() { # take_folder FOLDER: a copy, without git's part
	is_linux "$1" || fail "'$1' is no source of Linux"
	tar -C "$1" --exclude=./.git -cf - . 2>"$log" | run tar -xf - 2>>"$log" || fail "copy '$1': $(last_line)"
}
take_archive() { # take_archive ARCHIVE
	case $1 in
	*.tar) program='cat' ;;
	*.xz) program='xz -dc' ;;
	*.gz | *.tgz) program='gzip -dc' ;;
	*.bz2) program='bzip2 -dc' ;;
	*.zst) program='zstd -dcq' ;;
	*) fail "'$1' is neither a folder nor an archive (.tar, .tar.xz, .tar.gz, .tar.bz2, .tar.zst)" ;;
	esac
	run sh -c "$program | tar --strip-components=1 -xf -" <"$1" 2>"$log" || fail "unpack '$1': $(last_line)"
	is_linux "$work/tree/linux" || fail "'$1' holds no source of Linux"
}
take_fragment() { # take_fragment FRAGMENT: nothing but options
	bad=$(grep -nvE '^[[:space:]]*(#.*)?$|^CONFIG_[A-Za-z0-9_]+=([^m|][^|]*)?$' "$1" | head -n 1)
	case $bad in
	'') cp -- "$1" "$work/fragment" 2>"$log" || fail "read '$1': $(last_line)" ;;
	*=m) fail "'$1', line ${bad%%:*}: a kernel for machines has no modules: '${bad#*:}'" ;;
	*) fail "'$1', line ${bad%%:*}: no option: '${bad#*:}'" ;;
	esac
}
unpack() { # unpack SOURCE [FRAGMENT]
	: >"$work/fragment"
	[ -z "$2" ] || take_fragment "$2"
	mkdir "$work/tree" "$work/tree/linux"
	[ "$(id -u)" != 0 ] || chown 65534:65534 "$work/tree" "$work/tree/linux"
	if [ -d "$1" ]; then take_folder "$1"; else take_archive "$1"; fi
}

# --- the build ---

build() { # build WHAT [VARIABLE=VALUE…] TARGET…: make, with the reason when it fails
	what=$1
	shift
	run make ARCH=x86_64 "$@" >"$log" 2>&1 && return
	tail -n 15 "$log" | sed 's/^/step | /'
	fail "the kernel cannot be $what: $(last_line)"
}
# The options asked for: hull's, but for those that the fragment has its own word on.
asked() {
	awk -F '[ =]' '
		{ name = $1 == "#" && / is not set$/ ? $2 : $1 }
		name !~ /^CONFIG_/ { next }
		FILENAME == ARGV[1] { own[name] = 1; line[n++] = $0; next }
		{
			n_any = split($0, any, "|")
			for (i = 1; i <= n_any; i++) { sub(/=.*/, "", any[i]); if (any[i] in own) next }
			print
		}
		END { for (i = 0; i < n; i++) print line[i] }' "$work/fragment" "$here/hull-kernel.config"
}
# Each option asked for is in the configuration that came of it.
verify() {
	run cat .config >"$work/config" 2>"$log" || fail "read the kernel's configuration: $(last_line)"
	lost=$(awk '
		function holds(option) {
			name = option
			off = sub(/^# /, "", name) + sub(/=n$/, "", name) # in either way to say so
			sub(/ is not set$/, "", name)
			return option in has || (off && !(name in set))
		}
		FILENAME == ARGV[1] { has[$0] = 1; sub(/=.*/, ""); set[$0] = 1; next }
		{ ok = 0; n = split($0, any, "|") }
		{ for (i = 1; i <= n; i++) ok = ok || holds(any[i]) }
		!ok { print any[1]; exit }' "$work/config" "$work/asked") || fail "judge the kernel's configuration"
	[ -z "$lost" ] || fail "'$lost' does not hold in this kernel: it has no such option, or one that it depends on is off"
}
configure() {
	asked >"$work/asked"
	tr '|' '\n' <"$work/asked" | run sh -c 'cat >../asked' 2>"$log" || fail "keep the options: $(last_line)"
	build 'cleaned' mrproper
	build 'configured' KCONFIG_ALLCONFIG=../asked allnoconfig
	verify
	run make -s ARCH=x86_64 kernelrelease >"$work/release" 2>"$log" || fail "the kernel does not tell its release: $(last_line)"
}
compile() { # compile JOBS
	build 'compiled' -j"$1" vmlinux
	run objcopy -S -R .comment vmlinux ../kernel >"$log" 2>&1 && run cat ../kernel >"$work/kernel" 2>"$log" || fail "strip the kernel: $(last_line)"
}

shift 2
"$verb" "$@"
