#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# podman as it is on a usual host: systemd manages its cgroups. And docker, told to use the same driver.
# shellcheck disable=SC2016,SC2034 # what stands in single quotes is for the shell inside
LAB_TOP=../..
# shellcheck source=../oci-lib.sh
. "$(dirname "$0")/../oci-lib.sh"
mkdir bin
cat >bin/pm <<-END
	#!/bin/sh
	exec timeout -k 5 100 podman --root "$tmp/store" --runroot /run/pm --tmpdir /run/pmt --events-backend file --log-level error --runtime "$oci" "\$@"
END
chmod +x bin/pm
PATH=$tmp/bin:$PATH
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

podman_too() {
	command -v podman conmon >/dev/null || { skip 'podman runs containers in scopes' 'needs podman and conmon'; return; }
	check 'podman imports an image' sh -c 'tar -C rootfs -c . | pm import --change ENV=PATH=/bin - bb'
	check 'its cgroup manager is systemd, as it comes' is systemd pm info --format '{{.Host.CgroupManager}}'
	check 'podman run prints and gives its status' is '67108864 40' pm run --rm --network none --memory 64m --pids-limit 40 bb sh -c 'cd /sys/fs/cgroup && echo $(cat memory.max pids.max)'
	check 'podman run -d starts one' pm run -d --name web --network none --memory 64m bb sleep 1000
	id=$(pm inspect --format '{{.Id}}' web)
	check 'it is a scope below podman'\''s slice' is "active machine.slice 67108864" sh -c \
		'echo $(systemctl show "libpod-$0.scope" --property ActiveState --value) $(systemctl show "libpod-$0.scope" --property Slice --value) $(systemctl show "libpod-$0.scope" --property MemoryMax --value)' "$id"
	check 'podman exec is in the same cgroup' is 2 sh -c 'pm exec -d web sleep 1000 >/dev/null; sleep 1; grep -c . "/sys/fs/cgroup/machine.slice/libpod-$0.scope/cgroup.procs"' "$id"
	check 'podman stats read its cgroup' sh -c 'pm stats --no-stream --format "{{.MemUsage}}" web | grep 67.11MB'
	check 'podman update reaches the unit' sh -c 'pm update --memory 96m --memory-swap 96m web && systemctl show "libpod-$0.scope" --property MemoryMax --value | grep -x 100663296' "$id"
	check 'podman pause and unpause' sh -c 'pm pause web && pm unpause web'
	check 'podman rm -f removes it' pm rm -f -t 0 web
	check 'its unit is gone' soon sh -c '[ "$(systemctl show "libpod-$0.scope" --property LoadState --value)" = not-found ]' "$id"
	check 'nothing of it is left below the slice' is '' find /sys/fs/cgroup/machine.slice -name "libpod-$id*"
}

docker_too() {
	command -v dockerd docker containerd >/dev/null || { skip 'docker runs containers in scopes' 'needs docker.io'; return; }
	export DOCKER_HOST=unix:///run/docker-lab.sock
	cat >daemon.json <<-END
		{"data-root": "$tmp/docker", "exec-root": "/run/docker-lab", "pidfile": "/run/docker-lab.pid", "hosts": ["$DOCKER_HOST"],
		 "runtimes": {"hull": {"path": "$oci"}}, "default-runtime": "hull", "storage-driver": "vfs", "bridge": "none", "iptables": false,
		 "exec-opts": ["native.cgroupdriver=systemd"], "shutdown-timeout": 5}
	END
	dockerd --config-file "$tmp/daemon.json" >dockerd.log 2>&1 &
	dockerd=$!
	for _ in $(seq 60); do docker version >/dev/null 2>&1 && break; sleep 1; done
	docker version >/dev/null 2>&1 || { skip 'docker runs containers in scopes' "dockerd does not start: $(tail -n 1 dockerd.log)"; return; }
	check 'docker imports an image' sh -c 'tar -C rootfs -c . | docker import -c "ENV PATH=/bin" - bb'
	check 'docker'\''s driver is systemd' is systemd docker info --format '{{.CgroupDriver}}'
	check 'docker run gives its status and its limits' is '67108864 40' docker run --rm --network none --memory 64m --pids-limit 40 bb sh -c 'cd /sys/fs/cgroup && echo $(cat memory.max pids.max)'
	check 'docker run -d starts one' docker run -d --name web --network none --memory 64m bb sleep 1000
	id=$(docker inspect --format '{{.Id}}' web)
	check 'it is a scope below system.slice' is 'active 67108864' sh -c \
		'echo $(systemctl show "docker-$0.scope" --property ActiveState --value) $(systemctl show "docker-$0.scope" --property MemoryMax --value)' "$id"
	check 'docker exec runs one more process' is hello docker exec web echo hello
	check 'docker update reaches the unit' sh -c 'docker update --memory 96m --memory-swap 96m web && systemctl show "docker-$0.scope" --property MemoryMax --value | grep -x 100663296' "$id"
	check 'docker stats read its cgroup' sh -c 'docker stats --no-stream --format "{{.MemUsage}}" web | grep 96MiB'
	check 'docker rm -f removes it' docker rm -f web
	check 'its unit is gone' soon sh -c '[ "$(systemctl show "docker-$0.scope" --property LoadState --value)" = not-found ]' "$id"
	kill "$dockerd" && wait "$dockerd"
}

podman_too
docker_too
done_testing
