#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Images are signed and verified with keys as openssl and cosign have them, and a policy demands it. (cosign itself is not in Debian 12.)
. "$(dirname "$0")/lib.sh"
needs openssl
if [ -z "${HULL_SIGN_INNER:-}" ]; then # in mounts of its own, where /etc/hull is this test's
	[ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null || skip_all 'needs root and a mount namespace'
	HULL_SIGN_INNER=1 exec unshare -m --propagation private sh "$0"
fi
dir=$(mktemp -d -p /var/tmp hull-sign.XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
HULL_ROOT=$dir/store
export HULL_ROOT
etc_hull
trap 'umount /etc/hull; no_etc_hull; umount -l "$dir"/store/run/layers/* 2>/dev/null; rm -rf "$dir"' EXIT
mount -t tmpfs policy /etc/hull || exit 1

fails() { # fails TEXT COMMAND…: one line on standard error that holds TEXT, and no success
	text=$1
	shift
	timeout 60 "$@" >out 2>err && { echo 'it succeeded'; return 1; }
	[ "$(wc -l <err)" = 1 ] && grep -qF -- "$text" err || { cat err; return 1; }
}

mkdir -p root/bin && cp "$(command -v busybox)" root/bin/busybox && ln -s busybox root/bin/true
tar -C root -cf root.tar . && "$HULL" image import --env PATH=/bin root.tar example.org/team/app:1 >/dev/null
"$HULL" image import --env PATH=/bin root example.org/other:1 >/dev/null
for who in one two; do
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $who.key 2>/dev/null && openssl pkey -in $who.key -pubout -out $who.pub
done
openssl ecparam -name prime256v1 -genkey -noout -out sec1.key 2>/dev/null && openssl pkey -in sec1.key -pubout -out sec1.pub
openssl pkey -in one.key -aes256 -passout pass:secret -out crypt.key
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.key 2>/dev/null && openssl pkey -in p384.key -pubout -out p384.pub
openssl genpkey -algorithm RSA -out rsa.key 2>/dev/null && openssl pkey -in rsa.key -pubout -out rsa.pub

check 'an image without a signature does not verify' fails 'no signature holds: it has none' "$HULL" image verify --key one.pub example.org/team/app:1
signs() {
	"$HULL" image sign --key one.key example.org/team/app:1 && "$HULL" image verify --key one.pub example.org/team/app:1 && "$HULL" image verify --key two.pub --key one.pub example.org/team/app:1
}
check 'what was signed by an openssl key verifies by its public half, be it one of several' signs
check 'by another key it does not' fails 'none of the keys has made it' "$HULL" image verify --key two.pub example.org/team/app:1
both() {
	"$HULL" image sign --key sec1.key example.org/team/app:1 && "$HULL" image verify --key sec1.pub example.org/team/app:1 && "$HULL" image verify --key one.pub example.org/team/app:1
}
check 'a second signature stands beside the first (a SEC1 key)' both
openssl_agrees() {
	file=$(ls store/signatures/*.json) && python3 - "$file" <<-'END' || return 1
	import base64, json, sys
	s = json.load(open(sys.argv[1]))[0]
	open('payload', 'w').write(s['payload']); open('signature', 'wb').write(base64.b64decode(s['signature']))
	p = json.loads(s['payload'])['critical']
	assert p['type'] == 'cosign container image signature' and p['identity']['docker-reference'] == 'example.org/team/app', p
	open('digest', 'w').write(p['image']['docker-manifest-digest'][7:])
	END
	openssl dgst -sha256 -verify one.pub -signature signature payload && "$HULL" save example.org/team/app:1 | tar -tf - | grep -q "blobs/sha256/$(cat digest)"
}
check 'openssl verifies the signature over the payload, which names the manifest that save writes' openssl_agrees
elsewhere() {
	"$HULL" tag example.org/team/app:1 example.org/evil/app:1 && fails "it was made for 'example.org/team/app'" "$HULL" image verify --key one.pub example.org/evil/app:1 &&
		"$HULL" image verify --key one.pub --identity example.org/team/app example.org/evil/app:1
}
check 'a signature for one repository is none for another' elsewhere
swapped() { # the signatures of one image put to another
	"$HULL" image sign --key one.key --identity example.org/other example.org/other:1 && a=$("$HULL" image inspect --format '{{.Id}}' example.org/team/app:1) &&
		b=$("$HULL" image inspect --format '{{.Id}}' example.org/other:1) && cp "store/signatures/${a#sha256:}.json" kept &&
		cp "store/signatures/${b#sha256:}.json" "store/signatures/${a#sha256:}.json" &&
		fails 'it is of another image' "$HULL" image verify --key one.pub --identity example.org/other example.org/team/app:1
	result=$?
	cp kept "store/signatures/${a#sha256:}.json"
	return "$result"
}
check 'a signature of another image is none' swapped
damaged() {
	sed 's/docker-reference/docker-referencf/' kept >"store/signatures/${a#sha256:}.json" && fails 'none of the keys has made it' "$HULL" image verify --key one.pub example.org/team/app:1 &&
		echo '{' >"store/signatures/${a#sha256:}.json" && fails 'signatures of image' "$HULL" image verify --key one.pub example.org/team/app:1
	result=$?
	cp kept "store/signatures/${a#sha256:}.json"
	return "$result"
}
check 'a changed payload and a damaged file are told' damaged
check 'a key of another curve, an RSA key, no key' sh -c "
	for key in p384 rsa; do ! \"\$HULL\" image verify --key \$key.pub example.org/team/app:1 2>err && grep -q 'is not ECDSA on P-256' err || exit 1; done
	! \"\$HULL\" image sign --key /dev/null example.org/team/app:1 2>/dev/null && ! \"\$HULL\" image sign --key one.pub example.org/team/app:1 2>/dev/null && ! \"\$HULL\" image verify --key one.key example.org/team/app:1 2>/dev/null"
passphrases() {
	COSIGN_PASSWORD=wrong fails 'does not open by this passphrase' "$HULL" image sign --key crypt.key example.org/team/app:1 && COSIGN_PASSWORD=secret "$HULL" image sign --key crypt.key example.org/team/app:1 &&
		fails 'no terminal to ask for the passphrase' setsid "$HULL" image sign --key crypt.key example.org/team/app:1
}
check 'a key that openssl has encrypted opens by its passphrase' passphrases
generated() {
	COSIGN_PASSWORD=geheim "$HULL" key generate -o team && grep -q 'BEGIN ENCRYPTED SIGSTORE PRIVATE KEY' team.key && [ "$(stat -c %a team.key)" = 600 ] && openssl pkey -pubin -in team.pub -noout &&
		COSIGN_PASSWORD=geheim "$HULL" image sign --key team.key example.org/team/app:1 && "$HULL" image verify --key team.pub example.org/team/app:1 &&
		COSIGN_PASSWORD=other fails 'does not open by this passphrase' "$HULL" image sign --key team.key example.org/team/app:1 &&
		COSIGN_PASSWORD=x fails 'File exists' "$HULL" key generate -o team && "$HULL" key generate --no-passphrase -o open && openssl pkey -in open.key -noout
}
check "key generate makes a key sealed in cosign's form, or an open one" generated
sealed_by_others() { # the box, opened by another program: scrypt of Python, XSalsa20-Poly1305 by hand
	COSIGN_PASSWORD=geheim python3 - team.key <<-'END'
	import base64, hashlib, json, struct, subprocess, sys
	body = ''.join(l for l in open(sys.argv[1]).read().split('\n') if not l.startswith('-'))
	box = json.loads(base64.b64decode(body)); p = box['kdf']['params']
	key = hashlib.scrypt(b'geheim', salt=base64.b64decode(box['kdf']['salt']), n=p['N'], r=p['r'], p=p['p'], maxmem=1 << 30, dklen=32)
	nonce, text = base64.b64decode(box['cipher']['nonce']), base64.b64decode(box['ciphertext'])
	def core(key, block, add):
	    c = struct.unpack('<4I', b'expand 32-byte k'); k = struct.unpack('<8I', key); n = struct.unpack('<4I', block)
	    x = [c[0], *k[:4], c[1], *n, c[2], *k[4:], c[3]]; start = x[:]
	    def rot(v, s): return ((v << s) | (v >> (32 - s))) & 0xffffffff
	    def qr(a, b, c, d):
	        x[b] ^= rot((x[a] + x[d]) & 0xffffffff, 7); x[c] ^= rot((x[b] + x[a]) & 0xffffffff, 9)
	        x[d] ^= rot((x[c] + x[b]) & 0xffffffff, 13); x[a] ^= rot((x[d] + x[c]) & 0xffffffff, 18)
	    for _ in range(10):
	        qr(0, 4, 8, 12); qr(5, 9, 13, 1); qr(10, 14, 2, 6); qr(15, 3, 7, 11); qr(0, 1, 2, 3); qr(5, 6, 7, 4); qr(10, 11, 8, 9); qr(15, 12, 13, 14)
	    if not add: return struct.pack('<8I', x[0], x[5], x[10], x[15], *x[6:10])
	    return struct.pack('<16I', *((a + b) & 0xffffffff for a, b in zip(x, start)))
	sub = core(key, nonce[:16], False); stream = b''.join(core(sub, nonce[16:] + struct.pack('<Q', i), True) for i in range(len(text) // 64 + 2))
	plain = bytes(a ^ b for a, b in zip(text[16:], stream[32:]))
	open('team.der', 'wb').write(plain)
	END
	openssl pkey -inform DER -in team.der -pubout | cmp - team.pub
}
check 'another program opens that key by the same passphrase' sealed_by_others
check 'a repaired and collected store keeps the signatures of its images, and no others' sh -c "
	\"\$HULL\" image import root gone:1 >/dev/null && \"\$HULL\" image sign --key one.key gone:1 && n=\$(ls store/signatures | wc -l) && \"\$HULL\" rmi gone:1 >/dev/null &&
	[ \"\$(ls store/signatures | wc -l)\" = \$((n - 1)) ] && \"\$HULL\" system repair && \"\$HULL\" image verify --key one.pub example.org/team/app:1"

# --- policy ---

policy() {
	cat >/etc/hull/policy.json
}
runs() {
	"$HULL" run --rm --network none "$1" true
}
"$HULL" image import --env PATH=/bin --label a=b root local:1 >/dev/null
policy <<-END
	{"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker-daemon": {"": [{"type": "x"}]}, "docker": {
	"example.org": [{"type": "reject"}],
	"example.org/team": [{"type": "sigstoreSigned", "keyPath": "$dir/one.pub"}],
	"example.org/team/app:2": [{"type": "sigstoreSigned", "keyPath": "$dir/two.pub"}],
	"example.org/both": [{"type": "sigstoreSigned", "keyPath": "$dir/one.pub"}, {"type": "sigstoreSigned", "keyPath": "$dir/two.pub"}],
	"*.example.net": [{"type": "reject"}],
	"example.org/other": [{"type": "sigstoreSigned", "keyData": "$(base64 -w0 one.pub)", "signedIdentity": {"type": "exactRepository", "dockerRepository": "example.org/other"}}]}}}
END
check 'what the policy demands and was signed runs' runs example.org/team/app:1
check 'a key within the policy, and another identity' runs example.org/other:1
check 'what nothing is said of runs by the default' runs local:1
unsigned() {
	"$HULL" tag local:1 example.org/team/fake:1 && fails 'demands a signature: it has none' "$HULL" run --rm --network none example.org/team/fake:1 true &&
		"$HULL" tag example.org/team/app:1 example.org/team/app:2 && fails 'none of the keys' "$HULL" create example.org/team/app:2 true &&
		fails 'rejects it' "$HULL" run --rm --network none example.org/evil/app:1 true && "$HULL" tag local:1 a.b.example.net:5000/x:1 &&
		fails 'rejects it' "$HULL" run --rm a.b.example.net:5000/x:1 true
}
check 'an unsigned image, another key, a rejected repository and domain do not' unsigned
by_id() {
	id=$("$HULL" image inspect --format '{{.Id}}' example.org/team/app:1) && fails 'example.org/evil/app:1' "$HULL" run --rm "$id" true
}
check 'an image named by its id must be allowed under all its names' by_id
all_of() {
	"$HULL" tag example.org/team/app:1 example.org/both:1 && "$HULL" image sign --key one.key example.org/both:1 && fails 'none of the keys' "$HULL" run --rm example.org/both:1 true &&
		"$HULL" image sign --key two.key example.org/both:1 && runs example.org/both:1
}
check 'several requirements must all be met' all_of
strict() {
	echo "$1" | policy
	fails '/etc/hull/policy.json' "$HULL" run --rm --network none local:1 true || { echo "$1"; return 1; }
}
not_understood() {
	for text in '' '{' '[]' '{}' '{"default": []}' '{"default": [{}]}' '{"default": [{"type": "signedBy"}]}' '{"default": [{"type": "sigstoreSigned"}]}' \
		'{"default": [{"type": "insecureAcceptAnything", "but": 1}]}' '{"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {"x": [{"type": "Reject"}]}}}' \
		'{"default": [{"type": "sigstoreSigned", "keyPath": "/nowhere"}]}' '{"default": [{"type": "sigstoreSigned", "keyPath": "k", "signedIdentity": {"type": "matchExact"}}]}' \
		'{"default": [{"type": "insecureAcceptAnything"}], "default": [{"type": "reject"}]}'; do
		case $text in *nowhere*) echo "$text" | policy && fails nowhere "$HULL" run --rm local:1 true || return 1 ;; *) strict "$text" || return 1 ;; esac
	done
}
check 'a policy that is not understood lets nothing pass' not_understood
rm /etc/hull/policy.json
check 'without a policy everything runs' runs example.org/team/fake:1
done_testing
