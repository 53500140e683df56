#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a power cut leaves of the store (power-cut.py tells how).
here=$(cd "$(dirname "$0")" && pwd)
sentence='a power cut at any moment leaves a sound store'
for need in strace python3 openssl; do
	command -v "$need" >/dev/null || { printf 'ok 1 - %s # SKIP needs %s\n1..1\n' "$sentence" "$need"; exit 0; }
done
tmp=$(mktemp -d -p /var/tmp hull-power.XXXXXX)
server=
trap 'kill $server 2>/dev/null; rm -rf "$tmp"' EXIT
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy
. "$here/../lib/registry.sh"
registry_start "$here/../lib" "$tmp" || exit 1
arch=$(uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/')
(
	cd "$tmp" && mkdir -p root/etc && echo text >root/etc/motd && head -c 20000 /dev/urandom >root/etc/noise && tar -C root -cf root.tar . &&
		"$here/../integration/oci-kit" layout layers=3 "arch=$arch" && "$here/../integration/oci-kit" waiting waiting "arch=$arch" &&
		HULL_ROOT=$tmp/other "$HULL" image import --env A=1 root s:1 >/dev/null && HULL_ROOT=$tmp/other "$HULL" save -o saved.tar s:1 &&
		HULL_ROOT=$tmp/other "$HULL" key generate --no-passphrase -o k >/dev/null && HULL_ROOT=$tmp/other "$HULL" key generate --no-passphrase -o k2 >/dev/null
) || exit 1
python3 "$here/power-cut.py" "$HULL" "$tmp" "${SEED:-1}" "${SECONDS_GIVEN:-60}" "localhost:$plain"
