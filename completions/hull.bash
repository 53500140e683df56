# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
_hull() {
	local IFS=$'\n'
	mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	[ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default
}
complete -F _hull hull
