#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# containerd's CRI plugin drives the runtime as a handler of its own, as Kubernetes does with a RuntimeClass: cri.py is the kubelet.
# shellcheck source=lib.sh
. "$SOURCE/tests/callers/lib.sh"
needs containerd ctr containerd-shim-runc-v2 python3
python3 -c 'import grpc' 2>/dev/null || skip_all 'needs python3-grpcio'

socket=/run/containerd/containerd.sock
networks=none
[ ! -x /usr/lib/cni/ptp ] || [ ! -x /usr/lib/cni/loopback ] || networks=cni
mkdir -p cni logs
cat >cni/10-own.conflist <<END
{"cniVersion": "0.4.0", "name": "own", "plugins": [{"type": "ptp", "ipMasq": false,
 "ipam": {"type": "host-local", "dataDir": "$tmp/ipam", "ranges": [[{"subnet": "10.199.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
cat >containerd.toml <<END
version = 2
root = "$tmp/root.containerd"
state = "/run/containerd"
[grpc]
address = "$socket"
[plugins."io.containerd.internal.v1.opt"]
path = "$tmp/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/library/pause:latest"
restrict_oom_score_adj = true
stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$tmp/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "hull"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.hull]
runtime_type = "io.containerd.runc.v2"
pod_annotations = ["hull.*"]
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.hull.options]
BinaryName = "$RUNTIME"
END
containerd -c containerd.toml -l warn >containerd.log 2>&1 &
short ct "ctr -a $socket -n k8s.io"
make_root
archive bb '["sh"]'
archive pause '["sleep","100000"]'
{ soon ct version && ct image import bb.tar && ct image import pause.tar; } >import.out 2>&1 ||
	{ echo 'Bail out! containerd does not start'; sed 's/^/# /' import.out; tail -n 5 containerd.log | sed 's/^/# /'; exit 1; }
timeout -k 5 300 python3 "$SOURCE/tests/callers/cri.py" $socket hull "$cgroup" "$tmp/logs" $networks >cri.out
bad=$?
grep -v '^1\.\.' cri.out
n=$(grep -cE '^(not )?ok ' cri.out)
check 'the kubelet came to its end' test "$bad" -le 1
check 'the runtime has no state left' is '' sh -c 'ls -A /run/containerd/runc/k8s.io 2>/dev/null'
check 'no cgroup is left' soon cgroups_left
check 'no mount is left' mounts_left
done_testing
