"""Programs that talk HTTP over TLS or not, to be run as processes of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certificate(target: Path) -> Path:
    key = target.with_suffix(".key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(target), "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    target.write_bytes(target.read_bytes() + key.read_bytes())
    return target


_SERVER = """
import http.server, ssl, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"answer to " + self.path.encode()
        if self.path.startswith("/big"):
            body += b"x" * int(self.path.split("/")[2])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()
    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer((sys.argv[1], 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def python_server(host: str = "127.0.0.1", pem: Path | None = None) -> list[str]:
    """Prints its port, then answers every path with ``answer to PATH``.

    ``/big/N/…`` adds N letters. Run by Debian's Python, which links libssl dynamically.
    """
    return ["/usr/bin/python3", "-c", _SERVER, host, *([str(pem)] if pem else [])]


_PROXY = """
import socket, threading

def copy(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)

def tunnel(client):
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        head += client.recv(4096)
    host, port = head.split()[1].rsplit(b":", 1)
    server = socket.create_connection((host, int(port)))
    client.sendall(b"HTTP/1.1 200 Connection established\\r\\n\\r\\n")
    threading.Thread(target=copy, args=(server, client)).start()
    copy(client, server)

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=tunnel, args=(listener.accept()[0],)).start()
"""


def connect_proxy() -> list[str]:
    """Prints its port, then tunnels every ``CONNECT``."""
    return ["/usr/bin/python3", "-c", _PROXY]
