#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ask.py HULL-REGISTRY HOST REPOSITORY QUESTION: asks hull-registry one question as src/registry/registry.h has it; prints the data, and the
answer last. The status is 1 when that is no "ok"."""
import array
import os
import socket
import subprocess
import sys

program, host, repository, question = sys.argv[1:]
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
child = subprocess.Popen([program, 'serve', str(theirs.fileno()), 'read', 'verified', host, repository], pass_fds=[theirs.fileno()])
theirs.close()
data, data_to = os.pipe()
answer, answer_to = os.pipe()
ours.sendmsg([question.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [data_to, answer_to]))])
os.close(data_to)
os.close(answer_to)
with os.fdopen(data, 'rb') as f:
    sys.stdout.buffer.write(f.read())
with os.fdopen(answer, encoding='utf-8') as f:
    said = f.read()
print('\n' + said)
ours.close()
child.wait()
sys.exit(0 if said.startswith('ok') else 1)
