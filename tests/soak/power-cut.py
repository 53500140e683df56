#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""power-cut.py HULL FOLDER SEED SECONDS [REGISTRY]: what a power cut leaves of the store, at any moment of import, load, pull, tag, sign, rmi
and prune. REGISTRY is "localhost:PORT" of a tests/lib/registry.py that speaks plain HTTP; without it nothing is pulled.

Each command runs under strace, which gives the log of everything that is written, named and synced in the store. The log is replayed into a
model of a disk that keeps its word and no more: a file's bytes are durable once the file was synced, a name once its folder was. For moments
of the log (each sync, each change of a name) several disks are made: with nothing that was not synced; with all names but only synced bytes;
with all; and with a random part. On each of them `hull system check` must find nothing, every image whose command had ended must be there,
what was to be pulled can be pulled, whatever is left of a blob, and a collection must leave no unknown file. Each command has its share of the
time, and one cut at least; what comes behind that is followed, but not cut. TAP on standard output.
"""
import os
import random
import re
import shutil
import subprocess
import sys
import time

HULL, TOP, SEED, SECONDS = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
REGISTRY = sys.argv[5] if len(sys.argv) > 5 else None
PULL = ['pull', '-q', '--tls-verify=false', f'{REGISTRY}/honest/layers.2/kib.100']
STORE = os.path.join(TOP, 'store')
CALLS = ('openat,open,creat,write,pwrite64,writev,ftruncate,truncate,fallocate,lseek,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,'
         'mkdir,mkdirat,fsync,fdatasync,sync,syncfs,symlinkat,copy_file_range,sendfile,pwritev')
LINE = re.compile(r'^(\d+)\s+(.*)$')
CALL = re.compile(r'^(\w+)\((.*)\)\s+=\s+(-?\d+)(<.*>)?')


class Inode:
    """A file or folder: what is there, and what is durable of it."""

    def __init__(self, folder):
        self.folder = folder
        self.names, self.kept_names = {}, {}  # of a folder: name -> Inode
        self.pending = []  # changes since the last sync: ('w', at, bytes), ('t', size); of a folder (name, Inode or None)
        self.kept = bytearray()  # durable content
        self.at = 0  # of the descriptor that writes

    def content(self, part):
        data = bytearray(self.kept)
        for change in part:
            if change[0] == 't':
                data = data[:change[1]] + bytes(max(0, change[1] - len(data)))
            else:
                _, at, more = change
                if len(data) < at:
                    data += bytes(at - len(data))
                data[at:at + len(more)] = more
        return data

    def sync(self):
        if self.folder:
            self.kept_names = dict(self.names)
        else:
            self.kept = self.content(self.pending)
        self.pending = []

    def set(self, name, inode):
        self.pending.append((name, inode))
        if inode is None:
            self.names.pop(name, None)
        else:
            self.names[name] = inode


def unescape(text):
    return re.sub(rb'\\x([0-9a-f]{2})', lambda m: bytes([int(m[1], 16)]), text.encode()) if '\\x' in text else text.encode()


class Disk:
    def __init__(self):
        self.root = Inode(True)
        self.unknown = set()

    def find(self, path):
        """(folder, last name, inode or None) of a path below the store; None elsewhere."""
        path = os.path.normpath(path)
        if path != STORE and not path.startswith(STORE + '/'):
            return None
        if '/run/' in path[len(STORE):] + '/' and path[len(STORE):].startswith('/run'):
            return None  # does not outlive the boot
        parts = [p for p in path[len(STORE):].split('/') if p]
        if not parts:
            return None, '', self.root
        at = self.root
        for part in parts[:-1]:
            at = at.names.get(part)
            if at is None:
                return None
        return at, parts[-1], at.names.get(parts[-1])


def arguments(text):
    """The arguments of a call: strings as bytes, descriptors as ('fd', path), the rest as text."""
    out = []
    for m in re.finditer(r'\s*(?:"((?:\\.|[^"\\])*)"(?:\.\.\.)?|(AT_FDCWD|-?\d+)<((?:\\.|[^>\\])*)>(?:\(deleted\))?|([^,"<\s][^,"<]*))', text):
        if m[1] is not None:
            out.append(unescape(m[1]))
        elif m[2] is not None:
            out.append(('fd', unescape(m[3]).decode(errors='replace')))
        elif m[4].strip():
            out.append(m[4].strip())
    return out


def join(at, name):
    base = at[1] if isinstance(at, tuple) else TOP
    return os.path.join(base, name.decode(errors='replace'))


def open_file(disk, args, flags, created):
    place = disk.find(created)
    if not place or place[0] is None:
        return None
    folder, name, inode = place
    if 'O_TMPFILE' in flags or 'O_DIRECTORY' in flags:
        return None
    if inode is None:
        if 'O_CREAT' not in flags:
            return None
        folder.set(name, Inode(False))
        return 'name'
    if 'O_TRUNC' in flags:
        inode.pending.append(('t', 0))
    if 'O_WRONLY' in flags or 'O_RDWR' in flags:
        inode.at = 0
    return None


def apply(disk, call, args, value):
    """Changes the disk by one call; answers 'name', 'write' or 'sync' for what it was, or None."""
    if call == 'openat':
        return open_file(disk, args, str(args[2:]), join(args[0], args[1]))
    if call == 'open':
        return open_file(disk, args, str(args[1:]), os.path.join(TOP, args[0].decode()))
    if call in ('write', 'pwrite64', 'ftruncate', 'fsync', 'fdatasync', 'fallocate', 'lseek'):
        place = disk.find(args[0][1]) if isinstance(args[0], tuple) else None
        if not place or place[2] is None:
            return None
        return apply_file(place[2], call, args, value)
    if call in ('mkdirat', 'mkdir'):
        path = join(args[0], args[1]) if call == 'mkdirat' else os.path.join(TOP, args[0].decode())
        place = disk.find(path)
        if place and place[0] is not None:
            place[0].set(place[1], Inode(True))
            return 'name'
    if call in ('unlinkat', 'unlink', 'rmdir'):
        path = join(args[0], args[1]) if call == 'unlinkat' else os.path.join(TOP, args[0].decode())
        place = disk.find(path)
        if place and place[2] is not None:
            place[0].set(place[1], None)
            return 'name'
    if call in ('linkat', 'renameat', 'renameat2', 'rename', 'link'):
        at = call.endswith(('at', 'at2'))
        return move(disk, call, join(args[0], args[1]) if at else os.path.join(TOP, args[0].decode()),
                    join(args[2], args[3]) if at else os.path.join(TOP, args[1].decode()))
    if call in ('writev', 'pwritev', 'copy_file_range', 'sendfile', 'symlinkat'):
        place = disk.find(args[0][1]) if isinstance(args[0], tuple) else None
        if place and place[2] is not None:
            disk.unknown.add(call)
    return None


def apply_file(inode, call, args, value):
    if call == 'lseek':
        inode.at = value
        return None
    if call in ('fsync', 'fdatasync'):
        inode.sync()
        return 'sync'
    if call == 'ftruncate':
        inode.pending.append(('t', int(args[1])))
    elif call == 'write':
        inode.pending.append(('w', inode.at, args[1][:value]))
        inode.at += value
    elif call == 'pwrite64':
        inode.pending.append(('w', int(args[3]), args[1][:value]))
    return 'write'


def move(disk, call, source, target):
    a, b = disk.find(source), disk.find(target)
    if not b or b[0] is None or not a or a[2] is None:
        return None
    b[0].set(b[1], a[2])
    if call.startswith('rename'):
        a[0].set(a[1], None)
    return 'name'


# --- disks after a cut ---

def write_out(inode, path, names_of, part_of):
    if inode.folder:
        os.makedirs(path, exist_ok=True)
        for name, child in names_of(inode).items():
            if not name.startswith('db-shm') and not (inode.folder and name == 'run'):
                write_out(child, os.path.join(path, name), names_of, part_of)
        return
    with open(path, 'wb') as f:
        data = inode.content(part_of(inode))
        f.truncate(len(data))
        for at in range(0, len(data), 65536):
            piece = data[at:at + 65536]
            if piece.count(0) != len(piece):
                f.seek(at)
                f.write(piece)


def some_names(rng):
    def of(inode):
        names = dict(inode.kept_names)
        for name, child in inode.pending[:rng.randint(0, len(inode.pending))]:
            if child is None:
                names.pop(name, None)
            else:
                names[name] = child
        return names
    return of


VARIANTS = {
    'only what was synced': lambda rng: (lambda i: i.kept_names, lambda i: []),
    'all names, only synced bytes': lambda rng: (lambda i: i.names, lambda i: []),
    'all': lambda rng: (lambda i: i.names, lambda i: i.pending),
    'a random part': lambda rng: (some_names(rng), lambda i: [c for c in i.pending if rng.random() < 0.6]),
    'names in order, random bytes': lambda rng: (lambda i: i.names, lambda i: [c for c in i.pending if rng.random() < 0.5]),
}


def hull(root, *words):
    return subprocess.run([HULL, *words], env={**os.environ, 'HULL_ROOT': root}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, check=False)


def judge(root, promised, thorough):
    """What is wrong with the store in root, or None."""
    r = hull(root, 'system', 'check')
    if r.returncode or r.stdout:
        return f'check: status {r.returncode}: {r.stdout}{r.stderr}'
    for name, want in promised.items():
        if name.startswith('signed '):
            r = hull(root, 'image', 'verify', '--key', os.path.join(TOP, 'k.pub'), name[7:])
            if r.returncode:
                return f'{name}: {r.stdout}{r.stderr}'
            continue
        r = hull(root, 'image', 'inspect', '--format', '{{.Id}}', name)
        if r.stdout.strip() != want:
            return f'{name} is not there: {r.stdout}{r.stderr}'
    if not thorough:
        return None
    for words in (['image', 'import', os.path.join(TOP, 'layout'), 'again:1'], PULL if REGISTRY else ['images']):
        r = hull(root, *words)
        if r.returncode:
            return f'{" ".join(words)}: {r.stderr}'
    r = hull(root, 'image', 'prune')
    left = [n for n in os.listdir(os.path.join(root, 'tmp'))]
    known = set(hull(root, 'image', 'inspect', '--format', '{{join .LayerFiles "\\n"}}',
                     *hull(root, 'images', '-q', '--no-trunc').stdout.split()).stdout.split('\n'))
    unknown = [n for n in os.listdir(os.path.join(root, 'layers')) if os.path.join(root, 'layers', n) not in known]
    if left or unknown:
        return f'left: {left} {unknown}'
    r = hull(root, 'system', 'check')
    return f'check afterwards: {r.stdout}{r.stderr}' if r.returncode or r.stdout else None


# --- the run ---

def read_log(path):
    """The calls of a log in the order in which they ended: (name, arguments, value)."""
    begun = {}
    with open(path, encoding='latin-1') as f:
        for line in f:
            m = LINE.match(line)
            if not m:
                continue
            pid, text = m[1], m[2]
            if text.endswith('<unfinished ...>'):
                begun[pid] = text[:-len('<unfinished ...>')].rstrip()
                continue
            resumed = re.match(r'<\.\.\. \w+ resumed>(.*)$', text)
            if resumed:
                text = begun.pop(pid, '') + resumed[1]
            m = CALL.match(text)
            if m and int(m[3]) >= 0:
                yield m[1], arguments(m[2]), int(m[3])


def commands():
    """What is run: words, the image that is promised afterwards, or is let go from its beginning on."""
    yield ['image', 'import', 'layout', 'a:1'], 'a:1', None
    yield ['load', '-i', 'saved.tar'], 's:1', None
    yield ['image', 'import', 'root', 'f:1'], 'f:1', None
    yield ['image', 'import', 'waiting', 'w:1'], 'w:1', None
    if REGISTRY:
        yield PULL, PULL[-1], None
    yield ['tag', 'a:1', 'a:2'], None, None
    yield ['image', 'sign', '--key', 'k.key', 's:1'], 'signed s:1', None
    yield ['image', 'sign', '--key', 'k2.key', 's:1'], None, None
    yield ['rmi', 'f:1'], None, 'f:1'
    yield ['image', 'import', 'root.tar', 'a:1'], 'a:1', 'a:1'
    yield ['rmi', 'w:1'], None, 'w:1'
    yield ['image', 'prune'], None, None


def cut(disk, rng, promised, kind):
    """Judges disks of this moment: how many, and what is wrong with the last of them (its variant, and words) or None."""
    tried = 0
    for variant, make in VARIANTS.items():
        # every sync with nothing but synced, and a share of the others
        if rng.random() < (1 if kind == 'sync' and variant.startswith('only') else 0.25):
            root = os.path.join(TOP, 'cut')
            shutil.rmtree(root, ignore_errors=True)
            write_out(disk.root, root, *make(rng))
            tried += 1
            wrong = judge(root, promised, rng.random() < 0.1)
            if wrong:
                return tried, (variant, wrong)
    return tried, None


def main():
    rng = random.Random(SEED)
    end = time.time() + SECONDS
    os.chdir(TOP)
    disk, promised, moments, tried = Disk(), {}, 0, 0
    script = list(commands())
    for number, (words, gives, takes) in enumerate(script):
        promised.pop(takes, None)
        before = moments
        log = os.path.join(TOP, 'log')
        subprocess.run(['strace', '-f', '-y', '-xx', '-s', '67108864', '-o', log, '-e', 'trace=' + CALLS, '-e', 'signal=none', HULL, *words],
                       env={**os.environ, 'HULL_ROOT': STORE}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        share = time.time() + (end - time.time()) / (len(script) - number)
        for call, args, value in read_log(log):
            kind = apply(disk, call, args, value)
            if (time.time() > share and moments > before) or not (kind in ('name', 'sync') or (kind == 'write' and rng.random() < 0.1)):
                continue
            moments += 1
            more, wrong = cut(disk, rng, promised, kind)
            tried += more
            if wrong:
                print(f'not ok 1 - a power cut at any moment leaves a sound store\n# {" ".join(words)}: behind {call} '
                      f'{[a[:80] if isinstance(a, bytes) else a for a in args]}, {wrong[0]} (SEED={SEED})')
                print(''.join(f'#   {line}\n' for line in wrong[1].splitlines()) + '1..1')
                return 1
        if gives and gives.startswith('signed '):
            promised[gives] = ''
        elif gives:
            promised[gives] = hull(STORE, 'image', 'inspect', '--format', '{{.Id}}', gives).stdout.strip()
        if disk.unknown:
            print(f'Bail out! calls that the model does not know: {disk.unknown}')
            return 1
        if not same(disk):
            print('Bail out! the model has lost track of the store')
            return 1
    print(f'ok 1 - a power cut at any moment leaves a sound store\n# {moments} moments, {tried} disks (SEED={SEED})\n1..1')
    return 0


def same(disk):
    """Whether the model holds what the real store holds, so that it is known to have seen everything."""
    root = os.path.join(TOP, 'cut')
    shutil.rmtree(root, ignore_errors=True)
    write_out(disk.root, root, *VARIANTS['all'](None))
    r = subprocess.run(['diff', '-r', '--exclude=run', '--exclude=db-shm', root, STORE], capture_output=True, text=True, check=False)
    if r.stdout:
        print('\n'.join('# ' + line for line in r.stdout.splitlines()[:20]))
    return r.returncode == 0


sys.exit(main())
