#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Pull and push with a real registry (Debian's docker-registry, HTTPS by an authority of the test's own, a password), beside skopeo and podman.
. "$(dirname "$0")/lib.sh"
kit=$(cd "$(dirname "$0")" && pwd)/oci-kit
for need in docker-registry skopeo openssl python3; do
	command -v $need >/dev/null || { echo "1..0 # SKIP needs $need"; exit 0; }
done

dir=$(mktemp -d)
end() {
	[ -z "${registry:-}" ] || kill "$registry" 2>/dev/null
	awk -v at="$dir/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r m; do umount -l "$m"; done
	no_etc_hull
	rm -rf "$dir"
}
trap end EXIT
cd "$dir" || exit 1
HULL_ROOT=$dir/store HULL_REGISTRIES=$dir/registries REGISTRY_AUTH_FILE=$dir/auth.json HOME=$dir
export HULL_ROOT HULL_REGISTRIES REGISTRY_AUTH_FILE HOME
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy XDG_RUNTIME_DIR DOCKER_CONFIG

openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=an authority' >/dev/null 2>&1
openssl req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost >/dev/null 2>&1
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >names
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem >/dev/null 2>&1
python3 -W ignore -c 'import crypt; print("me:" + crypt.crypt("secret", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' >htpasswd
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
at=localhost:$port
cat >registry.yml <<-END
	version: 0.1
	log: {level: error}
	storage: {filesystem: {rootdirectory: $dir/data}}
	http: {addr: '127.0.0.1:$port', tls: {certificate: $dir/cert.pem, key: $dir/key.pem}}
	auth: {htpasswd: {realm: here, path: $dir/htpasswd}}
END
# its settings may come from variables REGISTRY_…, which that one is not meant to be
env -u REGISTRY_AUTH_FILE docker-registry serve registry.yml >registry.log 2>&1 &
registry=$!
mkdir -p "certs/$at" && cp ca.pem "certs/$at/ca.crt"
echo "certs $dir/certs" >registries
for _ in $(seq 100); do
	curl -s --cacert ca.pem "https://$at/v2/" >/dev/null && break
	sleep 0.1
done

arch=$(uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/')
"$kit" made layers=3 kib=300 "arch=$arch"
skopeo copy -q oci:made oci:layout:1 # which gives it a name there
bring() { # bring LAYOUT NAME [OPTION…]: skopeo pushes it
	from=$1 to=$2
	shift 2
	skopeo copy -q --dest-cert-dir "certs/$at" "$@" "oci:$from" "docker://$at/$to"
}
digest_of() {
	skopeo inspect --cert-dir "certs/$at" --format '{{.Digest}}' "docker://$at/$1"
}
fresh() {
	awk -v at="$HULL_ROOT/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r m; do umount -l "$m"; done
	rm -rf "$HULL_ROOT"
}

without_login() {
	! "$HULL" pull -q "$at/kit:1" 2>err && [ "$(wc -l <err)" = 1 ] && grep -q 'wants a login' err
}
check 'a registry with a password says so in a line' without_login
wrong_password() {
	! echo wrong | "$HULL" login -u me --password-stdin "$at" 2>err && grep -q 'refuses this user or password' err && [ ! -e auth.json ]
}
check 'a wrong password is told, and not kept' wrong_password
login() {
	echo secret | "$HULL" login -u me --password-stdin "$at"
}
check 'hull login tries a password and keeps it' login
check 'skopeo pushes with what hull login has kept' bring layout:1 kit:1

pulls() {
	"$HULL" pull "$at/kit:1" >id 2>lines && [ "$(grep -c '^layer [123] of 3: .*fetched' lines)" = 3 ] || { cat lines; return 1; }
	config=$(skopeo inspect --raw --cert-dir "certs/$at" "docker://$at/kit:1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["config"]["digest"])')
	[ "$(cat id)" = "$config" ]
}
check 'hull pulls it, by HTTPS with that authority, a line for each layer' pulls
pulls_again() {
	"$HULL" pull "$at/kit:1" 2>lines && [ "$(grep -c 'already there' lines)" = 3 ]
}
check 'a second pull moves no layer' pulls_again
quiet() {
	"$HULL" pull -q "$at/kit:1" 2>lines && [ ! -s lines ]
}
check 'with --quiet it says nothing' quiet
bar() {
	fresh
	script -qec "'$HULL' pull '$at/kit:1'" /dev/null </dev/null >shown && grep -q 'of 3 layers' shown && ! grep -q '^layer' shown
}
if command -v script >/dev/null; then check 'on a terminal it shows a bar' bar; fi

one_layer_changed() {
	fresh
	"$HULL" pull -q "$at/kit:1" >/dev/null || return 1
	umoci unpack --image layout:1 bundle && echo changed >bundle/rootfs/new && umoci repack --image layout:2 bundle || return 1
	bring layout:2 kit:2 && "$HULL" pull "$at/kit:2" 2>lines || return 1
	[ "$(grep -c 'already there' lines)" = 3 ] && [ "$(grep -c fetched lines)" = 1 ]
}
if command -v umoci >/dev/null; then check 'of the same image with one more layer only that moves' one_layer_changed; fi

same_digest() {
	"$HULL" pull -q "$at/kit:1" >/dev/null && "$HULL" push -q "$at/kit:1" "$at/other/copy:1" >digest || return 1
	[ "$(digest_of kit:1)" = "$(digest_of other/copy:1)" ] && [ "$(cat digest)" = "$(digest_of kit:1)" ]
}
check 'what was pulled is pushed with the same digest' same_digest
mounts() {
	"$HULL" push "$at/kit:1" "$at/third:1" 2>lines && [ "$(grep -c '^layer.*mounted' lines)" = 3 ]
}
check 'layers that another repository has are mounted' mounts
pushes_again() {
	"$HULL" push "$at/kit:1" "$at/third:1" 2>lines && [ "$(grep -c '^layer.*there' lines)" = 3 ]
}
check 'a second push sends no layer' pushes_again
all_tags() {
	for to in many/app:1 many/app:two many/app-not:1; do "$HULL" tag "$at/kit:1" "$at/$to" || return 1; done
	"$HULL" push -q --all-tags "$at/many/app" | sort >pushed && printf '%s\n' "$at/many/app:1 $(digest_of kit:1)" "$at/many/app:two $(digest_of kit:1)" >want && diff pushed want || return 1
	[ "$(digest_of many/app:two)" = "$(digest_of kit:1)" ] && ! digest_of many/app-not:1 2>/dev/null || return 1
	refused 'without a tag' "$HULL" push --all-tags "$at/many/app:1" && refused 'no image has a tag of it' "$HULL" push -a "$at/many/none"
}
check "push --all-tags sends the tags of one repository, and no other's" all_tags
fresh_push() { # to a registry that has nothing of it
	rm -rf store2
	mkdir root && echo content >root/file && dd if=/dev/urandom of=root/large bs=1M count=3 2>/dev/null && tar -C root -czf root.tgz .
	HULL_ROOT=$dir/store2 "$HULL" image import root.tgz "$at/made:1" >/dev/null && HULL_ROOT=$dir/store2 "$HULL" push "$at/made:1" 2>lines >/dev/null || return 1
	grep -q '^layer 1 of 1: .*sent' lines && fresh && "$HULL" pull -q "$at/made:1" >/dev/null &&
		[ "$("$HULL" image inspect --format '{{.Id}}' "$at/made:1")" = "$(HULL_ROOT=$dir/store2 "$HULL" image inspect --format '{{.Id}}' "$at/made:1")" ]
}
check 'an image made of a packed root is pushed whole, and comes back as it is' fresh_push
podman_takes_it() {
	podman --root "$dir/podman" --runroot "$dir/podman-run" --events-backend none pull -q --cert-dir "certs/$at" "$at/made:1" >podman-id || return 1
	[ "sha256:$(cat podman-id)" = "$("$HULL" image inspect --format '{{.Id}}' "$at/made:1")" ]
}
if command -v podman >/dev/null; then check 'podman pulls what hull pushed' podman_takes_it; fi
plain_root() { # from two stores, at two times
	"$HULL" image import root "$at/plain:1" >/dev/null && "$HULL" push "$at/plain:1" >digest 2>lines && grep -q '^layer 1 of 1: .*sent' lines || { cat lines; return 1; }
	HULL_ROOT=$dir/store2 "$HULL" pull -q "$at/plain:1" >/dev/null || return 1
	[ "$(digest_of plain:1)" = "$(cat digest)" ] && [ "$("$HULL" push -q "$at/plain:1" "$at/plain:2")" = "$(cat digest)" ] && [ "$(digest_of plain:2)" = "$(cat digest)" ] || return 1
	skopeo copy -q --src-cert-dir "certs/$at" "docker://$at/plain:1" dir:plain-copy && mkdir plain-out &&
		tar -C plain-out -xf "plain-copy/$(python3 -c 'import json; print(json.load(open("plain-copy/manifest.json"))["layers"][0]["digest"][7:])')" && diff -r root plain-out
}
check 'an image made of a folder is packed, by the same bytes each time, and another program unpacks the folder' plain_root
without_blobs() { # what was packed by gzip goes as it is unpacked, and says so
	HULL_ROOT=$dir/store2 "$HULL" image import root.tgz "$at/bare:1" >/dev/null && rm -rf store2/blobs/sha256/* || return 1
	HULL_ROOT=$dir/store2 "$HULL" push "$at/bare:1" >digest 2>lines && grep -q 'its blobs are not kept: it goes as another image' lines || { cat lines; return 1; }
	HULL_ROOT=$dir/store2 "$HULL" push -q "$at/bare:1" "$at/bare:2" >digest2 && cmp digest digest2 && fresh && "$HULL" pull -q "$at/bare:1" >/dev/null
}
check 'what has lost its blobs is packed too, and says that it is another image then' without_blobs

compressions() { # of images of their own: a layer that the registry has packed by gzip would be taken for any other packing
	for format in gzip zstd; do
		as=$format
		"$kit" "plain-$as" layers=2 kib=50 plain "arch=$arch" && bring "plain-$as" "packed:$as" --dest-compress-format "$format" --format oci || return 1
		skopeo inspect --raw --cert-dir "certs/$at" "docker://$at/packed:$as" | grep -q "tar+$format\"" || { echo "$format: skopeo packed it otherwise"; return 1; }
		fresh && "$HULL" pull -q "$at/packed:$as" >/dev/null || { echo "$format"; return 1; }
	done
}
check 'layers packed by gzip and zstd are taken' compressions
chunked() { # skopeo 1.9 loses what fills such a tar up behind its two blocks of zeros: this one has nothing there
	tar -b 2 -C root -cf chunked.tar . && umoci init --layout chunked && umoci new --image chunked:1 && umoci raw add-layer --image chunked:1 chunked.tar || return 1
	skopeo copy -q --dest-decompress oci:chunked:1 dir:chunked-plain || return 1
	skopeo copy -q --dest-cert-dir "certs/$at" --dest-compress-format zstd:chunked --format oci dir:chunked-plain "docker://$at/packed:chunked" || return 1
	skopeo inspect --raw --cert-dir "certs/$at" "docker://$at/packed:chunked" | grep -q 'zstd-chunked.manifest' || { echo 'skopeo packed it otherwise'; return 1; }
	fresh && "$HULL" pull -q "$at/packed:chunked" >/dev/null && "$HULL" push -q "$at/packed:chunked" "$at/packed:again" >/dev/null &&
		[ "$(digest_of packed:chunked)" = "$(digest_of packed:again)" ]
}
chunked_back() { # to a registry that has nothing of it any more; its notes are what another program finds files in the blob by
	skopeo inspect --raw --cert-dir "certs/$at" "docker://$at/packed:chunked" >before.json && mv data/docker docker-away || return 1
	"$HULL" push "$at/packed:chunked" 2>lines >/dev/null && grep -q '^layer 1 of 1: .*sent' lines && skopeo inspect --raw --cert-dir "certs/$at" "docker://$at/packed:chunked" >after.json && cmp before.json after.json &&
		skopeo copy -q --src-cert-dir "certs/$at" "docker://$at/packed:chunked" dir:chunked-back && python3 - <<-'END' &&
			import base64, json, struct
			layer, = json.load(open('after.json'))['layers']; notes = {key.split('chunked.')[-1]: value for key, value in layer['annotations'].items()}
			blob = open('chunked-back/' + layer['digest'][7:], 'rb').read(); begin, packed, size, kind = map(int, notes['manifest-position'].split(':'))
			open('toc.zst', 'wb').write(blob[begin:begin + packed]); open('toc.size', 'w').write(str(size))
			import hashlib
			assert 'sha256:' + hashlib.sha256(blob[begin:begin + packed]).hexdigest() == notes['manifest-checksum']
		END
		{ ! command -v zstd >/dev/null || [ "$(zstd -dc toc.zst | wc -c)" = "$(cat toc.size)" ]; } &&
		{ ! command -v podman >/dev/null || podman --root "$dir/podman" --runroot "$dir/podman-run" --events-backend none pull -q --cert-dir "certs/$at" "$at/packed:chunked" >/dev/null; }
	result=$?
	rm -rf data/docker && mv docker-away data/docker && return "$result"
}
if command -v umoci >/dev/null; then
	check 'a layer packed by zstd:chunked is taken, and leaves as it came' chunked
	check 'and is sent whole to a registry that lacks it, with its notes, which still tell where its list of files is' chunked_back
fi
docker_form() {
	bring layout:1 kit:docker --format v2s2 && fresh && "$HULL" pull -q "$at/kit:docker" >/dev/null && "$HULL" push -q "$at/kit:docker" "$at/kit:docker2" >/dev/null &&
		[ "$(digest_of kit:docker)" = "$(digest_of kit:docker2)" ]
}
check "Docker's form of a manifest is pulled, and pushed as it was" docker_form
by_digest() {
	fresh
	d=$(digest_of kit:1)
	"$HULL" pull -q "$at/kit@$d" >id && [ "$("$HULL" image inspect --format '{{.Id}}' "$at/kit@$d")" = "$(cat id)" ]
}
check 'an image is pulled, and found, by its digest' by_digest

# --- signatures: one user signs and pushes, another's policy wants to see them ---

ruled() { # ruled COMMAND…: with /etc/hull/policy.json being ./policy.json
	# shellcheck disable=SC2016 # for the inner shell
	unshare -m --propagation private sh -c 'mount -t tmpfs policy /etc/hull && cp policy.json /etc/hull/ && exec "$@"' - "$@"
}
demand() { # demand KEY REPOSITORY…: the policy
	key=$1
	shift
	python3 - "$dir/$key.pub" "$@" >policy.json <<-'END'
		import json, sys
		signed = [{'type': 'sigstoreSigned', 'keyPath': sys.argv[1]}]
		print(json.dumps({'default': [{'type': 'insecureAcceptAnything'}], 'transports': {'docker': {r: signed for r in sys.argv[2:]}}}))
	END
}
nothing_kept() {
	! "$HULL" image exists "$1" && [ -z "$(find "$HULL_ROOT/layers" "$HULL_ROOT/partial" "$HULL_ROOT/signatures" "$HULL_ROOT/blobs" -type f 2>/dev/null)" ]
}
signed_push() {
	for who in one two three; do openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$who.key" 2>/dev/null && openssl pkey -in "$who.key" -pubout -out "$who.pub" || return 1; done
	fresh && "$HULL" pull -q "$at/kit:1" >/dev/null && "$HULL" tag "$at/kit:1" "$at/team/app:1" && "$HULL" push -q "$at/team/app:1" || return 1
	demand one "$at/team" && fresh && refused 'demands a signature: it has none' ruled "$HULL" pull -q "$at/team/app:1" && nothing_kept "$at/team/app:1" || return 1
	"$HULL" pull -q "$at/team/app:1" >/dev/null && "$HULL" image sign --key one.key "$at/team/app:1" && "$HULL" push "$at/team/app:1" 2>lines >/dev/null && grep -qx 'signatures: 1 sent' lines &&
		"$HULL" push "$at/team/app:1" 2>lines >/dev/null && ! grep -q signatures lines
}
signed_pull() {
	fresh && ruled "$HULL" pull -q "$at/team/app:1" >/dev/null && "$HULL" image verify --key one.pub "$at/team/app:1" && [ -z "$(ls "$HULL_ROOT/partial" 2>/dev/null)" ] || return 1
	d=$(digest_of team/app:1)
	fresh && ruled "$HULL" pull -q "$at/team/app@$d" >/dev/null && "$HULL" image verify --key one.pub "$at/team/app@$d" || return 1
	demand one "$at/kit" && fresh && refused 'it has none' ruled "$HULL" pull -q "$at/kit@$(digest_of kit:1)"
}
cosigns_form() { # what cosign reads: its tag, a layer of its type for each signature, and openssl agrees
	skopeo copy -q --src-cert-dir "certs/$at" "docker://$at/team/app:$(digest_of team/app:1 | tr : -).sig" dir:signature || return 1
	python3 - <<-'END' || return 1
		import base64, json, shutil
		m = json.load(open('signature/manifest.json')); layer, = m['layers']
		assert layer['mediaType'] == 'application/vnd.dev.cosign.simplesigning.v1+json', m
		open('der', 'wb').write(base64.b64decode(layer['annotations']['dev.cosignproject.cosign/signature']))
		shutil.copy('signature/' + layer['digest'][7:], 'payload')
		assert json.load(open('signature/' + m['config']['digest'][7:]))['rootfs']['diff_ids'] == [layer['digest']]
	END
	openssl dgst -sha256 -verify one.pub -signature der payload
}
tampered() { # the registry's own disk is against it
	hex=$(sha256sum payload | cut -d' ' -f1) && file=data/docker/registry/v2/blobs/sha256/$(printf %.2s "$hex")/$hex/data && cp "$file" whole || return 1
	sed 's/docker-reference/docker-referencf/' whole >"$file"
	demand one "$at/team" && fresh && refused "sha256:$hex has the digest" ruled "$HULL" pull -q "$at/team/app:1" && nothing_kept "$at/team/app:1"
	result=$?
	cp whole "$file" && return "$result"
}
wrong_key() {
	demand two "$at/team" && fresh && refused 'none of the keys has made it' ruled "$HULL" pull -q "$at/team/app:1" && nothing_kept "$at/team/app:1" || return 1
	refused 'none of the keys has made it' ruled "$HULL" run --rm --network none "$at/team/app:1" /bin/true && nothing_kept "$at/team/app:1"
}
second_signer() { # who has not the first one's signature
	fresh && "$HULL" pull -q "$at/team/app:1" >/dev/null && "$HULL" image sign --key two.key "$at/team/app:1" && "$HULL" push -q "$at/team/app:1" >/dev/null || return 1
	for who in one two; do demand "$who" "$at/team" && fresh && ruled "$HULL" pull -q "$at/team/app:1" >/dev/null || { echo "$who"; return 1; }; done
	demand three "$at/team" && fresh && refused 'none of the keys' ruled "$HULL" pull -q "$at/team/app:1"
}
elsewhere() { # the signature goes along, and says that it is another's
	demand one "$at/team" "$at/stolen" && fresh && ruled "$HULL" pull -q "$at/team/app:1" >/dev/null && "$HULL" push -q "$at/team/app:1" "$at/stolen/app:1" >/dev/null || return 1
	fresh && refused "it was made for '$at/team/app'" ruled "$HULL" pull -q "$at/stolen/app:1" && nothing_kept "$at/stolen/app:1"
}
referrer() { # no tag, but an entry of the list of what refers to the image, which this registry has by its fallback tag
	fresh && "$HULL" pull -q "$at/kit:1" >/dev/null && "$HULL" push -q "$at/kit:1" "$at/refer/app:1" >/dev/null && demand one "$at/refer" || return 1
	fresh && refused 'it has none' ruled "$HULL" pull -q "$at/refer/app:1" || return 1
	"$HULL" pull -q "$at/refer/app:1" >/dev/null || return 1
	for who in one two; do "$HULL" image sign --key "$who.key" "$at/refer/app:1" && "$HULL" push -q "$at/refer/app:1" >/dev/null || return 1; done
	# the registry cannot remove a tag alone: its own folder can
	rm -r data/docker/registry/v2/repositories/refer/app/_manifests/tags/sha256-*.sig || return 1
	for who in one two; do demand "$who" "$at/refer" && fresh && ruled "$HULL" pull -q "$at/refer/app:1" >/dev/null && "$HULL" image verify --key "$who.pub" "$at/refer/app:1" || return 1; done
}
referrer_form() { # two lines, each of an artifact whose subject is the image
	d=$(digest_of refer/app:1)
	skopeo inspect --raw --cert-dir "certs/$at" "docker://$at/refer/app:$(echo "$d" | tr : -)" >list.json || return 1
	for line in $(python3 -c '
import json, sys
i = json.load(open("list.json"))
assert i["mediaType"] == "application/vnd.oci.image.index.v1+json" and len(i["manifests"]) == 2, i
for m in i["manifests"]:
    assert m["artifactType"] == "application/vnd.dev.cosign.artifact.sig.v1+json", m
    print(m["digest"])'); do
		skopeo inspect --raw --cert-dir "certs/$at" "docker://$at/refer/app@$line" >artifact.json &&
			python3 -c 'import json, sys; m = json.load(open("artifact.json")); assert m["subject"]["digest"] == sys.argv[1] and m["artifactType"], m' "$d" || return 1
	done
}
# an index of two platforms
index_signed() {
	"$kit" multi two-platforms nested=1 "arch=$arch" && skopeo copy -q --all --dest-cert-dir "certs/$at" oci:multi "docker://$at/multi/app:1" && demand one "$at/multi" || return 1
	fresh && refused 'demands a signature: it has none' ruled "$HULL" pull -q "$at/multi/app:1" && nothing_kept "$at/multi/app:1" || return 1
	index=$(digest_of multi/app:1)
	is "$index" "$HULL" image sign --remote --key one.key "$at/multi/app:1" && ! "$HULL" image exists "$at/multi/app:1" || return 1
	for platform in "linux/$arch" linux/mips; do
		fresh && ruled "$HULL" pull -q --platform "$platform" "$at/multi/app:1" >/dev/null && "$HULL" image verify --key one.pub "$at/multi/app:1" || { echo "$platform"; return 1; }
	done
	fresh && ruled "$HULL" pull -q "$at/multi/app@$index" >/dev/null && ruled "$HULL" create "$at/multi/app@$index" x >/dev/null || return 1
	refused 'are for --remote' "$HULL" image sign --tls-verify=false --key one.key "$at/multi/app:1" && refused 'not USER:PASSWORD' "$HULL" image sign --remote --creds me --key one.key "$at/multi/app:1" &&
		refused 'is denied' "$HULL" image sign --remote --creds me:wrong --key one.key "$at/multi/app:1"
}
index_form() { # the payload names the index, and openssl agrees
	skopeo copy -q --src-cert-dir "certs/$at" "docker://$at/multi/app:$(echo "$index" | tr : -).sig" dir:index-signature && python3 - "$index" "$at/multi/app" <<-'END' || return 1
		import base64, json, sys
		layer, = json.load(open('index-signature/manifest.json'))['layers']
		open('der', 'wb').write(base64.b64decode(layer['annotations']['dev.cosignproject.cosign/signature']))
		text = open('index-signature/' + layer['digest'][7:]).read(); open('payload', 'w').write(text); said = json.loads(text)['critical']
		assert said['image']['docker-manifest-digest'] == sys.argv[1] and said['identity']['docker-reference'] == sys.argv[2], said
	END
	openssl dgst -sha256 -verify one.pub -signature der payload
}
put_signature() { # put_signature DIR NAME DIGEST: the registry has it as one of DIGEST
	skopeo copy -q --dest-cert-dir "certs/$at" "dir:$1" "docker://$at/$2:$(echo "$3" | tr : -).sig"
}
index_swapped() { # the name means another index by now, beside which the signature of the first one lies
	"$kit" multi2 two-platforms nested=1 "arch=$arch" && skopeo copy -q --all --dest-cert-dir "certs/$at" oci:multi2 "docker://$at/multi/app:1" && other=$(digest_of multi/app:1) && [ "$other" != "$index" ] || return 1
	fresh && refused 'it has none' ruled "$HULL" pull -q "$at/multi/app:1" && put_signature index-signature multi/app "$other" || return 1
	fresh && refused "it is of another image, $(printf %.19s "$index")" ruled "$HULL" pull -q "$at/multi/app:1" && nothing_kept "$at/multi/app:1"
}
index_without() { # a manifest that the signed index does not name, with that signature; and by itself one that it does
	bring layout:1 multi/lone:1 && put_signature index-signature multi/lone "$(digest_of multi/lone:1)" && fresh && refused 'it is of another image' ruled "$HULL" pull -q "$at/multi/lone:1" && nothing_kept "$at/multi/lone:1" || return 1
	mine=$(skopeo inspect --raw --cert-dir "certs/$at" "docker://$at/multi/app@$index" | python3 -c 'import json, sys; print(json.load(sys.stdin)["manifests"][1]["digest"])')
	put_signature index-signature multi/app "$mine" && fresh && refused 'it is of another image' ruled "$HULL" pull -q "$at/multi/app@$mine" && nothing_kept "$at/multi/app@$mine"
}
index_elsewhere() {
	skopeo copy -q --all --dest-cert-dir "certs/$at" oci:multi "docker://$at/multi/stolen:1" && is "$index" digest_of multi/stolen:1 && put_signature index-signature multi/stolen "$index" || return 1
	fresh && refused "it was made for '$at/multi/app'" ruled "$HULL" pull -q "$at/multi/stolen:1" && nothing_kept "$at/multi/stolen:1"
}
index_kept() { # what the store keeps of it is judged each time
	fresh && ruled "$HULL" pull -q "$at/multi/app@$index" >/dev/null && file=$(ls "$HULL_ROOT"/signatures/*.json) && cp "$file" whole && ruled "$HULL" create "$at/multi/app@$index" x >/dev/null || return 1
	for change in 's/mips/mipz/' 's/"index":"{/"index":"{ /' 's/,{"index":.*}]/]/'; do
		sed "$change" whole >"$file" && ! cmp -s "$file" whole && refused 'it is of another image' ruled "$HULL" create "$at/multi/app@$index" x || { echo "$change"; return 1; }
	done
	"$HULL" pull -q "$at/multi/lone:1" >/dev/null && id=$("$HULL" image inspect --format '{{.Id}}' "$at/multi/lone:1") && cp whole "$HULL_ROOT/signatures/${id#sha256:}.json" || return 1
	refused 'it is of another image' ruled "$HULL" create "$at/multi/lone:1" x && cp whole "$file" && ruled "$HULL" create "$at/multi/app@$index" x >/dev/null
}
index_or_manifest() { # one platform's manifest is signed, and found through the index too
	is "$mine" "$HULL" image sign --remote --key two.key "$at/multi/app@$mine" && demand two "$at/multi" && fresh && ruled "$HULL" pull -q "$at/multi/app@$index" >/dev/null || return 1
	fresh && refused 'none of the keys' ruled "$HULL" pull -q --platform linux/mips "$at/multi/app@$index"
}
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	etc_hull
	check 'an unsigned image that the policy wants signed is not kept; a signed one is pushed with its signature, once' signed_push
	check 'and is pulled under that policy, by tag and by digest' signed_pull
	check "the signature lies where cosign looks, in cosign's form" cosigns_form
	check 'a payload that is not what its digest says is refused' tampered
	check 'one by another key is refused at pull and at run, and nothing is kept' wrong_key
	check 'a second signer adds a signature to that of the first' second_signer
	check 'a signature that was made for another repository is none' elsewhere
	check 'signatures are pushed as referrers too, and found as such' referrer
	check 'where the registry keeps no list of referrers, push keeps it under its tag' referrer_form
	check 'sign --remote signs an index where it is, and so the image for each platform' index_signed
	check "that signature is in cosign's form, over the index" index_form
	check 'an index that was swapped for another after the signature is refused' index_swapped
	check 'a signed index says nothing of a manifest that it does not name, or that did not come by it' index_without
	check 'a signed index is none of another repository' index_elsewhere
	check 'the index that is kept beside a signature is judged whenever that is' index_kept
	check "a manifest's own signature counts for what is found through an index" index_or_manifest
else
	skip 'signatures and the policy' 'needs root and a mount namespace'
fi

runs() {
	mkdir -p bin/bin && cp "$(command -v busybox)" bin/bin/busybox && ln -sf busybox bin/bin/echo && tar -C bin -czf bin.tgz . || return 1
	HULL_ROOT=$dir/store2 "$HULL" image import bin.tgz "$at/run:1" >/dev/null && HULL_ROOT=$dir/store2 "$HULL" push -q "$at/run:1" >/dev/null || return 1
	fresh
	! "$HULL" run --rm --network none --pull never "$at/run:1" /bin/echo ran 2>err && grep -q 'not in the store' err || return 1
	[ "$("$HULL" run --rm --network none "$at/run:1" /bin/echo ran)" = ran ] || return 1
	! "$HULL" run --rm --pull sometimes "$at/run:1" /bin/echo ran 2>err && grep -q 'missing, always or never' err
}
check 'hull run pulls what is missing, unless --pull=never' runs
always() {
	old=$("$HULL" image inspect --format '{{.Id}}' "$at/run:1")
	HULL_ROOT=$dir/store2 "$HULL" image import --cmd /bin/sh bin.tgz "$at/run:1" >/dev/null && HULL_ROOT=$dir/store2 "$HULL" push -q "$at/run:1" >/dev/null || return 1
	"$HULL" run --rm --network none "$at/run:1" /bin/echo ran >/dev/null && [ "$("$HULL" image inspect --format '{{.Id}}' "$at/run:1")" = "$old" ] || return 1
	"$HULL" run --rm --network none --pull always "$at/run:1" /bin/echo ran >/dev/null 2>&1 && [ "$("$HULL" image inspect --format '{{.Id}}' "$at/run:1")" != "$old" ]
}
check 'with --pull=always it fetches what the name means by now' always
told() { # refused WORDS COMMAND... behind the lines of a pull
	refused "$@" || { [ "$got" != 0 ] && [ "$(grep -cF -- "$words" refused.err)" = 1 ]; }
}
platform() { # the name means an index of two images
	"$kit" two two-platforms nested=1 "arch=$arch" && skopeo copy -q --all --dest-cert-dir "certs/$at" oci:two "docker://$at/two:1" && fresh || return 1
	told "is for linux/mips; this host runs linux/$arch" "$HULL" create --platform linux/mips "$at/two:1" x || return 1
	refused "in the store is for linux/mips, not linux/$arch" "$HULL" create --platform "linux/$arch" --pull never "$at/two:1" x || return 1
	"$HULL" create --platform "linux/$arch" "$at/two:1" x >/dev/null 2>&1 && is "$arch" "$HULL" image inspect --format '{{.Architecture}}' "$at/two:1" || return 1
	refused 'not OS/ARCHITECTURE' "$HULL" run --platform mips "$at/run:1" /bin/echo ran && told "for linux/$arch, not for linux/mips" "$HULL" run --platform linux/mips "$at/run:1" /bin/echo ran || return 1
	is ran "$HULL" run --rm --network none --platform "linux/$arch" "$at/run:1" /bin/echo ran && is ran "$HULL" run --rm --network none --pull never --platform "linux/$arch" "$at/run:1" /bin/echo ran
}
check '--platform picks the image that run and create take, and one for another counts as missing' platform
machine() { # the same decisions before a machine
	refused 'not in the store' "$HULL" run --vm --rm --network none --pull never "$at/run:1" /bin/echo ran || return 1
	"$HULL" create --vm --pull always --platform "linux/$arch" --name vm --network none "$at/run:1" /bin/echo ran >/dev/null 2>&1 && "$HULL" image exists "$at/run:1" && "$HULL" rm vm && "$HULL" rmi "$at/run:1" || return 1
	is ran timeout 120 "$HULL" run --vm --rm --network none --pull always --platform "linux/$arch" "$at/run:1" /bin/echo ran
}
fresh
if machine_kernel 300; then check 'a machine pulls its image as a container does' machine; else skip 'a machine pulls its image as a container does' "$why"; fi
helper() {
	mkdir -p helpers
	cat >helpers/docker-credential-kit <<-'END'
		#!/bin/sh
		read -r server
		case $1 in
		get) echo "$server" >>"$HOME/asked"; printf '{"ServerURL":"%s","Username":"me","Secret":"secret"}' "$server" ;;
		esac
	END
	chmod +x helpers/docker-credential-kit
	printf '{"credHelpers": {"%s": "kit"}}' "$at" >helped.json
	fresh
	PATH=$dir/helpers:$PATH REGISTRY_AUTH_FILE=$dir/helped.json "$HULL" pull -q "$at/kit:1" >/dev/null && grep -q "$at" asked
}
check 'a credential helper is asked' helper
docker_file() {
	mkdir -p .docker && mv auth.json .docker/config.json && fresh
	(unset REGISTRY_AUTH_FILE && "$HULL" pull -q "$at/kit:1" >/dev/null)
	r=$?
	mv .docker/config.json auth.json
	return "$r"
}
check "docker's config.json is read" docker_file
check 'hull logout forgets' "$HULL" logout "$at"
check 'and asks for a login again' without_login
by_creds() { # which are not kept
	fresh && "$HULL" image import bin.tgz "$at/run:1" >/dev/null || return 1
	refused 'is denied' "$HULL" push -q --creds me:wrong "$at/run:1" "$at/creds:1" && refused 'not USER:PASSWORD' "$HULL" push --creds me "$at/run:1" "$at/creds:1" || return 1
	"$HULL" push -q --creds me:secret "$at/run:1" "$at/creds:1" >/dev/null && ! grep -q 'auths.*me' auth.json 2>/dev/null && refused 'wants a login' "$HULL" push -q "$at/run:1" "$at/creds:1"
}
check 'push --creds is a login for once' by_creds
odd_file() {
	echo 'nonsense here' >nonsense
	for verb in pull push; do
		refused "$dir/nonsense" env "HULL_REGISTRIES=$dir/nonsense" "$HULL" "$verb" -q "$at/run:1" && [ "$(wc -l <refused.err)" = 1 ] || return 1
	done
}
check 'a file of registries that says something else is told in a line' odd_file
unverified() { # nobody has told of this authority
	[ -e one.key ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out one.key 2>/dev/null || return 1
	: >nothing && HULL_REGISTRIES=$dir/nothing
	refused 'ertificate' "$HULL" push -q --creds me:secret "$at/run:1" "$at/unverified:1" && "$HULL" push -q --tls-verify=false --creds me:secret "$at/run:1" "$at/unverified:1" >/dev/null || return 1
	refused 'ertificate' "$HULL" image sign --remote --creds me:secret --key one.key "$at/unverified:1" && "$HULL" image sign --remote --tls-verify=false --creds me:secret --key one.key "$at/unverified:1" >/dev/null || return 1
	! echo secret | "$HULL" login -u me --password-stdin "$at" 2>err && grep -q ertificate err && [ "$(wc -l <err)" = 1 ] && echo secret | "$HULL" login --tls-verify=false -u me --password-stdin "$at" && "$HULL" push -q --tls-verify=false "$at/run:1" "$at/unverified:2" >/dev/null
	result=$?
	"$HULL" logout "$at" && HULL_REGISTRIES=$dir/registries && return "$result"
}
check 'an unknown certificate is refused by push, sign and login, unless --tls-verify=false' unverified
done_testing
