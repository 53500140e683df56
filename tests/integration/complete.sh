#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Completion and man pages say what the commands' tables say.
. "$(dirname "$0")/lib.sh"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
export HULL_ROOT="$root/store"

offers() { # offers CANDIDATE WORD...
	want=$1
	shift
	"$HULL" __complete -- "$@" | grep -qx -e "$want" || { "$HULL" __complete -- "$@"; return 1; }
}

offers_not() {
	! offers "$@"
}

completes_in_bash() {
	words=$(bash -c '. "$1"; hull() { "$HULL" "$@"; }; COMP_WORDS=(hull ru); COMP_CWORD=1; _hull; echo "${COMPREPLY[@]}"' - "$SOURCE/completions/hull.bash")
	[ "$words" = run ] || { echo "got: $words"; return 1; }
}

# Every option of every command stands in the command's page.
pages_tell_all() {
	bad=0
	{ "$HULL" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'
	for group in $("$HULL" --help | sed -n 's/^Groups: //p'); do
		"$HULL" "$group" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p' | while read -r word; do
			"$HULL" "$group" "$word" --help | sed -n "s/^Usage: hull \($group $word\) .*/\1/p"
		done
	done; } | sort -u >"$root/commands"
	while read -r command; do
		page=$SOURCE/man/hull-$(echo "$command" | tr ' ' -).1
		[ -f "$page" ] || { echo "no page for: $command"; bad=1; continue; }
		# shellcheck disable=SC2086 # a command of two words
		for option in $("$HULL" $command --help | sed -n 's/^  .\{4\}--\([a-z0-9-]*\).*/\1/p'); do
			grep -q -e "Fl -$option\( \|\$\)" "$page" || { echo "$page does not tell --$option"; bad=1; }
		done
	done <"$root/commands"
	[ "$(wc -l <"$root/commands")" -ge 30 ] || { echo "only $(wc -l <"$root/commands") commands found"; bad=1; }
	return "$bad"
}

check 'the beginning of a command becomes the command' offers run ru
check 'a group offers its commands' offers import image i
check 'a command offers its options' offers --network run --ne
check 'hidden commands are not offered' offers_not __complete __
check 'what does not begin so is not offered' offers_not stop ru
check 'bash asks hull' completes_in_bash
check 'each command has a man page with each of its options' pages_tell_all
done_testing
