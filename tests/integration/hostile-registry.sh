#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a registry that lies, breaks off or never ends can do: cost a line and a moment, and leave nothing but what is resumed.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/registry.sh"
needs python3 openssl

dir=$(mktemp -d)
trap 'kill "$server" 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
HULL_ROOT=$dir/store HULL_REGISTRIES=$dir/registries REGISTRY_AUTH_FILE=$dir/auth.json HOME=$dir
export HULL_ROOT HULL_REGISTRIES REGISTRY_AUTH_FILE HOME
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy XDG_RUNTIME_DIR DOCKER_CONFIG

registry_start "$here/../lib" "$dir"
at=localhost:$main
for place in "$at" "127.0.0.1:$other" "localhost:$other"; do
	mkdir -p "certs/$place" && cp cert.pem "certs/$place/ca.crt"
done
printf 'certs %s\npatience 2\n' "$dir/certs" >registries

fresh() {
	rm -rf "$HULL_ROOT" log
	: >log
}

# within KIB COMMAND…: neither the command nor any child of it was ever larger.
within() {
	python3 -c '
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
if peak > int(sys.argv[1]):
    print(f"peak of {peak} KiB", file=sys.stderr)
    status = 99
sys.exit(status)' "$@"
}

# refused TEXT REPOSITORY: a pull of it takes little time and memory, ends with one line that holds TEXT, and leaves nothing but partial blobs.
refused() {
	fresh
	within 65536 timeout 60 "$HULL" pull -q "$at/$2" >out 2>err
	status=$?
	[ "$status" = 125 ] || { echo "status $status"; cat err; return 1; }
	[ "$(wc -l <err)" = 1 ] || { echo 'not one line:'; cat err; return 1; }
	grep -qF -- "$1" err || { cat err; return 1; }
	! grep -q "$(printf '\033')" err || { echo 'an escape in the line'; return 1; }
	left=$(find "$HULL_ROOT/layers" "$HULL_ROOT/blobs" "$HULL_ROOT/tmp" -type f -o -name 'import.*')
	[ -z "$left" ] || { echo "left: $left"; return 1; }
	[ -z "$("$HULL" images -q)" ] || { echo 'an image is listed'; return 1; }
}

nothing_kept() {
	left=$(find "$HULL_ROOT/partial" -type f 2>/dev/null)
	[ -z "$left" ] || { echo "left: $left"; return 1; }
}

pulled() { # pulled REPOSITORY: it comes, whole
	fresh
	within 65536 timeout 60 "$HULL" pull -q "$at/$1" >out 2>err || { cat err; return 1; }
	"$HULL" image exists "$at/$1" && nothing_kept
}

# --- the server of this test tells no lies when it is not asked to ---
check 'an honest registry is pulled from' pulled honest
check 'an image of several platforms gives that of the host' pulled honest/two-platforms
other_platform() {
	fresh
	"$HULL" pull -q --platform linux/mips "$at/honest/two-platforms" >out && [ "$("$HULL" image inspect --format '{{.Architecture}}' "$at/honest/two-platforms")" = mips ] || return 1
	! "$HULL" pull -q --platform linux/riscv64 "$at/honest/two-platforms" 2>err && grep -q 'linux/mips' err && [ "$(wc -l <err)" = 1 ]
}
check 'of several platforms the one that is asked for comes' other_platform
by_digest_of_index() {
	fresh
	d=$(sha256sum "$dir/images/two-platforms/index.json" | cut -d' ' -f1)
	cp "$dir/images/two-platforms/index.json" "$dir/images/two-platforms/blobs/sha256/$d"
	"$HULL" pull -q "$at/honest/two-platforms@sha256:$d" >id && [ "$("$HULL" image inspect --format '{{.Id}}' "$at/honest/two-platforms@sha256:$d")" = "$(cat id)" ]
}
check 'an image chosen of an index by its digest is found by that digest' by_digest_of_index
check 'a layer that waits for those below comes as well' pulled honest/waiting
check 'an index in an index is followed' pulled honest/nested.2

# --- I11 to I15: documents ---
each_lie() {
	for lie in $("$here/oci-kit" --lies); do
		case $lie in manifest-bytes | index-is-manifest) variants=$lie/nested.1 ;; *) variants=$lie ;; esac
		refused '' "honest/$variants" || { echo "at $lie"; return 1; }
	done
}
check 'a document or layer with any one thing wrong in it is refused' each_lie
check 'a manifest under another digest is refused' refused 'has the digest' honest/manifest-bytes/nested.2
check 'a manifest that the registry calls an index is refused' refused 'the registry does not' type_header
check 'layers from elsewhere are refused' refused 'content from elsewhere' honest/urls
check 'indexes nested without end are refused' refused 'an index in an index' honest/nested.9
check 'a manifest of 100 MB is refused' refused 'more than 4194304 bytes' manifest_huge
check 'a manifest without end is refused' refused 'more than 4194304 bytes' manifest_endless
check 'a manifest that drips without end is given up' refused 'timed out' manifest_drips
check 'a manifest packed on the way is not what it was' refused '' packed
size_lie() {
	refused 'the disk has left' honest/size-huge || refused 'size' honest/size-huge
}
check 'a size that no disk has is refused before anything is fetched' size_lie

# --- I16, I17: credentials ---
login() {
	printf 'secret\n' | "$HULL" login -u me --password-stdin "$at" && [ "$(stat -c %a auth.json)" = 600 ] && ! grep -q secret auth.json
}
check 'login keeps a password for its owner alone' login
bearer() {
	pulled token && grep -q "^main GET /token.*Basic" log
}
check 'a token is had for the credentials on file' bearer
check 'basic authentication is met' pulled basic
redirect_bare() {
	pulled token_redirect && grep -q "^other GET /v2/away/blobs" log && ! grep "^other" log | grep -v ' -$'
}
check 'a redirection to another place is followed without credentials' redirect_bare
realm_other() {
	refused "wants its credentials sent to '127.0.0.1'" realm_other && ! grep "^other" log
}
check 'credentials go to no realm at another place' realm_other
realm_named() {
	echo "realm $at 127.0.0.1" >>registries
	pulled realm_other
	r=$?
	sed -i '/^realm/d' registries
	return "$r"
}
check 'but to one that the user has named' realm_named
realm_plain() {
	refused 'is not HTTPS' realm_plain && ! grep "^plain" log
}
check 'a realm without HTTPS is not asked' realm_plain
auth_loop() {
	refused 'denied' auth_loop && [ "$(wc -l <log)" -lt 10 ]
}
check 'a registry that is never content with a token is left after a few' auth_loop
check 'a challenge that is none is refused' refused 'without its end' auth_odd
redirect_down() {
	refused 'redirects from HTTPS' redirect_down && ! grep "^plain" log
}
check 'a redirection from HTTPS to HTTP is refused' redirect_down
check 'a redirection to a file of the host is refused' refused 'redirects from HTTPS' redirect_file
check 'redirections without end are refused' refused 'redirects more than' redirect_loop
unknown_certificate() {
	mv certs/"$at" certs/away
	refused certificate honest
	r=$?
	mv certs/away certs/"$at"
	return "$r"
}
check 'an unknown certificate is refused' unknown_certificate
not_insecure() {
	fresh
	! "$HULL" pull -q "localhost:$plain/honest" 2>err && [ "$(wc -l <err)" = 1 ] && ! grep -q . log
}
check 'a registry without HTTPS is not talked to' not_insecure
insecure_by_flag() {
	"$HULL" pull -q --tls-verify=false "localhost:$plain/honest" >out
}
check 'unless --tls-verify=false says that it may be' insecure_by_flag
logout() {
	"$HULL" logout "$at" && ! grep -q "$at" auth.json && refused 'wants a login' basic
}
check 'logout forgets' logout
creds_once() {
	fresh
	"$HULL" pull -q --creds me:secret "$at/basic" >out && ! grep -q "$at" auth.json
}
check '--creds is used once and kept nowhere' creds_once

# --- I18, I19: bytes ---
check 'a digest that the registry gives and the manifest has not is refused' refused 'the registry says' digest_header
flipped() {
	refused 'digest' blob_flipped/plain && nothing_kept
}
check 'a blob of the right size with one bit wrong is refused and not kept' flipped
check 'a blob that is announced shorter is refused' refused 'not the announced' blob_short
check 'a blob that is announced longer is refused' refused 'not the announced' blob_long
check 'a blob without end is left at its announced size' refused 'more than the announced' blob_endless
check 'headers without end are refused' refused 'headers of more than' headers_endless
check 'an error without end is an error' refused 'is not there' error_endless
check 'a word of the registry is no order to the terminal' refused 'such?thing' gone
check 'a blob that drips is given up' refused 'slower than' slow/kib.100
check 'headers that drip are given up' refused 'slower than' slow_headers
check 'a range that was not asked for is refused' refused 'another part' range_wrong
check 'a blob that breaks off again and again is gone on with' pulled breaks/kib.100
check 'a registry that ignores ranges is read over' pulled range_ignored/kib.100
busy() {
	pulled busy
}
check 'a registry that is busy is asked again when it says' busy
check 'one that asks for an hour is not waited for' refused 'status 503' busy_long

resumed() { # what came is kept, and only the rest is asked for
	refused 'transfer closed' breaks_always/kib.500 || return 1
	kept=$(find "$HULL_ROOT/partial" -type f -size +200k | wc -l)
	[ "$kept" = 1 ] || { echo "$kept large blobs are kept"; ls -l "$HULL_ROOT/partial"; return 1; }
	: >log
	"$HULL" pull -q "$at/honest/kib.500" >out || return 1
	grep -q 'GET /v2/honest/kib.500/blobs.*bytes=' log || { cat log; return 1; }
	nothing_kept
}
check 'a later pull goes on where an earlier one broke off' resumed
spoilt() { # what was kept is not it: fetched anew
	refused 'transfer closed' breaks_always/kib.501 || return 1
	for f in "$HULL_ROOT"/partial/*; do printf 'x' | dd of="$f" bs=1 seek=100 conv=notrunc 2>/dev/null; done
	"$HULL" pull -q "$at/honest/kib.501" >out && nothing_kept
}
check 'kept bytes that are spoilt are fetched anew' spoilt

# --- I20: names ---
short() {
	fresh
	! "$HULL" pull -q honest 2>err && grep -q 'names no registry' err && [ "$(wc -l <err)" = 1 ] && ! grep -q . log
}
check 'a name without a registry is refused, and nobody is asked' short
search() {
	echo "search $at" >>registries
	fresh
	"$HULL" pull -q honest >out && "$HULL" image exists "$at/honest"
	r=$?
	echo "search 127.0.0.1:1" >>registries
	"$HULL" pull -q honest 2>err && return 1
	grep -q 'two meanings' err || return 1
	sed -i '/^search/d' registries
	return "$r"
}
check 'one place to search is the only one there can be' search
alias_wins() {
	printf 'search 127.0.0.1:1\nalias web %s/honest\n' "$at" >>registries
	fresh
	"$HULL" pull -q web:x >out && "$HULL" image exists "$at/honest:x"
	r=$?
	sed -i '/^search/d;/^alias/d' registries
	return "$r"
}
check 'an alias says what one name means' alias_wins
mirror() { # once without: what is made when it is first asked for is slow to come
	pulled honest/kib.3 || return 1
	echo "mirror $at 127.0.0.1:$other" >>registries
	pulled honest/kib.3 && grep -q '^other GET' log && ! grep '^main' log
	r=$?
	sed -i '/^mirror/d' registries
	[ "$r" = 0 ] || return 1
	echo "mirror $at 127.0.0.1:1" >>registries
	pulled honest/kib.3
	r=$?
	sed -i '/^mirror/d' registries
	return "$r"
}
check 'a mirror is asked first, and its failure is none' mirror
mirror_down() { # it speaks no TLS
	pulled honest/kib.4/layers.3 || return 1
	echo "mirror $at localhost:$plain" >>registries
	: >connections
	pulled honest/kib.4/layers.3
	r=$?
	sed -i '/^mirror/d' registries
	[ "$(grep -c plain connections)" = 1 ] || { cat connections; return 1; }
	return "$r"
}
check 'a mirror that cannot be talked to is tried once, not for each blob' mirror_down

confined() { # who reads what the registry sends is nobody, has no capabilities, and can start nothing
	fresh
	"$HULL" pull -q "$at/slow/kib.70" >out 2>&1 &
	pull=$!
	for _ in $(seq 200); do ! grep -q 'GET /v2/slow/kib.70/blobs' log || break; sleep 0.1; done
	reader=$(pgrep -f "hull-registry serve .* $at slow/kib.70")
	cat "/proc/$reader/status" >status
	wait "$pull"
	nobody=$([ "$(id -u)" = 0 ] && echo 65534 || id -u)
	grep -q "^Uid:.$nobody.$nobody.$nobody.$nobody$" status && grep -q '^CapPrm:.0*$' status && grep -q '^CapEff:.0*$' status &&
		grep -q '^NoNewPrivs:.1' status && grep -q '^Seccomp:.2' status || { cat status; return 1; }
}
check 'who reads what a registry sends has no rights' confined

ask() { # ask REPOSITORY QUESTION
	: >log
	"$here/../lib/ask.py" "$BUILD/src/hull-registry" "$at" "$1" "$2" >out
}
zeros=$(printf '%064d' 0)
referrers() {
	ask refers "referrers sha256:$zeros 1000" && grep -q '"manifests": \[\]' out && grep -q '^ok application/vnd.oci.image.index' out || return 1
	ask honest "referrers sha256:$zeros 100000" && grep -q "GET /v2/honest/referrers/sha256:$zeros" log && grep -q "GET /v2/honest/manifests/sha256-$zeros" log
}
check 'what refers to an image is asked for, and by a tag where that is unknown' referrers
odd_questions() {
	for q in 'manifest' 'manifest a b' 'blob sha256:x 5 4' 'blob sha256:x -1 4' 'give all'; do
		if ask honest "$q"; then echo "'$q' is taken" && return 1; fi
		tail -n 1 out | grep -q '^error' || { cat out; return 1; }
	done
	! grep -q . log
}
check 'an odd question is answered with an error, and nobody is asked' odd_questions

search_index() {
	"$HULL" search --limit 1 --index "$at" thing >out && [ "$(wc -l <out)" = 1 ] && grep -q 'thing.*3.official.one two' out && ! grep -q "$(printf '\033')" out
}
check 'search shows what an index finds' search_index
create_pulls() {
	pulled honest && fresh && "$HULL" create --pull missing "$at/honest" x >out 2>err && "$HULL" image exists "$at/honest"
}
check 'hull create pulls as hull run does' create_pulls

two_at_once() {
	fresh
	"$HULL" pull -q "$at/honest/layers.6/kib.300" >a 2>err &
	first=$!
	"$HULL" pull -q "$at/honest/layers.6/kib.300" >b 2>>err || { cat err; return 1; }
	wait "$first" || { cat err; return 1; }
	cmp a b || return 1
	for d in $(sed -n 's/^main GET .*\(sha256:[0-9a-f]*\).*/\1/p' log | sort -u); do
		grep -q "blobs/$d" log || continue
		[ "$(grep -c "blobs/$d - " log)" -le 2 ] || { cat log; return 1; }
	done
	layers=$(grep -c '^main GET .*blobs/' log) # six layers once, the config twice
	[ "$layers" = 8 ] || { echo "$layers blobs were asked for"; cat log; return 1; }
}
check 'two pulls of one image at once fetch its layers once' two_at_once

killed() {
	fresh
	for delay in 0.01 0.03 0.05 0.1 0.2 0.4; do
		"$HULL" pull -q "$at/breaks/layers.4/kib.400" >/dev/null 2>&1 &
		pid=$!
		sleep "$delay"
		for p in $(cat /proc/"$pid"/task/*/children 2>/dev/null) $pid; do kill -9 "$p" 2>/dev/null; done
		wait "$pid" 2>/dev/null
	done
	"$HULL" pull -q "$at/breaks/layers.4/kib.400" >out 2>err || { cat err; return 1; }
	"$HULL" image prune >/dev/null && nothing_kept && [ -z "$(ls "$HULL_ROOT/tmp")" ]
}
check 'after a kill at any moment the next pull has it all, and nothing is left' killed
done_testing
