#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# containerd drives the runtime through its shim: ctr with --runc-binary.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
# shellcheck source=lib.sh
. "$SOURCE/tests/callers/lib.sh"
needs containerd ctr containerd-shim-runc-v2

socket=/run/containerd/containerd.sock
cat >containerd.toml <<END
version = 2
root = "$tmp/root.containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$socket"
[plugins."io.containerd.internal.v1.opt"]
path = "$tmp/opt"
END
containerd -c containerd.toml -l warn >containerd.log 2>&1 &

short ct "ctr -a $socket -n $cgroup"
short run "ctr -a $socket -n $cgroup run --runc-binary $RUNTIME"
image=docker.io/library/bb:latest
import_image() {
	make_root && archive bb '["echo","from the image"]' && soon ct version && ct image import bb.tar
}
check 'containerd starts and imports an image' import_image
is_status() {
	ct task ls | awk -v id="$2" '$1 == id { print $3 }' | grep -x "$1"
}
gone() {
	! ct task ls -q | grep -x "$1"
}

# --- in the foreground ---
inside='echo "pid=$$"
echo "pwd=$PWD image=$FROM_IMAGE given=$GIVEN"
echo "volume=$(cat /in/note)"; echo written >/in/back; echo no >/fixed/x
echo "links=$(ip link | grep -c "^[0-9]")"
echo "caps=$(sed -n "s/^CapEff:[^0-9a-f]*0*//p" /proc/self/status) seccomp=$(sed -n "s/^Seccomp:[^0-9]*//p" /proc/self/status)"
read -r line; echo "stdin=$line"
echo "to standard error" >&2
exit 42'
first() {
	mkdir -p shared fixed
	echo from-host >shared/note
	echo some-input | run --rm --cwd /data --env GIVEN=1 --mount "type=bind,src=$tmp/shared,dst=/in,options=rbind:rw" --seccomp \
		--mount "type=bind,src=$tmp/fixed,dst=/fixed,options=rbind:ro" "$image" first /bin/sh -c "$inside" >first.out 2>first.err
}
first_has() {
	grep -qxF -- "$1" first.out || { cat first.out first.err; return 1; }
}
check 'ctr run gives the exit status' status 42 first
check 'its process is number 1' first_has pid=1
check '--cwd and --env apply' first_has 'pwd=/data image=1 given=1'
check 'a mount shows what the host has' first_has volume=from-host
check 'a mount is written to' is written cat shared/back
check 'a mount with ro is not' test ! -e fixed/x
check 'it has one link, the loopback' first_has links=1
check 'it has containerd'\''s capabilities and seccomp profile' first_has 'caps=a80425fb seccomp=2'
check 'standard input reaches it' first_has stdin=some-input
check 'standard error is kept apart' grep -qx 'to standard error' first.err
check '--rm leaves nothing' is '' ct container ls -q
check 'the command of the image runs' is 'from the image' run --rm "$image" plain
check 'a process killed by a signal gives 128 and its number' status 137 run --rm "$image" killed /bin/sh -c '(sleep 1; kill -9 $PPID) & exec sh -c "kill -9 \$\$; kill -9 -1; exit 137"'
check 'a program that is not there is told' shows 'no-such-program' run --rm "$image" missing /bin/no-such-program
check 'and leaves nothing' is '' sh -c 'ct task ls -q; ct container rm missing 2>/dev/null; :'
check '--read-only makes the root read-only' shows 'Read-only file system' run --rm --read-only "$image" fixed /bin/touch /file
check '--memory-limit is the limit of its cgroup' is 67108864 run --rm --memory-limit 67108864 \
	--mount type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro:nosuid:noexec:nodev "$image" limited /bin/sh -c "$memory_limit"
check '--cpus is the limit of its cgroup' is 50 run --rm --cpus 0.5 \
	--mount type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro:nosuid:noexec:nodev "$image" processors /bin/sh -c "$cpu_limit"
check '--net-host is the caller'\''s network' is "$(ip -o link show lo | cut -d ' ' -f 1)" run --rm --net-host "$image" network /bin/sh -c 'ip -o link show lo | cut -d " " -f 1'
check '--with-ns joins the namespace of another' is joined sh -c 'unshare -u sh -c "hostname joined; sleep 30" & sleep 1; p=$!
	run --rm --with-ns "uts:/proc/$p/ns/uts" docker.io/library/bb:latest joins /bin/hostname; kill $p'
check '--uidmap makes a user namespace' shows 100000 run --rm --uidmap 0:100000:2000 --gidmap 0:100000:2000 "$image" mapped /bin/cat /proc/self/uid_map
check '--no-pivot is obeyed' is moved run --rm --no-pivot "$image" moved /bin/echo moved
if can_raise_limits; then
	check '--privileged runs' run --rm --privileged "$image" privileged /bin/true
else
	skip '--privileged runs' 'ctr asks for CAP_SYS_RESOURCE, which this host lacks'
fi
terminal() {
	in_terminal 33 77 "run --rm -t $image terminal-$1 /bin/sh -c 'sleep 1; stty size; tty; exit 9'"
}
check 'ctr run -t gives the exit status' status 9 terminal 1
check 'run -t has a terminal of the size of the user'\''s' shows '33 77' terminal 2
check 'run -t has a terminal of its own' shows /dev/pts/0 terminal 3

# --- in the background ---
check 'ctr run -d does not wait' run -d --log-uri "file://$tmp/web.log" "$image" web /bin/sh -c '
	trap "echo bye; exit 7" TERM; trap "echo hup" HUP
	echo ready
	while :; do sleep 0.1; done'
check 'task ls shows it running' soon is_status RUNNING web
check 'what it writes is in its log' soon grep -x ready web.log
check 'task exec runs one more process' is hello ct task exec --exec-id e1 web /bin/echo hello
check 'task exec gives the exit status' status 5 ct task exec --exec-id e2 web /bin/sh -c 'exit 5'
check 'task exec hands standard input on' is typed sh -c 'echo typed | ct task exec --exec-id e3 web /bin/cat'
check 'task exec of a program that is not there is told' shows no-such-program ct task exec --exec-id e4 web /bin/no-such-program
exec_terminal() {
	in_terminal 31 71 "ct task exec -t --exec-id t$1 web /bin/sh -c 'sleep 1; stty size; exit 8'"
}
check 'task exec -t gives the exit status' status 8 exec_terminal 1
check 'task exec -t has a terminal of the size of the user'\''s' shows '31 71' exec_terminal 2
check 'task exec -d does not wait' ct task exec -d --log-uri "file://$tmp/e6.log" --exec-id e6 web /bin/sh -c 'echo later >/tmp/later'
check 'what it does is done' soon ct task exec --exec-id e7-$$ web /bin/test -e /tmp/later
# ctr mounts the container's overlay a second time to look the user up: from here on nothing new can be written in it
check 'task exec --user and --cwd apply' is '1000 /tmp' ct task exec --exec-id e5 --user 1000 --cwd /tmp web /bin/sh -c 'echo "$(id -u) $PWD"'
check 'task ps lists its processes' sh -c 'test "$(ct task ps web | sed 1d | wc -l)" -ge 1'
check 'task metrics shows its memory' shows memory ct task metrics web
check 'task pause freezes it' ct task pause web
check 'a paused task is paused' is_status PAUSED web
check 'task resume thaws it' ct task resume web
check 'a thawed task runs' is_status RUNNING web
check 'task kill sends a signal' ct task kill -s HUP web
check 'the signal arrives' soon grep -x hup web.log
check 'a task that runs is not deleted' fails ct task delete web
check 'task kill ends it' ct task kill -s TERM web
check 'it stops' soon is_status STOPPED web
check 'task delete gives its status' shows 'exit code 7' ct task delete web
check 'container delete removes it' ct container delete web
check 'a task of many processes starts' run -d --null-io "$image" many /bin/sh -c 'for i in $(seq 40); do sleep 1000 & done; wait'
check 'task kill --all kills them' ct task kill --all -s KILL many
check 'nothing of it runs' soon is_status STOPPED many
check 'it is deleted' shows 'exit code 137' ct task delete many
check 'and its container' ct container delete many
check 'task delete --force ends one that runs' sh -c 'run -d --null-io docker.io/library/bb:latest forced /bin/sleep 1000 &&
	ct task delete --force forced; ct container delete forced'
check 'it is gone' gone forced

# --- a shim that dies ---
shim_dies() {
	run -d --null-io "$image" orphan /bin/sleep 1000 || return 1
	shim=$(pgrep -f "containerd-shim-runc-v2.* -id orphan ") || return 1
	kill -9 "$shim"
	soon gone orphan && ct container delete orphan
}
check 'after the death of its shim containerd cleans up through the runtime' shim_dies
ten() {
	started=
	for i in 1 2 3 4 5 6 7 8 9 10; do
		run --rm "$image" "ten-$i" /bin/sh -c "exit $i" &
		started="$started $!"
	done
	sum=0
	for pid in $started; do
		wait "$pid"
		sum=$((sum + $?))
	done
	echo "$sum"
}
check 'ten at once each give their own status' is 55 ten
check 'no task is left' is '' ct task ls -q
check 'no container is left' is '' ct container ls -q
check 'the runtime has no state left' is '' sh -c 'ls -A "/run/containerd/runc/$0" 2>/dev/null' "$cgroup"
check 'no cgroup is left' soon cgroups_left
check 'no mount is left' mounts_left
done_testing
