#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# checkpoint and restore: what is refused, what criu is asked (seen by a stand-in for it), and, where criu works, real lives that go on.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
. "$SOURCE/tests/integration/lib.sh"
. "$SOURCE/tests/integration/oci-lib.sh"

count='i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done'

# into FILE COMMAND…: runs it with its output in a pipe to FILE, which stays for whom it leaves behind.
into() {
	to=$1
	shift
	rm -f ended
	{
		"$@" 2>&1 </dev/null
		echo $? >ended
	} | cat >"$to" &
	for _ in $(seq 300); do
		[ -s ended ] && break
		sleep 0.1
	done
	[ "$(cat ended)" = 0 ] || {
		sleep 0.3
		cat "$to"
		return 1
	}
}

# up NAME: it runs, and what it prints goes to NAME.out.
up() {
	into "$1.out" hull run --detach --bundle long "$me-$1"
}

left_names() {
	left | sed 's,.*/,,' | sort -u
}

state_is() {
	is "$2" state_of "$me-$1"
}

pid_of() {
	hull state "$me-$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'
}

# --- what is refused, and changes nothing ---
bundle long "$count"
check 'a container runs' up one
for words in '--lazy-pages@--lazy-pages: not supported' '--page-server=1:2@--page-server: not supported' \
	'--manage-cgroups-mode=hard@--manage-cgroups-mode' '--empty-ns=mount@--empty-ns' '--parent-path=/abs@--parent-path' \
	'--status-fd=999@--status-fd' '--image-path=/proc/none/x@--image-path' '--work-path=/proc/none/x@--work-path'; do
	option=${words%@*}
	check "checkpoint $option is refused by name" refused "${words#*@}" hull checkpoint "$option" "$me-one"
done
check 'it still runs' state_is one running
check 'an unknown container is told' refused 'does not exist' hull checkpoint "$me-none"
check 'restore needs an image' refused 'nowhere' hull restore --image-path nowhere --bundle long "$me-two"
mkdir -p empty
check 'one without its list of streams is refused' refused 'descriptors.json' hull restore --image-path empty --bundle long "$me-two"
echo '["a", 5, "b"]' >empty/descriptors.json
check 'one whose list is none is refused' refused 'descriptors.json' hull restore --image-path empty --bundle long "$me-two"
check 'restore of a name in use is refused' refused 'already exists' hull restore --image-path empty --bundle long "$me-one"
hull create --bundle long "$me-made" >/dev/null 2>&1 </dev/null
check 'one that does not run yet is refused' refused 'only one that runs' hull checkpoint "$me-made"
hull delete --force "$me-made"

# --- what criu is asked: arguments alone, seen by a stand-in ---
mkdir -p double && ln -sf "$SOURCE/tests/integration/criu-double" double/criu
asked() { # asked LINE…: each is in what was asked last
	for line; do
		grep -qxF -- "$line" said || {
			echo "not asked: $line"
			cat said
			return 1
		}
	done
}
with_double() {
	CRIU_SAID=$tmp/said PATH=$tmp/double:$PATH hull "$@"
}
echo inside >file
bundle long "$count" "c['mounts'].append({'destination': '/tmp/note', 'type': 'bind', 'source': '$tmp/file', 'options': ['bind']})"
up two
pid=$(pid_of two)
check 'criu'\''s own last line of error is told (by a stand-in)' refused 'checkpoint: criu: Error (criu/double.c:2): nothing is done here' \
	with_double checkpoint --image-path img --work-path work --leave-running --tcp-established --ext-unix-sk --shell-job --file-locks \
	--auto-dedup --link-remap --empty-ns network --manage-cgroups-mode full "$me-two"
check 'its options are criu'\''s (by a stand-in)' asked request=1 "2=$pid" 3=1 4=1 5=1 7=1 8=1 16=1 18=1 24=1 34=4 38=1073741824 \
	"13=$tmp/rootfs" 23=/tmp/note=/tmp/note 10=dump.log
check 'masked files are outside (by a stand-in)' asked 23=/proc/keys=/proc/keys
check 'and its log is in the work folder' test -s work/dump.log
check 'after the failure it runs on' state_is two running
check 'pre-dump asks for memory alone (by a stand-in)' refused 'nothing is done' with_double checkpoint --pre-dump --image-path pre "$me-two"
check 'and tracks it' asked request=4 15=1
check 'a parent is named (by a stand-in)' refused 'nothing is done' with_double checkpoint --parent-path ../pre --image-path img "$me-two"
check 'with its path' asked request=1 15=1 14=../pre
echo '["/dev/null", "pipe:[7]", "file[1a:5]"]' >img/descriptors.json
check 'a failed restore is told (by a stand-in)' refused 'restore: criu: Error (criu/double.c:2)' with_double restore --detach \
	--image-path img --work-path work --tcp-close --lsm-profile apparmor:x --lsm-mount-context y --bundle long -no-subreaper "$me-three"
check 'its options are criu'\''s too (by a stand-in)' asked request=2 26=1 52=1 53=apparmor:x 63=y "23=/tmp/note=$tmp/file" 23=/proc/keys=/dev/null
check 'the streams of outside are our own' grep -q '^27=pipe:\[7\]=[0-9]' said
hull delete --force "$me-two"
check 'a failed restore leaves nothing' is "$me-one" left_names
rm -f double/criu
no_criu() {
	refused 'the program criu is not there' unshare -m sh -c 'mount --bind /dev/null "$(command -v criu || echo /dev/null)"; mount --bind empty /usr/sbin; PATH=/bin; exec "$@"' - \
		"$oci" --root "$tmp/state" checkpoint --image-path img "$me-one"
}
[ -h /sbin ] && check 'a host without criu is told so' no_criu

# --- real ones ---
why=$("$oci" checkpoint --help 2>&1 >/dev/null)
able=$?
check 'and leaves nothing in /tmp' is '' sh -c 'grep -ls "" /tmp/hull-oci.*/check.log'
check '--help says in words and status whether criu can' sh -c '[ "$1" = 0 ] || echo "$2" | grep -q "^hull-oci: criu: "' - "$able" "$why"
if [ "$able" != 0 ]; then
	check 'a real checkpoint fails with that line' refused "${why#hull-oci: }" hull checkpoint --image-path img "$me-one"
	check 'and it runs on' state_is one running
	hull delete --force "$me-one"
	check 'nothing is left' is '' left
	n=$((n + 1))
	echo "ok $n - containers live on from an image # SKIP $why"
	done_testing
fi

last() { # the last whole line of a file that grows
	tail -n 2 "$1" | head -n 1
}
# goes_on NAME FROM: it prints numbers, the first of them not below FROM, and gets on.
goes_on() {
	for _ in $(seq 50); do
		[ "$(wc -l <"$1.out")" -ge 3 ] && break
		sleep 0.1
	done
	first=$(head -n 1 "$1.out")
	[ "${first:-0}" -ge "$2" ] && [ "$(last "$1.out")" -gt "$first" ] || {
		echo "wanted more than $2"
		head -n 5 "$1.out"
		return 1
	}
}
write_down() { # write_down NAME OPTION…: checkpoints it; `seen` is the number that it had printed before
	who=$1
	shift
	soon test -s "$who.out" && seen=$(last "$who.out") && hull checkpoint "$@" "$me-$who"
}
bring_back() { # bring_back NAME OPTION…: restores it into NAME.out
	who=$1
	shift
	into "$who.out" hull restore --detach --pid-file "$who.pid" "$@" "$me-$who"
}
whole_life() { # whole_life NAME [PYTHON]: up, written, brought back, going on, removed
	bundle long "$count" "${2:-}" && up "$1" && write_down "$1" --image-path "img-$1" && bring_back "$1" --image-path "img-$1" --bundle long &&
		goes_on "$1" "$seen" && hull delete --force "$me-$1"
}

bundle long "$count"
hull delete --force "$me-one"
up one
check 'a running container is written down' write_down one --image-path img-one
check 'and is gone' is '' left
check 'it is brought back' bring_back one --image-path img-one --bundle long
check 'it runs' state_is one running
check 'it goes on where it was, into new streams' goes_on one "$seen"
check 'its pid is told' sh -c 'grep -q sh "/proc/$(cat one.pid)/comm"'
check 'it is in its cgroups' grep -q "hull-oci/$me-one" "/proc/$(cat one.pid)/cgroup"
check 'exec enters it' is hull hull exec "$me-one" hostname
check 'update still limits it' sh -c 'echo "{\"pids\":{\"limit\":77}}" | "$0" --root state update --resources - "$1" &&
	cat /sys/fs/cgroup/pids/hull-oci/"$1"/pids.max /sys/fs/cgroup/hull-oci/"$1"/pids.max 2>/dev/null | grep -qx 77' "$oci" "$me-one"
check 'the same image serves another one beside it' bring_back twin --image-path img-one --bundle long
check 'which goes on from the same number' goes_on twin "$seen"
check 'in cgroups of its own' sh -c 'cat "/proc/$1/cgroup"; grep -q "hull-oci/$2\$" "/proc/$1/cgroup"' - "$(cat twin.pid)" "$me-twin"
hull delete --force "$me-twin"
check '--leave-running leaves it running' write_down one --leave-running --image-path img-left
check 'it runs on' state_is one running
check 'memory is written ahead' hull checkpoint --pre-dump --image-path img-pre "$me-one"
check 'it runs on after that too' state_is one running
check 'the rest refers to it' write_down one --parent-path ../img-pre --image-path img-rest
check 'and both together come back' bring_back one --image-path img-rest --bundle long
check 'with all they had' goes_on one "$seen"
check 'a paused one is written down' sh -c '"$0" --root state pause "$1" && "$0" --root state checkpoint --image-path img-paused "$1"' "$oci" "$me-one"
check 'nothing is left of it' is '' left

# as long as the other: it may be open just then, and criu wants an open file to have the size that it had
check 'a bind shows what it is restored from' eval '
	echo before >file && echo behind >file2 &&
	bundle long "while :; do cat /tmp/note; sleep 0.1; done" "c[\"mounts\"].append({\"destination\": \"/tmp/note\", \"type\": \"bind\", \"source\": \"$tmp/file\", \"options\": [\"bind\"]})" &&
	up bound && soon grep -q before bound.out && hull checkpoint --image-path img-bound "$me-bound" && sed -i "s,$tmp/file,&2," long/config.json &&
	bring_back bound --image-path img-bound --bundle long && soon grep -q behind bound.out && hull delete --force "$me-bound"'
check 'a folder of tmpfs keeps its files' eval '
	bundle long "echo kept >/tmp/x; while :; do cat /tmp/x; sleep 0.1; done" "c[\"mounts\"].append({\"destination\": \"/tmp\", \"type\": \"tmpfs\", \"source\": \"tmpfs\"})" &&
	up tmpfs && soon grep -q kept tmpfs.out && hull checkpoint --image-path img-tmpfs "$me-tmpfs" &&
	bring_back tmpfs --image-path img-tmpfs --bundle long && soon grep -q kept tmpfs.out && hull delete --force "$me-tmpfs"'
check 'in the foreground its status is the program'\''s' eval '
	bundle long "trap \"exit 7\" TERM; while :; do echo x; sleep 0.1; done" && up fore && soon test -s fore.out && hull checkpoint --image-path img-fore "$me-fore" &&
	{ (until "$oci" --root state kill "$me-fore" TERM; do sleep 0.3; done) 2>/dev/null & status 7 hull restore --image-path img-fore --bundle long "$me-fore" >/dev/null; }'
check 'and nothing is left' is '' left
through_pipes() {
	bundle long 'while read -r x; do echo "got $x"; done; echo end; sleep 100' || return 1
	(
		echo one
		sleep 100
	) | hull run --detach --bundle long "$me-piped" 2>&1 | cat >piped.out &
	soon grep -q 'got one' piped.out && hull checkpoint --image-path img-piped "$me-piped" || return 1
	printf 'two\nthree\n' | hull restore --detach --image-path img-piped --bundle long "$me-piped" 2>&1 | cat >piped.out &
	for _ in 1 2 3; do soon grep -q end piped.out && break; done
	is "$(printf 'got two\ngot three\nend')" cat piped.out && hull delete --force "$me-piped"
}
to_a_file() {
	bundle long "$count" && hull run --detach --bundle long "$me-filed" >filed.out 2>&1 </dev/null && write_down filed --image-path img-filed &&
		hull restore --detach --image-path img-filed --bundle long "$me-filed" >>filed.out 2>&1 </dev/null && sleep 1 &&
		[ "$(last filed.out)" -gt "$seen" ] && is '' sh -c 'sort -n filed.out | uniq -d' && hull delete --force "$me-filed"
}
mapped='c["linux"]["namespaces"].append({"type": "user"})
c["linux"]["uidMappings"] = c["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]'
chmod 755 "$tmp"
check 'pipes are those of the restored one' through_pipes
check 'a file of outside is gone on with' to_a_file
check 'a network namespace that was joined stays the same' eval '
	ip netns add "$me" && ip netns exec "$me" sh -c "echo 5 >/proc/sys/net/ipv4/ip_default_ttl" &&
	whole_life joined "[n for n in c[\"linux\"][\"namespaces\"] if n[\"type\"] == \"network\"][0][\"path\"] = \"/run/netns/$me\""; r=$?; ip netns del "$me"; [ $r = 0 ]'
check 'a user namespace comes back' whole_life mapped "$mapped"
check 'a read-only root comes back' whole_life readonly 'c["root"]["readonly"] = True'
numbers_free() { # numbers_free PID: the host's init has reaped it and its `sleep`: their numbers can be had again
	[ ! -e "/proc/$1" ] || return 1
	for at in /proc/[0-9]*; do
		[ "$(cat "$at/comm" 2>/dev/null)" != sleep ] || ! grep -qs '^State:.Z' "$at/status" || return 1
	done
}
same_numbers() {
	bundle long "$count" 'c["linux"]["namespaces"] = [n for n in c["linux"]["namespaces"] if n["type"] != "pid"]' && up hostpid &&
		pid=$(pid_of hostpid) &&
		write_down hostpid --image-path img-hostpid && soon numbers_free "$pid" && bring_back hostpid --image-path img-hostpid --bundle long &&
		is "$pid" cat hostpid.pid && goes_on hostpid "$seen" && hull delete --force "$me-hostpid"
}
check 'no pid namespace of its own is fine: its numbers are those it had' same_numbers
hooked() {
	bundle long "$count" 'c["hooks"] = {h: [{"path": "/bin/sh", "args": ["sh", "-c", "cat >>'"$tmp"'/hook-" + h]}] for h in ("prestart", "createRuntime")}' &&
		up hooked && write_down hooked --image-path img-hooked --empty-ns network && rm -f hook-* &&
		bring_back hooked --image-path img-hooked --bundle long --empty-ns network && cat hook-* && grep -q "\"pid\":$(cat hooked.pid)" hook-prestart &&
		grep -q creating hook-createRuntime && goes_on hooked "$seen" && hull delete --force "$me-hooked"
}
check 'the hooks of the runtime furnish an empty network' hooked
on_terminal() {
	python3 - "$@" <<-'PY'
		import array, os, select, socket, subprocess, sys, time
		def call(words, path):
		    s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen(1)
		    subprocess.run(words + ['--console-socket', path, sys.argv[-1]], check=True, stdin=subprocess.DEVNULL, timeout=60)
		    c, _ = s.accept()
		    _, control, _, _ = c.recvmsg(64, socket.CMSG_SPACE(4))
		    os.unlink(path)
		    return array.array('i', control[0][2][:4])[0]
		def heard(fd, text):
		    got, end = '', time.time() + 20
		    while text not in got and time.time() < end:
		        if select.select([fd], [], [], 1)[0]:
		            got += os.read(fd, 4096).decode()
		    assert text in got, got
		oci = sys.argv[1:4]
		fd = call(oci + ['run', '--detach', '--bundle', 'long'], 'console')
		os.write(fd, b'first\n'); heard(fd, 'got first')
		subprocess.run(oci + ['checkpoint', '--image-path', 'img-tty', sys.argv[-1]], check=True)
		os.close(fd)
		fd = call(oci + ['restore', '--detach', '--image-path', 'img-tty', '--bundle', 'long'], 'console')
		os.write(fd, b'second\n'); heard(fd, 'got second')
	PY
}
bundle long 'while read -r x; do echo "got $x"; done' 'c["process"]["terminal"] = True'
check 'a terminal is handed over anew' on_terminal "$oci" --root state "$me-tty"
hull delete --force "$me-tty"
broken() {
	bundle long "$count" && up torn && hull checkpoint --image-path img-torn "$me-torn" && : >img-torn/core-1.img &&
		refused 'restore: criu: Error (' hull restore --detach --image-path img-torn --bundle long "$me-torn" </dev/null
}
check 'a damaged image is told in criu'\''s words' broken
check 'nothing is left' is '' left
done_testing
