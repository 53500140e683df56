# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion for hull-oci: commands, and what its own help says of their options.
_hull_oci() {
	local word=${COMP_WORDS[COMP_CWORD]} i command='' choices
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--root | --log | --log-format) i=$((i + 1)) ;;
		-*) ;;
		*) command=${COMP_WORDS[i]}; break ;;
		esac
	done
	if [ -z "$command" ]; then
		choices=$(hull-oci --help 2>/dev/null | sed -n 's/^  \([a-z]*\) .*/\1/p')' --root --log --log-format --systemd-cgroup --cgroup-manager --debug'
	elif [[ $word == -* ]]; then
		choices=$(hull-oci "$command" --help 2>/dev/null | sed -n 's/^ .*\(--[a-z-]*\) .*/\1/p')
	else
		choices=$(hull-oci list -q 2>/dev/null)
	fi
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
}
complete -F _hull_oci hull-oci
