#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# podman drives the runtime: single containers, pods, play kube.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
# shellcheck source=lib.sh
. "$SOURCE/tests/callers/lib.sh"
needs podman conmon

options="--root $tmp/store --runroot /run/pm --tmpdir /run/pmt --cgroup-manager cgroupfs --events-backend file --log-level error --runtime $RUNTIME"
short pm "podman $options"
short create "podman $options create --network none --cgroup-parent /$cgroup"
short run "podman $options run --network none --cgroup-parent /$cgroup"
state() {
	pm inspect --format '{{.State.Status}}' "$1"
}
is_state() {
	is "$1" state "$2"
}

import_image() {
	make_root && pm import --change 'CMD ["echo","from the image"]' --change ENV=PATH=/bin --change ENV=FROM_IMAGE=1 root.tar bb
}
check 'podman imports an image' import_image
check 'podman info knows the runtime' shows "$RUNTIME" pm info

# --- in the foreground ---
check_first 'caps=800405fb seccomp=2' --ulimit nproc=1024:1024
check '--rm leaves nothing' is '' pm ps -aq

check 'the command of the image runs' is 'from the image' run --rm bb
check 'a process killed by a signal gives 128 and its number' status 137 run --rm --init bb sh -c 'kill -9 $$'
check 'a program that is not there gives 127' status 127 run --rm bb no-such-program
check 'a file that cannot be executed gives 126' status 126 run --rm bb /data/not-executable
check '-u finds the user in the image' is '1000:1000 1000 50' run --rm -u alice bb sh -c 'echo $(id -u):$(id -g) $(id -G)'
check '--read-only makes the root read-only' shows 'Read-only file system' run --rm --read-only bb touch /file
check '--cap-drop all leaves no capability' shows 'CapEff:	0000000000000000' run --rm --cap-drop all bb grep CapEff /proc/self/status
check 'seccomp=unconfined leaves out the profile' shows 'Seccomp:	0' run --rm --security-opt seccomp=unconfined bb grep Seccomp: /proc/self/status
check 'no-new-privileges is set' shows 'NoNewPrivs:	1' run --rm --security-opt no-new-privileges bb grep NoNewPrivs /proc/self/status
check '--init puts an init in front' shows podman-init run --rm --init bb cat /proc/1/cmdline
check '--device gives one' shows '10, 229' run --rm --device /dev/fuse bb ls -l /dev/fuse
check '--pid host sees the host'\''s processes' shows 'pid=ok' run --rm --pid host bb sh -c '[ "$$" != 1 ] && echo pid=ok'
check '--uidmap makes a user namespace' shows '100000' run --rm --uidmap 0:100000:2000 --gidmap 0:100000:2000 bb cat /proc/self/uid_map
if can_raise_limits; then
	check '--privileged has every device' run --rm --privileged bb test -e /dev/kmsg
else
	skip '--privileged has every device' 'podman asks for CAP_SYS_RESOURCE, which this host lacks'
fi
preserved() {
	echo through >fd.txt
	is through run --rm --preserve-fds 1 bb sh -c 'cat <&3' 3<fd.txt
}
check '--preserve-fds hands descriptors on' preserved
terminal() {
	in_terminal 33 77 "run --rm -it bb sh -c 'sleep 1; stty size; tty; exit 9'"
}
check 'podman run -it gives the exit status' status 9 terminal
check 'run -it has a terminal of the size of the user'\''s' shows '33 77' terminal
check 'run -it has a terminal of its own' shows /dev/pts/0 terminal

# hooks, which podman adds to the configuration
hooks() {
	mkdir -p hooks
	for stage in prestart createRuntime poststart poststop; do
		printf '#!/bin/sh\ncat >"%s/hook.%s"\n' "$tmp" "$stage" >"hook-$stage"
		chmod +x "hook-$stage"
		printf '{"version":"1.0.0","hook":{"path":"%s/hook-%s"},"when":{"always":true},"stages":["%s"]}' "$tmp" "$stage" "$stage" >"hooks/$stage.json"
	done
	run --rm --annotation asked=yes --hooks-dir "$tmp/hooks" bb true
}
hooks_ran() {
	for stage in prestart createRuntime poststart poststop; do
		grep -q '"ociVersion"' "hook.$stage" || { echo "$stage got no state"; return 1; }
		grep -q '"asked":.*"yes"' "hook.$stage" || { cat "hook.$stage"; return 1; }
	done
}
check 'a container with hooks runs' hooks
check 'each hook gets the state on its standard input' hooks_ran

# --- in the background ---
check 'podman run -d prints an id' shows '' run -d --name web --memory 64m --memory-swap 64m --health-cmd 'test -e /tmp/well' --health-interval disable bb sh -c '
	trap "echo bye; exit 7" TERM; trap "echo hup" HUP
	echo ready; echo problem >&2
	while :; do sleep 0.1; done'
check 'podman ps lists it' is web pm ps --format '{{.Names}}'
check 'logs show what it wrote' soon shows ready pm logs web
check 'logs keep standard error apart' is problem sh -c 'pm logs web 2>&1 >/dev/null'
check 'exec runs one more process' is hello pm exec web echo hello
check 'exec gives the exit status' status 5 pm exec web sh -c 'exit 5'
check 'exec of a program that is not there gives 127' status 127 pm exec web no-such-program
check 'exec of what cannot be executed gives 126' status 126 pm exec web /data/not-executable
check 'exec -i hands standard input on' is typed sh -c 'echo typed | pm exec -i web cat'
check 'exec -e, -w and -u apply' is '1 /tmp alice' pm exec -e X=1 -w /tmp -u alice web sh -c 'echo "$X $PWD $(id -un)"'
exec_terminal() {
	in_terminal 31 71 "pm exec -it web sh -c 'sleep 1; stty size; exit 8'"
}
check 'exec -it gives the exit status' status 8 exec_terminal
check 'exec -it has a terminal of the size of the user'\''s' shows '31 71' exec_terminal
check 'exec -d does not wait' pm exec -d web sh -c 'echo later >/tmp/later'
check 'what exec -d does is done' soon pm exec web test -e /tmp/later
check 'exec is in the cgroup of the container' is 1 pm exec web sh -c 'cut -d: -f3 /proc/1/cgroup >/tmp/a; cut -d: -f3 /proc/self/cgroup >/tmp/b; cmp /tmp/a /tmp/b && echo 1'
check 'eight megabytes through exec lose nothing' is "$(head -c 8000000 /dev/zero | md5sum)" \
	sh -c 'head -c 8000000 /dev/zero | pm exec -i web cat | md5sum'
check 'a health check that fails is unhealthy' fails pm healthcheck run web
check 'a health check that succeeds is healthy' sh -c 'pm exec web touch /tmp/well && pm healthcheck run web'
check 'top lists its processes' soon shows 'sleep 0.1' pm top web args
check 'stats show its limit' shows '67.11MB' pm stats --no-stream --format '{{.MemUsage}}' web
check 'cp carries a file in' sh -c 'echo carried >carried && pm cp carried web:/tmp/ && pm exec web grep carried /tmp/carried'
check 'pause freezes it' pm pause web
check 'a paused container is paused' is_state paused web
check 'a paused container takes no exec' fails pm exec web true
check 'unpause thaws it' pm unpause web
check 'a thawed container runs' soon pm exec web true
check 'update changes its memory' pm update --memory 96m --memory-swap 96m web
check 'the cgroup has the new limit' is 100663296 pm exec web sh -c "$memory_limit"
check 'update changes its processors' pm update --cpus 0.25 web
check 'the cgroup has the new quota' is 25 pm exec web sh -c "$cpu_limit"
check 'kill -s sends a signal' pm kill -s HUP web
check 'the signal arrives' soon shows hup pm logs web
check 'restart stops and starts it' pm restart -t 10 web
check 'its files are still there' pm exec web test -e /tmp/later
check 'stop sends TERM' pm stop -t 20 web
check 'its exit status is kept' is '7 exited' pm inspect --format '{{.State.ExitCode}} {{.State.Status}}' web
check 'start runs it again' pm start web
check 'kill ends it' pm kill web
check 'wait prints 137' is 137 pm wait web
check 'a container that does not run takes no exec' fails pm exec web true
check 'rm removes it' pm rm web
check 'create and start are apart' sh -c 'create --name apart bb echo started && pm start -a apart | grep -x started'
check 'init prepares one without starting it' sh -c 'create --name ready bb sleep 100 && pm init ready &&
	pm inspect --format "{{.State.Status}}" ready | grep -xE "created|initialized"'
check 'one that was never started can be removed' pm rm -f ready apart
check 'a container of many processes is removed by force' sh -c '
	run -d --name many bb sh -c "for i in \$(seq 40); do sleep 1000 & done; wait" && pm rm -f -t 0 many'
check 'the restart policy starts it again' sh -c 'run -d --restart on-failure:2 --name again bb sh -c "exit 3"'
check 'as often as it says' soon is '2 exited' pm inspect --format '{{.RestartCount}} {{.State.Status}}' again
check 'and it can be removed' pm rm -f again

# --- a published port ---
if command -v curl >/dev/null && [ -x /usr/lib/podman/netavark ]; then
	check 'a container on a bridge starts' pm run -d --name site --cgroup-parent "/$cgroup" -p 127.0.0.1:8099:80 bb sh -c 'echo a page >/tmp/index.html; exec httpd -f -p 80 -h /tmp'
	check 'its published port answers' soon sh -c 'curl -sf -m 5 http://127.0.0.1:8099/ | grep -x "a page"'
	check 'it can be removed' pm rm -f -t 0 site
else
	skip 'a published port answers' 'needs netavark and curl'
fi

# --- pods ---
if command -v catatonit >/dev/null; then
	check 'pod create makes a pod' pm pod create --name pod --network none --hostname podhost --cgroup-parent "/$cgroup"
	check 'a member starts' pm run -d --pod pod --name member bb sh -c 'echo a page >/tmp/index.html; exec httpd -f -p 8080 -h /tmp'
	check 'members have one network' soon shows 'a page' pm run --rm --pod pod bb wget -q -O - http://127.0.0.1:8080/
	check 'members have one host name' is podhost pm exec member hostname
	check 'pod ps shows it running' soon is 'pod Running' pm pod ps --format '{{.Name}} {{.Status}}'
	check 'pod pause stops all' pm pod pause pod
	check 'pod unpause goes on' pm pod unpause pod
	check 'pod restart starts all again' pm pod restart pod
	check 'the member answers again' soon pm exec member wget -q -O - http://127.0.0.1:8080/
	check 'pod kill kills all' pm pod kill pod
	check 'pod rm removes all' pm pod rm -f pod
	cat >kube.yml <<-'END'
		apiVersion: v1
		kind: ConfigMap
		metadata: {name: settings}
		data: {colour: green}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: kube, labels: {app: kube}}
		spec:
		  restartPolicy: Never
		  initContainers:
		  - name: before
		    image: localhost/bb:latest
		    imagePullPolicy: Never
		    command: [sh, -c, "echo from-init >/shared/note"]
		    volumeMounts: [{name: shared, mountPath: /shared}]
		  containers:
		  - name: server
		    image: localhost/bb:latest
		    imagePullPolicy: Never
		    command: [httpd, -f, -p, "8080", -h, /shared]
		    env: [{name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}]
		    resources: {limits: {memory: 64Mi, cpu: 500m}}
		    securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
		    volumeMounts: [{name: shared, mountPath: /shared}]
		  - name: other
		    image: localhost/bb:latest
		    imagePullPolicy: Never
		    command: [sleep, "1000"]
		  volumes: [{name: shared, emptyDir: {}}]
	END
	check 'play kube starts what the file says' pm play kube --network none kube.yml
	check 'what the init container wrote is served to the other' soon is from-init pm exec kube-other wget -q -O - http://127.0.0.1:8080/note
	check 'a variable comes from the map' is green pm exec kube-server sh -c 'echo $COLOUR'
	check 'the limits of the file hold' is '67108864 50' pm exec kube-server sh -c "echo \$($memory_limit) \$($cpu_limit)"
	check 'the capabilities of the file hold' shows 'CapEff:	0000000000000000' pm exec kube-server grep CapEff /proc/self/status
	check 'play kube --down removes it' pm play kube --down kube.yml
	check 'no pod is left' is '' pm pod ps -q
else
	skip 'pods' 'needs catatonit'
fi

# --- many ---
ten() {
	started=
	for i in 1 2 3 4 5 6 7 8 9 10; do
		run --rm bb sh -c "exit $i" &
		started="$started $!"
	done
	i=0 sum=0
	for pid in $started; do
		wait "$pid"
		sum=$((sum + $?))
	done
	echo "$sum"
}
check 'ten at once each give their own status' is 55 ten
check 'no container is left' is '' pm ps -aq
check 'no cgroup is left' soon cgroups_left 'libpod-*'
check 'no mount is left' mounts_left -e "$tmp/store/overlay"
done_testing
