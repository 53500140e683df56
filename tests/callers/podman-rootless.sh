#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# podman drives the runtime for a user who is not root: containers, user namespaces of all kinds, pods.
# The user is of this script alone: passwd, group and subuid are private copies, seen in its own mount namespace.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
if [ -n "${CALLER_FOLDER:-}" ] && [ $$ = 1 ]; then # process 1 reaps: podman waits for each conmon to be gone
	sh "$0" &
	wait $!
	exit $?
fi
# shellcheck source=lib.sh
. "$SOURCE/tests/callers/lib.sh"
needs podman conmon newuidmap newgidmap
uid=61234
setpriv --reuid $uid --regid $uid --clear-groups unshare -U true 2>/dev/null || skip_all 'only root may make user namespaces here'

chmod 755 "$tmp" && mkdir -p user/home/.config/containers user/run devices && chmod 700 user/run
cp /etc/passwd passwd && echo "hulltest:x:$uid:$uid::$tmp/user/home:/bin/sh" >>passwd
cp /etc/group group && echo "hulltest:x:$uid:" >>group
echo 'hulltest:2000000:262144' >sub
[ -e /etc/subuid ] || touch /etc/subuid
[ -e /etc/subgid ] || touch /etc/subgid
for file in passwd group; do mount --bind $file /etc/$file || exit 1; done
for file in subuid subgid; do mount --bind sub /etc/$file || exit 1; done
# before podman makes the mount namespace that all its commands share
mknod -m 666 devices/tun c 10 200 2>/dev/null && mount --bind devices/tun /dev/net/tun 2>/dev/null
cp "$RUNTIME" bin/ && runtime=$(basename "$RUNTIME")
printf '[engine]\nruntime_supports_nocgroup = ["%s"]\n[engine.runtimes]\n"%s" = ["%s"]\n' "$runtime" "$runtime" "$tmp/bin/$runtime" \
	>user/home/.config/containers/containers.conf
make_root
cp root.tar user/
chown -R $uid:$uid user
as="setpriv --reuid $uid --regid $uid --clear-groups --inh-caps=-all env -i HOME=$tmp/user/home XDG_RUNTIME_DIR=$tmp/user/run TMPDIR=$tmp/user TERM=dumb PATH=$PATH"
options="--cgroup-manager cgroupfs --events-backend file --storage-driver vfs --log-level error --runtime $runtime"
short user "$as"
short pm "$as podman $options"
short run "$as podman $options run --network none"

check 'podman imports an image' pm import --change 'CMD ["echo","from the image"]' --change ENV=PATH=/bin user/root.tar bb
check 'podman info knows the runtime' shows "$runtime" pm info
check 'podman info knows that it is rootless' shows 'rootless: true' pm info

# --- in the foreground ---
# As few as can be: podman waits up to 20 s behind each, whatever the runtime, when its own clean-up was quicker.
facts='echo "user=$(id -u):$(id -G)"
echo "map=$(echo $(cat /proc/self/uid_map))"
echo "volume=$(cat /in/note)"; echo back >/in/back
echo "tmpfs=$(grep -c " /scratch tmpfs" /proc/mounts)"
echo "root=$(touch /file 2>&1 | grep -c Read-only)"
echo "host=$(hostname)"
echo "device=$(stat -c %t:%T /dev/other)"
echo "caps=$(awk "/^CapEff/ { print \$2 }" /proc/self/status) seccomp=$(awk "/^Seccomp:/ { print \$2 }" /proc/self/status)"
echo "nofile=$(ulimit -n)"
echo "sysctl=$(cat /proc/sys/net/ipv4/ip_default_ttl)"
echo "stdin=$(md5sum)"
exit 42'
first() {
	mkdir -p user/shared && echo from-host >user/shared/note && chown -R "$uid:$uid" user/shared && chmod 777 user/shared
	head -c 8000000 /dev/zero | run -i --rm -u alice --group-add 60 -v "$tmp/user/shared:/in" --tmpfs /scratch --read-only --hostname box \
		--device /dev/full:/dev/other --cap-drop all --ulimit nofile=512:512 --sysctl net.ipv4.ip_default_ttl=77 bb sh -c "$facts" >first.out 2>first.err
}
first_has() {
	grep -qxF -- "$1" first.out || { cat first.out first.err; return 1; }
}
check 'run gives the exit status' status 42 first
check '-u finds the user in the image, --group-add adds a group' first_has 'user=1000:1000 50 60'
check 'root inside is the user outside' first_has "map=0 $uid 1 1 2000000 262144"
check 'a volume shows what the user has' first_has volume=from-host
check 'what is written there is the inner user'\''s' is 2000999 stat -c %u user/shared/back
check '--tmpfs is one' first_has tmpfs=1
check '--read-only makes the root read-only' first_has root=1
check '--hostname is its name' first_has host=box
check '--device gives one' first_has device=1:7
check '--cap-drop all leaves no capability, and there is a filter' first_has 'caps=0000000000000000 seccomp=2'
check '--ulimit is its limit' first_has nofile=512
check '--sysctl is set' first_has sysctl=77
check 'eight megabytes of input lose nothing' first_has "stdin=$(head -c 8000000 /dev/zero | md5sum)"
check 'a program that is not there gives 127' status 127 run --rm bb no-such-program
check '--userns=keep-id is the user inside too' is $uid run --rm --userns=keep-id bb id -u
check '--userns=auto maps a range' is 1 run --rm --userns=auto bb sh -c 'awk "\$3 >= 1000" /proc/self/uid_map | wc -l'
check '--uidmap maps what it says' is '0 1 1000' run --rm --uidmap 0:1:1000 --gidmap 0:1:1000 bb sh -c 'echo $(cat /proc/self/uid_map)'
check '--network and --pid host are the user'\''s' is "$(find /sys/class/net/ | wc -l) ok" pm run --rm --network host --pid host bb sh -c 'echo "$(find /sys/class/net/ | wc -l)" "$([ "$$" != 1 ] && echo ok)"'
check '--privileged runs, --cgroups=disabled makes none' is hello run --rm --privileged --cgroups=disabled bb echo hello
terminal() {
	in_terminal 33 77 "run --rm -it bb sh -c 'sleep 1; stty size; tty; exit 9'" >terminal.seen
}
check 'run -it gives the exit status' status 9 terminal
check 'and has a terminal of the size of the user'\''s' grep -q '33 77' terminal.seen

# --- in the background ---
check 'run -d prints an id' shows '' run -d --name web bb sh -c 'trap "echo bye; exit 7" TERM; echo ready; while :; do sleep 0.1; done'
check 'ps lists it' is web pm ps --format '{{.Names}}'
check 'logs show what it wrote' soon shows ready pm logs web
check 'exec runs one more process' is hello pm exec web echo hello
check 'exec gives the exit status' status 5 pm exec web sh -c 'exit 5'
check 'exec -u is another user' is alice pm exec -u alice web id -un
check 'exec of a program that is not there gives 127' status 127 pm exec web no-such-program
exec_terminal() {
	in_terminal 31 71 "pm exec -it web sh -c 'sleep 1; stty size; exit 8'"
}
check 'exec -it has a terminal of the size of the user'\''s' shows '31 71' exec_terminal
check 'cp carries a file in' sh -c 'echo carried >user/carried && pm cp user/carried web:/tmp/ && pm exec web grep carried /tmp/carried'
check '--userns=container: is the user namespace of another' is "$(pm exec web readlink /proc/self/ns/user)" run --rm --userns=container:web bb readlink /proc/self/ns/user
check 'restart stops and starts it' pm restart -t 10 web
check 'stop sends TERM' pm stop -t 20 web
check 'its exit status is kept' is '7 exited' pm inspect --format '{{.State.ExitCode}} {{.State.Status}}' web
check 'start runs it again' pm start web
check 'kill ends it' pm kill web
check 'wait prints 137' is 137 pm wait web
check 'rm removes it' pm rm web
check 'rm -f ends what runs' sh -c 'run -d --name web bb sleep 1000 && pm rm -f -t 0 web'
mapped() {
	run -d --name web --userns=keep-id bb sleep 1000 >/dev/null && pm inspect --format '{{.State.Pid}}' web >pid &&
		first=$(pm exec web cat /proc/self/uid_map) && run --rm --userns="$1" bb cat /proc/self/uid_map >second.out 2>&1
	second=$(cat second.out) && pm rm -f -t 0 web >/dev/null
	[ -n "$first" ] && [ "$first" = "$second" ] || { echo "$first"; echo "and: $second"; return 1; }
}
check '--userns=container: of one with a map of its own' mapped container:web

# --- pods ---
if command -v catatonit >/dev/null; then
	pod() { # a pod with a user namespace of the kind $1; what a member sees
		pm pod create --name pod --network none --userns="$1" >/dev/null &&
			pm run -d --pod pod --name member bb sh -c 'echo a page >/tmp/index.html; exec httpd -f -p 8080 -h /tmp' >/dev/null &&
			pm exec -u 0 member sh -c 'echo $(id -u) $(cat /proc/self/uid_map | wc -l)' &&
			soon pm exec member wget -q -O - http://127.0.0.1:8080/ &&
			pm run --rm --pod pod bb sh -c 'readlink /proc/self/ns/user; readlink /proc/self/ns/net' >one.out &&
			pm exec member sh -c 'readlink /proc/self/ns/user; readlink /proc/self/ns/net' >two.out && cmp one.out two.out
		got=$?
		pm pod rm -f -t 0 pod >/dev/null 2>&1
		return "$got"
	}
	check 'members of a pod share its namespaces' pod host
	check 'so in one with --userns=keep-id' pod keep-id
	check 'so in one with --userns=auto' pod auto
	check 'no pod is left' is '' pm pod ps -q
else
	skip 'pods' 'needs catatonit'
fi

# --- a network ---
if command -v slirp4netns >/dev/null && user sh -c ': <>/dev/net/tun' 2>/dev/null; then
	check 'slirp4netns gives it a network' shows tap0 pm run --rm --network slirp4netns bb ip link
else
	skip 'slirp4netns gives it a network' 'needs slirp4netns, and a /dev/net/tun that a user may open'
fi

check 'no container is left' is '' pm ps -aq
check 'no state is left' is '' find "user/run/hull-oci" -mindepth 1
check 'no mount is left' mounts_left
done_testing
