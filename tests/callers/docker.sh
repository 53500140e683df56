#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# dockerd, with the runtime as its default one: single containers, networks, builds, compose files, swarm services.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
# shellcheck source=lib.sh
. "$SOURCE/tests/callers/lib.sh"
needs dockerd docker containerd iptables curl

cat >daemon.json <<END
{"data-root": "$tmp/data", "exec-root": "/run/docker", "pidfile": "/run/docker.pid", "hosts": ["unix:///run/docker.sock"],
 "runtimes": {"hull": {"path": "$RUNTIME"}}, "default-runtime": "hull", "cgroup-parent": "/$cgroup", "storage-driver": "overlay2",
 "exec-opts": ["native.cgroupdriver=cgroupfs"], "shutdown-timeout": 5}
END
export DOCKER_BUILDKIT=0 DOCKER_CONFIG="$tmp/home" DOCKER_HOST=unix:///run/docker.sock
mkdir -p /run/docker
[ ! -d "${CALLER_PLUGINS:-}" ] || ln -s "$CALLER_PLUGINS" home/cli-plugins
start_dockerd() {
	dockerd --config-file "$tmp/daemon.json" >>dockerd.log 2>&1 &
	dockerd=$!
	soon docker version >/dev/null || { tail -n 5 dockerd.log; return 1; }
}
short dk docker
short run 'docker run --network none'

check 'dockerd starts' start_dockerd
import_image() {
	make_root && dk import -c 'CMD ["echo","from the image"]' -c 'ENV PATH=/bin FROM_IMAGE=1' root.tar bb
}
check 'docker imports an image' import_image
engine() {
	HULL_ROOT=$tmp/store timeout -k 5 60 "$BUILD/src/hull" "$@"
}
loads() {
	engine image import --env PATH=/bin --cmd '["echo","from hull"]' root.tar kit:1 >/dev/null && engine save -o saved.tar kit:1 && dk load -q -i saved.tar >/dev/null &&
		is 'from hull' run --rm kit:1
}
check 'docker loads what hull saves' loads
saves() {
	dk save -o docker.tar bb && engine load -i docker.tar && is '["echo","from the image"]' engine image inspect --format '{{json .Config.Cmd}}' bb
}
check 'hull loads what docker saves' saves
check 'the runtime is the default one' is hull dk info --format '{{.DefaultRuntime}}'

# --- in the foreground ---
check_first 'caps=a80425fb seccomp=2'
check 'masked paths are empty' first_has masked=0
check '--rm leaves nothing' is '' dk ps -aq

check 'the command of the image runs' is 'from the image' run --rm bb
check 'a process killed by a signal gives 128 and its number' status 137 run --rm --init bb sh -c 'kill -9 $$'
check 'a program that is not there gives 127' status 127 run --rm bb no-such-program
check 'a file that cannot be executed gives 126' status 126 run --rm bb /data/not-executable
check '-u finds the user in the image' is '1000:1000 1000 50 51' run --rm -u alice --group-add 51 bb sh -c 'echo $(id -u):$(id -g) $(id -G)'
check '--read-only makes the root read-only' shows 'Read-only file system' run --rm --read-only bb touch /file
check '--cap-drop ALL leaves no capability' shows 'CapEff:	0000000000000000' run --rm --cap-drop ALL bb grep CapEff /proc/self/status
check '--cap-add adds one' shows 'CapEff:	0000000000201000' run --rm --cap-drop ALL --cap-add SYS_ADMIN --cap-add NET_ADMIN bb grep CapEff /proc/self/status
check 'seccomp=unconfined leaves out the profile' shows 'Seccomp:	0' run --rm --security-opt seccomp=unconfined bb grep Seccomp: /proc/self/status
check 'no-new-privileges is set' shows 'NoNewPrivs:	1' run --rm --security-opt no-new-privileges bb grep NoNewPrivs /proc/self/status
check '--init puts an init in front' shows docker-init run --rm --init bb cat /proc/1/cmdline
check '--device gives one' shows '10, 229' run --rm --device /dev/fuse bb ls -l /dev/fuse
check 'a device that was not given is refused' shows 'not permitted' run --rm --cap-add MKNOD bb sh -c 'mknod /fuse c 10 229 && cat /fuse'
check '--pid host sees the host'\''s processes' shows dockerd run --rm --pid host bb ps
check '--ipc and --uts host are the host'\''s' is "$(hostname)" run --rm --ipc host --uts host bb hostname
check '--network host is the host'\''s' shows docker0 dk run --rm --network host bb ip link
if can_raise_limits; then
	check '--privileged has every device' run --rm --privileged bb test -e /dev/kmsg
else
	skip '--privileged has every device' 'docker asks for CAP_SYS_RESOURCE, which this host lacks'
fi
terminal() {
	in_terminal 33 77 "run --rm -it bb sh -c 'sleep 1; stty size; tty; exit 9'"
}
check 'docker run -it gives the exit status' status 9 terminal
check 'run -it has a terminal of the size of the user'\''s' shows '33 77' terminal
check 'run -it has a terminal of its own' shows /dev/pts/0 terminal

# --- in the background ---
check 'docker run -d prints an id' shows '' run -d --name web --memory 64m --memory-swap 64m --label tier=web bb sh -c '
	trap "echo bye; exit 7" TERM; trap "echo hup" HUP
	echo ready; echo problem >&2
	while :; do sleep 0.1; done'
check 'docker ps finds it by its label' is web dk ps --filter label=tier=web --format '{{.Names}}'
check 'logs show what it wrote' soon shows ready dk logs web
check 'logs keep standard error apart' is problem sh -c 'dk logs web 2>&1 >/dev/null'
check 'exec runs one more process' is hello dk exec web echo hello
check 'exec gives the exit status' status 5 dk exec web sh -c 'exit 5'
check 'exec of a program that is not there is told' shows 'no-such-program' dk exec web no-such-program
check 'exec of a program that is not there gives 126 or 127' sh -c 'dk exec web no-such-program; s=$?; [ $s = 126 ] || [ $s = 127 ]'
check 'exec -i hands standard input on' is typed sh -c 'echo typed | dk exec -i web cat'
check 'exec -e, -w and -u apply' is '1 /tmp alice' dk exec -e X=1 -w /tmp -u alice web sh -c 'echo "$X $PWD $(id -un)"'
check 'exec --privileged is not needed for a plain one' shows 'CapEff:	00000000a80425fb' dk exec web grep CapEff /proc/self/status
exec_terminal() {
	in_terminal 31 71 "dk exec -it web sh -c 'sleep 1; stty size; exit 8'"
}
check 'exec -it gives the exit status' status 8 exec_terminal
check 'exec -it has a terminal of the size of the user'\''s' shows '31 71' exec_terminal
check 'exec -d does not wait' dk exec -d web sh -c 'echo later >/tmp/later'
check 'what exec -d does is done' soon dk exec web test -e /tmp/later
check 'eight megabytes through exec lose nothing' is "$(head -c 8000000 /dev/zero | md5sum)" sh -c 'head -c 8000000 /dev/zero | dk exec -i web cat | md5sum'
check 'top lists its processes' shows 'sleep 0.1' dk top web
check 'stats show its limit' shows '/ 64MiB' dk stats --no-stream --format '{{.MemUsage}}' web
check 'cp carries a file in' sh -c 'echo carried >carried && dk cp carried web:/tmp/ && dk exec web grep -x carried /tmp/carried'
check 'cp carries a file out' sh -c 'dk cp web:/tmp/later later && grep -x later later'
check 'diff shows what changed' shows 'A /tmp/later' dk diff web
check 'a container joins the network and the processes of another' shows 'sleep 0.1' dk run --rm --network container:web --pid container:web bb ps
check 'pause freezes it' dk pause web
check 'a paused container is paused' is paused dk inspect --format '{{.State.Status}}' web
check 'a paused container takes no exec' fails dk exec web true
check 'unpause thaws it' dk unpause web
check 'a thawed container runs' soon dk exec web true
check 'update changes limits' dk update --memory 96m --memory-swap 96m --cpus 0.25 --pids-limit 60 web
check 'the cgroup has them' is '100663296 25 60' dk exec web sh -c "echo \$($memory_limit) \$($cpu_limit) \$($pids_limit)"
check 'attach shows what it writes' shows hup sh -c '(sleep 1; dk kill -s HUP web) >/dev/null & timeout -s KILL 3 docker attach --sig-proxy=false --no-stdin web; :'
check 'restart stops and starts it' dk restart -t 10 web
check 'its files are still there' dk exec web test -e /tmp/later
check 'stop sends TERM' dk stop -t 20 web
check 'its exit status is kept' is '7 exited' dk inspect --format '{{.State.ExitCode}} {{.State.Status}}' web
check 'commit makes an image of it' sh -c 'dk commit web kept && run --rm kept cat /tmp/later'
check 'start runs it again' dk start web
check 'kill ends it' dk kill web
check 'wait prints 137' is 137 dk wait web
check 'rm removes it' dk rm web
check 'one that was never started can be removed' sh -c 'dk create --name never bb true && dk rm never'
check 'a container of many processes is removed by force' sh -c 'run -d --name many bb sh -c "for i in \$(seq 40); do sleep 1000 & done; wait" && dk rm -f many'
oom() {
	run --name oom --memory 16m --memory-swap 16m bb sh -c 'tail /dev/zero'
	is '137 true' dk inspect --format '{{.State.ExitCode}} {{.State.OOMKilled}}' oom
}
check 'one that runs out of memory is killed, and docker knows why' oom
check 'it can be removed' dk rm oom
check 'a health check succeeds' shows '' run -d --name well --health-cmd 'test -e /tmp/well' --health-interval 1s --health-retries 1 bb sh -c 'touch /tmp/well; sleep 1000'
check 'it is healthy' soon is healthy dk inspect --format '{{.State.Health.Status}}' well
check 'when the check fails' dk exec well rm /tmp/well
check 'it is unhealthy' soon is unhealthy dk inspect --format '{{.State.Health.Status}}' well
check 'and can be removed' dk rm -f well
check 'a restart policy is taken' shows '' run -d --name again --restart on-failure:2 bb sh -c 'exit 3'
check 'it starts again as often as it says' soon is '2 exited' dk inspect --format '{{.RestartCount}} {{.State.Status}}' again
check 'and it can be removed' dk rm -f again
events() {
	dk events --since 10m --until 0s --filter container=again --format '{{.Action}}' | sort -u | tr '\n' ' '
}
check 'events tell what happened' soon is 'create destroy die start ' events

# --- networks ---
check 'a container on the bridge starts' dk run -d --name site -p 127.0.0.1:8098:80 bb sh -c 'echo a page >/tmp/index.html; exec httpd -f -p 80 -h /tmp'
check 'its published port answers' soon sh -c 'curl -sf -m 5 http://127.0.0.1:8098/ | grep -x "a page"'
check 'it has eth0 and an address' shows "$(dk inspect --format '{{.NetworkSettings.IPAddress}}' site)" dk exec site ip addr show eth0
check 'a network of one'\''s own is made' dk network create own
check 'a container on it has a name' dk run -d --name named --network own bb httpd -f -p 80 -h /data
check 'another finds it by that name' is from-image dk run --rm --network own bb wget -q -O - http://named/file
check 'a network is added to one that runs' sh -c 'dk network connect own site && dk exec site ip addr show eth1'
check 'and taken away' sh -c 'dk network disconnect own site && ! dk exec site ip addr show eth1'
check 'all are removed' dk rm -f site named
check 'and the network' dk network rm own

# --- build ---
build() {
	mkdir -p context && echo copied >context/file
	printf 'FROM bb\nARG WORD\nCOPY file /copied\nRUN echo "$WORD $(id -u)" >/ran && test "$(cat /copied)" = copied\nUSER alice\nCMD cat /ran; id -un\n' >context/Dockerfile
	dk build --build-arg WORD=said -t built context
}
check 'docker build runs its steps' build
check 'what was built runs' is 'said 0 alice' sh -c 'run --rm built | xargs'
check 'a step that fails fails the build' sh -c 'printf "FROM bb\nRUN exit 3\n" | dk build --force-rm -t bad - && exit 1; :'

# --- build by BuildKit, which calls a program named runc ---
buildkit() {
	rm -f runc.calls
	printf 'FROM bb\nARG WORD\nRUN --mount=type=tmpfs,target=/scratch grep -q " /scratch tmpfs" /proc/mounts && echo "$WORD $(id -u)" >/ran\nUSER alice\nCMD cat /ran; id -un\n' >context/Dockerfile
	DOCKER_BUILDKIT=1 dk build --progress plain --build-arg WORD=kitted -t kitted context && grep -w run runc.calls
}
if docker buildx version >/dev/null 2>&1; then
	printf '#!/bin/sh\necho "$@" >>%s/runc.calls\nexec %s "$@"\n' "$tmp" "$RUNTIME" >bin/runc
	chmod +x bin/runc
	check 'BuildKit runs its steps' buildkit
	check 'what it built runs' is 'kitted 0 alice' sh -c 'run --rm kitted | xargs'
	check 'a step that fails fails its build' sh -c 'printf "FROM bb\nRUN exit 3\n" | DOCKER_BUILDKIT=1 dk build -t bad - && exit 1; :'
	# the folder itself belongs to nobody: the containers were below it
	check 'its containers leave no cgroup' find /sys/fs/cgroup -depth -type d -path "*/$cgroup/buildkit" -exec rmdir {} +
else
	skip 'BuildKit builds' 'needs the plugin buildx, which this docker does not have'
fi

# --- a compose file ---
compose=docker-compose
docker compose version >/dev/null 2>&1 && compose='docker compose'
if command -v "${compose%% *}" >/dev/null; then
	mkdir -p compose
	cat >compose/docker-compose.yml <<-'END'
		version: "3"
		services:
		  server:
		    image: bb
		    command: httpd -f -p 80 -h /data
		    healthcheck: {test: ["CMD", "test", "-e", "/data/file"], interval: 1s}
		  asker:
		    image: bb
		    command: sh -c 'until wget -q -O - http://server/file; do sleep 0.2; done; sleep 1000'
		    depends_on: [server]
	END
	short compose "$compose -f $tmp/compose/docker-compose.yml"
	check 'docker-compose up starts the services' compose up -d
	check 'they find each other' soon shows from-image compose logs asker
	check 'docker-compose ps knows their health' soon shows healthy compose ps
	check 'docker-compose exec runs in one' is from-image compose exec -T server cat /data/file
	check 'docker-compose down removes them' compose down -t 1
else
	skip 'a compose file' 'neither docker compose nor docker-compose is there'
fi

# --- the daemon goes and comes back ---
check 'a container that shall always run starts' run -d --name always --restart always bb sleep 1000
restart_dockerd() {
	kill -KILL "$dockerd"
	wait "$dockerd"
	rm -f /run/docker.pid
	start_dockerd
}
check 'dockerd is killed and started' restart_dockerd
check 'the container runs again' soon dk exec always true
check 'and is removed' dk rm -f always

# --- swarm ---
task_states() { # of the service, those that shall run
	dk service ps --filter desired-state=running --format '{{.CurrentState}}' "$1" | grep -c ^Running
}
one_of() { # the id of a container of the service
	dk ps -q --filter "label=com.docker.swarm.service.name=$1" | head -n 1
}
in_service() {
	service=$1
	shift
	dk exec "$(one_of "$service")" "$@"
}
if dk swarm init --advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:2377 >swarm.out 2>&1; then
	check 'a secret is made' sh -c 'echo hidden | dk secret create word -'
	check 'a config is made' sh -c 'echo settings | dk config create settings -'
	check 'a service starts' dk service create --detach --no-resolve-image --endpoint-mode dnsrr --name s --replicas 2 --secret word \
		--config source=settings,target=/settings --limit-memory 64m --env COLOUR=green --update-delay 100ms --stop-grace-period 1s bb sleep 1000
	check 'its replicas run' soon is 2 task_states s
	check 'the secret is there' is hidden in_service s cat /run/secrets/word
	check 'the config is there' is settings in_service s cat /settings
	check 'its limit holds' is 67108864 in_service s sh -c "$memory_limit"
	check 'service scale asks for three' dk service scale --detach s=3
	check 'three run' soon is 3 task_states s
	check 'a task that is killed' sh -c 'dk kill "$0"' "$(one_of s)"
	check 'is replaced' soon is 3 task_states s
	check 'service update rolls' dk service update --detach --no-resolve-image --env-add COLOUR=red --update-parallelism 1 s
	check 'the update is completed' soon is completed dk service inspect --format '{{.UpdateStatus.State}}' s
	check 'the tasks are new' is red in_service s sh -c 'echo $COLOUR'
	check 'service rollback goes back' dk service rollback --detach s
	check 'the rollback is completed' soon is rollback_completed dk service inspect --format '{{.UpdateStatus.State}}' s
	check 'the tasks are as they were' is green in_service s sh -c 'echo $COLOUR'
	check 'service logs are there' dk service logs s
	check 'service rm removes it' dk service rm s
	check 'no container of it is left' soon is '' dk ps -aq --filter label=com.docker.swarm.service.name=s
	check 'secret and config are removed' sh -c 'dk secret rm word && dk config rm settings'
	check 'a job is started' dk service create --detach --no-resolve-image --endpoint-mode dnsrr --name job --mode replicated-job --replicas 3 --max-concurrent 2 bb sh -c 'exit 0'
	check 'it completes' soon is 3 sh -c 'dk service ps --format "{{.CurrentState}}" job | grep -c ^Complete'
	check 'it is removed' dk service rm job
	check 'the swarm is left' dk swarm leave --force
else
	skip 'swarm services' "$(tail -n 1 swarm.out)"
fi

ten() {
	started=
	for i in 1 2 3 4 5 6 7 8 9 10; do
		run --rm bb sh -c "exit $i" &
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
check 'no container is left' soon is '' dk ps -aq
check 'no cgroup is left' soon cgroups_left
check 'the runtime has no state left' is '' sh -c 'ls -A /run/docker/runtime-*/moby 2>/dev/null'
stop_dockerd() {
	kill -TERM "$dockerd"
	wait "$dockerd"
}
check 'dockerd stops' stop_dockerd
check 'no mount is left' mounts_left -e "$tmp/data" # which dockerd binds on itself
done_testing
