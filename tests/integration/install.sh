#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make install PREFIX=`: what lands where.
. "$(dirname "$0")/lib.sh"

dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT

installs() {
	DESTDIR=$dest meson install -C "$BUILD" --no-rebuild --quiet
}

lands_below() { # everything installed is a program, a page, a completion or a unit, below the prefix
	find "$dest" -type f | sed "s|^$dest||" | grep -v "^$prefix/\(bin\|libexec/hull\|share/man/man[1-8]\|share/bash-completion\|share/zsh\|share/fish\|share/doc/hull\|lib/systemd\)/" && return 1
	return 0
}

has_each_program() {
	for p in $(cd "$BUILD/src" && find . -maxdepth 1 -type f -perm -u+x ! -name '*.so*'); do
		find "$dest" -type f -name "$(basename "$p")" | grep -q . || { echo "$p is not installed"; return 1; }
	done
}

has_each_page() {
	for p in "$SOURCE"/man/*.[1-8]; do
		[ ! -f "$p" ] || find "$dest" -type f -name "$(basename "$p")*" | grep -q . || { echo "$p is not installed"; return 1; }
	done
}

prefix=$(meson introspect "$BUILD" --buildoptions | tr '{' '\n' | sed -n 's/.*"name": "prefix", "value": "\([^"]*\)".*/\1/p')
check 'meson install puts everything below DESTDIR' installs
check 'nothing lands beside bin, libexec/hull, man, completions and units' lands_below
check 'each program is installed' has_each_program
check 'each man page is installed' has_each_page
done_testing
