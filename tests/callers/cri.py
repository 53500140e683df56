#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cri.py SOCKET HANDLER CGROUP LOGS: what a kubelet asks of containerd by CRI, with a RuntimeClass handler, in TAP.

Messages are written by hand: a dict of field numbers, the values being texts, numbers, dicts or lists of them. The numbers are those of
Kubernetes' runtime/v1 interface.
"""
import os
import sys
import time

import grpc

IMAGE, POD_NETWORK, NODE_NETWORK, CONTAINER_PIDS = 'docker.io/library/bb:latest', 0, 2, 1
RUNNING, EXITED = 1, 2


def varint(n):
    n &= (1 << 64) - 1
    out = b''
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def encode(message):
    out = b''
    for field, value in message.items():
        for v in value if isinstance(value, list) else [value]:
            if isinstance(v, int):
                out += varint(field << 3) + varint(v)
                continue
            data = encode(v) if isinstance(v, dict) else v.encode() if isinstance(v, str) else v
            out += varint(field << 3 | 2) + varint(len(data)) + data
    return out


def number(data, at):
    n = shift = 0
    while True:
        n |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return n, at


def decode(data):
    """The fields of a message, the last of each: numbers, and bytes for all else."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = number(data, at)
        if tag & 7 == 0:
            fields[tag >> 3], at = number(data, at)
        elif tag & 7 == 2:
            size, at = number(data, at)
            fields[tag >> 3] = data[at:at + size]
            at += size
        else:
            raise ValueError(f'wire type {tag & 7}')
    return fields


def signed(n):
    n &= (1 << 64) - 1
    return n - (1 << 64) if n >> 63 else n


class Cri:
    def __init__(self, socket, handler, cgroup, logs):
        self.channel = grpc.insecure_channel('unix://' + socket)
        self.handler, self.cgroup, self.logs = handler, cgroup, logs

    def ask(self, method, message, seconds=60):
        call = self.channel.unary_unary('/runtime.v1.RuntimeService/' + method, request_serializer=encode, response_deserializer=decode)
        return call(message, timeout=seconds)

    def sandbox(self, name, network):
        options = {1: network, 2: CONTAINER_PIDS}
        config = {1: {1: name, 2: name + '-uid', 3: 'default', 4: 0}, 2: '' if network == NODE_NETWORK else name, 3: self.logs,
                  6: {1: 'app', 2: name}, 7: {1: 'hull.test', 2: 'yes'}, 8: {1: '/' + self.cgroup, 2: {1: options}}}
        return self.ask('RunPodSandbox', {1: config, 2: self.handler})[1].decode(), config

    def container(self, sandbox, name, command, **more):
        pod, config = sandbox
        linux = {1: {1: 100000, 2: more.get('quota', 0), 4: more.get('memory', 0)},
                 2: {3: {1: config[8][2][1][1], 2: CONTAINER_PIDS}, 7: int(more.get('read_only', False))}}
        wanted = {1: {1: name, 2: 0}, 2: {1: IMAGE}, 3: command, 6: [{1: 'GIVEN', 2: 'yes'}], 11: name + '.log', 15: linux}
        if 'mounts' in more:
            wanted[7] = more['mounts']
        return self.ask('CreateContainer', {1: pod, 2: wanted, 3: config})[1].decode()

    def start(self, *words, **more):
        id = self.container(*words, **more)
        self.ask('StartContainer', {1: id})
        return id

    def status(self, id):
        """(state, exit code)"""
        fields = decode(self.ask('ContainerStatus', {1: id})[1])
        return fields.get(3, 0), signed(fields.get(7, 0))

    def run(self, id, *command):
        """(standard output, exit code)"""
        answer = self.ask('ExecSync', {1: id, 2: list(command), 3: 30})
        return answer.get(1, b'').decode().strip(), signed(answer.get(3, 0))

    def log(self, name):
        with open(os.path.join(self.logs, name + '.log'), encoding='utf-8') as f:
            return f.read()


class Tap:
    def __init__(self):
        self.n = self.bad = 0

    def check(self, name, test):
        """test() gives what is there and what is wanted; any exception is a failure."""
        self.n += 1
        try:
            got, wanted = test()
            why = '' if got == wanted else f'wanted {wanted!r}, got {got!r}'
        except Exception as e:  # grpc's are many
            why = f'{type(e).__name__}: {e}'
        print(('not ok' if why else 'ok'), self.n, '-', name, flush=True)
        if why:
            self.bad += 1
            print('# ' + why.replace('\n', '\n# '), flush=True)


def soon(test):
    """Until it gives what is wanted, for twenty seconds."""
    def patient():
        for _ in range(100):
            got, wanted = test()
            if got == wanted:
                break
            time.sleep(0.2)
        return got, wanted
    return patient


LIMIT = 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'
QUOTA = 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d " " -f 1 /sys/fs/cgroup/cpu.max'


def pod_life(tap, cri, network, share):
    where = 'on the node\'s network' if network == NODE_NETWORK else 'with a network of its own'
    made = {}

    def make():
        made['pod'] = cri.sandbox(f'pod{network}', network)
        return decode(cri.ask('PodSandboxStatus', {1: made['pod'][0]})[1]).get(3, 0), 0
    tap.check(f'a pod {where} is ready', make)
    if not made:
        return
    pod = made['pod']

    def first():
        mount = {1: '/in', 2: share}
        made['web'] = cri.start(pod, f'web{network}', ['sh', '-c', 'echo ready; echo problem >&2; trap "echo bye; exit 7" TERM; httpd -p 8097 -h /data; '
                                                       'while :; do sleep 0.1; done'], memory=64 << 20, quota=50000, mounts=[mount])
        return cri.status(made['web'])[0], RUNNING
    tap.check('a container in it runs', first)
    if 'web' not in made:
        return
    web = made['web']

    def more():
        made['other'] = cri.start(pod, f'other{network}', ['sleep', '1000'], read_only=True)
        return cri.status(made['other'])[0], RUNNING
    tap.check('so does another', more)
    tap.check('what the first wrote is in its log', soon(lambda: (' stdout F ready' in cri.log(f'web{network}'), True)))
    tap.check('its standard error is kept apart', soon(lambda: (' stderr F problem' in cri.log(f'web{network}'), True)))
    tap.check('exec runs one more process', lambda: (cri.run(web, 'echo', 'hello'), ('hello', 0)))
    tap.check('exec gives the exit status', lambda: (cri.run(web, 'sh', '-c', 'exit 5')[1], 5))
    tap.check('its variable is there', lambda: (cri.run(web, 'sh', '-c', 'echo $GIVEN')[0], 'yes'))
    tap.check('its mount is there', lambda: (cri.run(web, 'cat', '/in/note')[0], 'from-host'))
    tap.check('its memory is limited', lambda: (cri.run(web, 'sh', '-c', LIMIT)[0], str(64 << 20)))
    tap.check('its processors are limited', lambda: (cri.run(web, 'sh', '-c', QUOTA)[0], '50000'))
    tap.check('the containers of a pod have one network', soon(lambda: (cri.run(made['other'], 'wget', '-q', '-O', '-', 'http://127.0.0.1:8097/file')[0], 'from-image')))
    tap.check('each has processes of its own', lambda: ('httpd' in cri.run(made['other'], 'ps')[0], False))
    tap.check('the root of the other is read-only', lambda: (cri.run(made['other'], 'touch', '/file')[1], 1))

    def update():
        cri.ask('UpdateContainerResources', {1: web, 2: {4: 96 << 20}})
        return cri.run(web, 'sh', '-c', LIMIT)[0], str(96 << 20)
    tap.check('update changes its memory', update)
    tap.check('stats show its memory', lambda: (signed(decode(decode(decode(cri.ask('ContainerStats', {1: web})[1])[3])[2])[1]) > 0, True))

    def stop():
        cri.ask('StopContainer', {1: web, 2: 10})
        return cri.status(web), (EXITED, 7)
    tap.check('stop sends TERM, and its status is kept', stop)
    tap.check('a container that ends by itself keeps its status',
              lambda: (soon(lambda id=cri.start(pod, f'short{network}', ['sh', '-c', 'exit 3']): (cri.status(id), (EXITED, 3)))()[0], (EXITED, 3)))

    def missing():
        try:
            cri.start(pod, f'missing{network}', ['no-such-program'])
        except grpc.RpcError as e:
            return 'no-such-program' in e.details(), True
        return 'started', 'refused'
    tap.check('a program that is not there is told', missing)

    def remove():
        cri.ask('RemoveContainer', {1: web})
        cri.ask('StopPodSandbox', {1: pod[0]})
        cri.ask('RemovePodSandbox', {1: pod[0]})
        return cri.ask('ListPodSandbox', {}), {}
    tap.check('the pod is removed with all that is in it', remove)
    tap.check('no container is left', lambda: (cri.ask('ListContainers', {}), {}))


def main():
    socket, handler, cgroup, logs, networks = sys.argv[1:]
    os.makedirs(os.path.join(logs, 'share'), exist_ok=True)
    share = os.path.join(logs, 'share')
    with open(os.path.join(share, 'note'), 'w', encoding='utf-8') as f:
        f.write('from-host\n')
    tap = Tap()
    cri = Cri(socket, handler, cgroup, logs)
    tap.check('the runtime answers', soon(lambda: (cri.ask('Version', {})[2], b'containerd')))
    pod_life(tap, cri, NODE_NETWORK, share)
    if networks == 'cni':
        pod_life(tap, cri, POD_NETWORK, share)
    else:
        tap.n += 1
        print(f'ok {tap.n} - a pod with a network of its own # SKIP needs containernetworking-plugins')
    try:
        cri.handler = 'nobody'
        cri.sandbox('unknown', NODE_NETWORK)
        refused = False
    except grpc.RpcError:
        refused = True
    tap.check('a handler that is not configured is refused', lambda: (refused, True))
    print(f'1..{tap.n}')
    return int(bool(tap.bad))


sys.exit(main())
