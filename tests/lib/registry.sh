# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# The registry of registry.py, for scripts that pull from it.

# registry_start LIB FOLDER: starts it over FOLDER, LIB being this file's folder; $server is its process, $main, $other and $plain its ports,
# and FOLDER/cert.pem and key.pem who it is. The caller ends it.
# shellcheck disable=SC2034 # they are the caller's
registry_start() {
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$2/key.pem" -out "$2/cert.pem" -days 2 -subj /CN=localhost \
		-addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' >/dev/null 2>&1
	"$1/registry.py" "$2" "$2/cert.pem" "$2/key.pem" &
	server=$!
	for _ in $(seq 100); do [ -e "$2/ports" ] || sleep 0.1; done
	read -r main other plain <"$2/ports" || return 1
	main=${main#*=} other=${other#*=} plain=${plain#*=}
}
