#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""registry.py FOLDER CERTIFICATE KEY: a registry on loopback that behaves as the name of the repository says.

It serves HTTPS at two ports and HTTP at a third; FOLDER/ports gets "main=N other=N plain=N", FOLDER/log a line for each request: which
port, method, path, Range, and what stood in Authorization; FOLDER/connections which port somebody connected to. A repository BEHAVIOUR/VARIANT… has the image that tests/integration/oci-kit makes of
the variants ("layers.3" is layers=3); behaviours are the functions named do_* of the class Lies, and "honest".
"""
import base64
import hashlib
import http.server
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
INDEX = 'application/vnd.oci.image.index.v1+json'
KIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'integration', 'oci-kit')
FOLDER = sys.argv[1]
PORTS = {}
USER = 'Basic ' + base64.b64encode(b'me:secret').decode()
lock = threading.Lock()
counts = {}


def image(variants):
    """The folder of an OCI layout."""
    out = os.path.join(FOLDER, 'images', '_'.join(variants) or 'plain')
    with lock:
        if not os.path.exists(out):
            arch = {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(os.uname().machine, os.uname().machine)
            subprocess.run([KIT, out, 'arch=' + arch] + [re.sub(r'\.', '=', v, count=1) for v in variants], check=True)
    return out


def once(key, times=1):
    """Whether this was asked for at most so often."""
    with lock:
        counts[key] = counts.get(key, 0) + 1
        return counts[key] <= times


class Lies:
    """Each takes the handler and what would be answered, and answers itself or returns False."""

    def do_redirect(self, h, kind, body, media):
        return kind == 'blob' and h.redirect(f'https://127.0.0.1:{PORTS["other"]}' + h.path.replace('/redirect/', '/away/'))

    def do_redirect_down(self, h, kind, body, media):
        return kind == 'blob' and h.redirect(f'http://127.0.0.1:{PORTS["plain"]}' + h.path.replace('/redirect_down/', '/away/'))

    def do_redirect_loop(self, h, kind, body, media):
        return kind == 'blob' and h.redirect(h.path)

    def do_redirect_file(self, h, kind, body, media):
        return kind == 'blob' and h.redirect('file:///etc/passwd')

    def do_token(self, h, kind, body, media):
        return not h.has_token(f'https://localhost:{PORTS["main"]}/token')

    def do_token_redirect(self, h, kind, body, media):
        if not h.has_token(f'https://localhost:{PORTS["main"]}/token'):
            return True
        return kind == 'blob' and h.redirect(f'https://127.0.0.1:{PORTS["other"]}' + h.path.replace('/token_redirect/', '/away/'))

    def do_basic(self, h, kind, body, media):
        return h.headers.get('Authorization') != USER and h.refuse('Basic realm="here"')

    def do_realm_other(self, h, kind, body, media):
        return not h.has_token(f'https://127.0.0.1:{PORTS["other"]}/token')

    def do_realm_plain(self, h, kind, body, media):
        return not h.has_token(f'http://localhost:{PORTS["plain"]}/token')

    def do_auth_loop(self, h, kind, body, media):
        return h.refuse(f'Bearer realm="https://localhost:{PORTS["main"]}/token",service="x"')

    def do_auth_odd(self, h, kind, body, media):
        return h.refuse('Bearer realm="unfinished')

    def do_digest_header(self, h, kind, body, media):
        return kind == 'manifest' and h.answer(200, body, media, {'Docker-Content-Digest': 'sha256:' + '0' * 64})

    def do_type_header(self, h, kind, body, media):
        return kind == 'manifest' and media != INDEX and h.answer(200, body, INDEX)

    def do_blob_flipped(self, h, kind, body, media):
        return kind == 'blob' and h.answer(200, body[:-1] + bytes([body[-1] ^ 1]), media)

    def do_blob_flipped_once(self, h, kind, body, media):
        """Half of a wrong blob, and then the right one."""
        if kind == 'blob' and once(h.path):
            return h.stop_after(bytes(len(body)), len(body) // 2, then=1)
        return kind == 'blob' and h.ranged(body)

    def do_blob_short(self, h, kind, body, media):
        return kind == 'blob' and h.answer(200, body[:-10], media)

    def do_blob_long(self, h, kind, body, media):
        return kind == 'blob' and h.answer(200, body + b'x' * 10, media)

    def do_blob_endless(self, h, kind, body, media):
        return kind == 'blob' and h.endless(body)

    def do_manifest_endless(self, h, kind, body, media):
        return kind == 'manifest' and h.endless(b' ' * 1000)

    def do_manifest_drips(self, h, kind, body, media):
        return kind == 'manifest' and h.endless(b' ' * 500, pause=0.2)

    def do_manifest_huge(self, h, kind, body, media):
        return kind == 'manifest' and h.answer(200, b' ' * (100 << 20), media)

    def do_headers_endless(self, h, kind, body, media):
        h.send_response(200)
        h.flush_headers()
        while True:
            h.wfile.write(b'X-More: ' + b'x' * 1000 + b'\r\n')

    def do_error_endless(self, h, kind, body, media):
        return h.endless(b'x' * 1000, status=404)

    def do_slow(self, h, kind, body, media):
        return kind == 'blob' and h.slowly(body)

    def do_slow_headers(self, h, kind, body, media):
        for c in b'HTTP/1.1 200 OK\r\nX-Slow: ' + b'x' * 10000:
            h.wfile.write(bytes([c]))
            time.sleep(0.2)

    def do_breaks(self, h, kind, body, media):
        """Each answer to a blob stops after a third of it; Range is honoured."""
        return kind == 'blob' and h.ranged(body, stop=len(body) // 3 + 1)

    def do_breaks_always(self, h, kind, body, media):
        """Half of a large blob comes, and never more."""
        return kind == 'blob' and len(body) > 10000 and h.stop_after(body, max(0, len(body) // 2 - h.range_start()), start=h.range_start())

    def do_range_ignored(self, h, kind, body, media):
        if kind == 'blob' and once(h.path):
            return h.stop_after(body, len(body) // 2)
        return kind == 'blob' and h.answer(200, body, media)

    def do_range_wrong(self, h, kind, body, media):
        if kind == 'blob' and once(h.path):
            return h.stop_after(body, len(body) // 2)
        return kind == 'blob' and h.answer(206, body[1:], media, {'Content-Range': f'bytes 1-{len(body) - 1}/{len(body)}'})

    def do_busy(self, h, kind, body, media):
        return once(h.path, 2) and h.answer(429, b'{}', 'application/json', {'Retry-After': '1'})

    def do_busy_long(self, h, kind, body, media):
        return h.answer(503, b'{}', 'application/json', {'Retry-After': '3600'})

    def do_gone(self, h, kind, body, media):
        return h.answer(404, json.dumps({'errors': [{'code': 'X', 'message': 'no \x1b[31m such\nthing'}]}).encode(), 'application/json')

    def do_packed(self, h, kind, body, media):
        import gzip
        return kind == 'manifest' and h.answer(200, gzip.compress(body), media, {'Content-Encoding': 'gzip'})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def note(self):
        with lock, open(os.path.join(FOLDER, 'log'), 'a', encoding='utf-8') as f:
            f.write(f'{self.server.called} {self.command} {self.path} {self.headers.get("Range", "-")} {self.headers.get("Authorization", "-")}\n')

    def answer(self, status, body, media, more=None):
        self.send_response(status)
        self.send_header('Content-Type', media)
        self.send_header('Content-Length', str(len(body)))
        for key, value in (more or {}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)
        return True

    def redirect(self, to):
        return self.answer(307, b'', 'text/plain', {'Location': to})

    def refuse(self, challenge):
        return self.answer(401, b'{}', 'application/json', {'WWW-Authenticate': challenge})

    def has_token(self, realm):
        if self.headers.get('Authorization') == 'Bearer good':
            return True
        self.refuse(f'Bearer realm="{realm}",service="kit, the",scope="repository:x:pull"')
        return False

    def token(self):
        if self.headers.get('Authorization') not in (USER, None):
            return self.answer(401, b'{}', 'application/json')
        return self.answer(200, json.dumps({'token': 'good'}).encode(), 'application/json')

    def range_start(self):
        found = re.match(r'bytes=(\d+)-', self.headers.get('Range', ''))
        return int(found[1]) if found else 0

    def ranged(self, body, stop=None):
        start = self.range_start()
        return self.stop_after(body, min(stop or len(body), len(body) - start), start)

    def stop_after(self, body, n, start=0, then=0):
        """n bytes from start of an answer that announces all."""
        self.send_response(206 if start else 200)
        if start:
            self.send_header('Content-Range', f'bytes {start}-{len(body) - 1}/{len(body)}')
        self.send_header('Content-Length', str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:start + n])
        self.close_connection = n < len(body) - start
        return True

    def endless(self, body, status=200, pause=0):
        self.send_response(status)
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        while True:
            self.wfile.write(b'%x\r\n%s\r\n' % (len(body), body))
            time.sleep(pause)

    def slowly(self, body):
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        for c in body:
            self.wfile.write(bytes([c]))
            time.sleep(0.1)
        return True

    def find(self, rest):
        """Kind, body and media type of what a path below /v2/NAME/ means."""
        name, kind, what = re.fullmatch(r'([a-z0-9_./-]+)/(manifests|blobs)/(.+)', rest).groups()
        behaviour, *variants = name.split('/')
        top = image(variants)
        if kind == 'manifests' and not what.startswith('sha256:'):
            with open(os.path.join(top, 'index.json'), 'rb') as f:
                body = f.read()
            index = json.loads(body)
            if len(index['manifests']) > 1 or 'layers' in index:
                return behaviour, 'manifest', body, INDEX
            what = index['manifests'][0]['digest']
        with open(os.path.join(top, 'blobs', 'sha256', os.path.basename(what.split(':')[1])), 'rb') as f:
            body = f.read()
        if kind == 'blobs':
            return behaviour, 'blob', body, 'application/octet-stream'
        try:
            doc = json.loads(body)
        except ValueError:
            doc = {}
        return behaviour, 'manifest', body, doc.get('mediaType', INDEX if 'manifests' in doc else MANIFEST)

    def do_GET(self):
        self.note()
        path = urllib.parse.urlparse(self.path).path
        try:
            if path == '/token':
                return self.token()
            if path == '/v1/search':
                found = [{'name': 'kit/\x1b[31m' + self.path.split('q=')[1], 'description': 'one\ntwo', 'star_count': 3, 'is_official': True}]
                return self.answer(200, json.dumps({'results': found}).encode(), 'application/json')
            if path in ('/v2/', '/v2'):
                return self.answer(200, b'{}', 'application/json')
            if path.startswith('/v2/refers/referrers/'):
                return self.answer(200, b'{"schemaVersion": 2, "manifests": []}', INDEX)
            behaviour, kind, body, media = self.find(path[len('/v2/'):])
            done = getattr(Lies, 'do_' + behaviour, lambda *args: False)(None, self, kind, body, media)
            if not done:
                self.answer(200, body, media, {'Docker-Content-Digest': 'sha256:' + hashlib.sha256(body).hexdigest()})
        except (FileNotFoundError, AttributeError):
            self.answer(404, b'{"errors": [{"code": "NAME_UNKNOWN", "message": "no such thing"}]}', 'application/json')
        except OSError:
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def verify_request(self, request, client_address):
        with lock, open(os.path.join(FOLDER, 'connections'), 'a', encoding='utf-8') as f:
            f.write(self.called + '\n')
        return True

    def handle_error(self, request, client_address):
        pass


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    for called in ('main', 'other', 'plain'):
        server = Server(('127.0.0.1', 0), Handler)
        server.called = called
        if called != 'plain':
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        PORTS[called] = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(os.path.join(FOLDER, 'ports.new'), 'w', encoding='utf-8') as f:
        f.write(' '.join(f'{key}={value}' for key, value in PORTS.items()) + '\n')
    os.rename(os.path.join(FOLDER, 'ports.new'), os.path.join(FOLDER, 'ports'))
    while True:
        time.sleep(3600)


main()
