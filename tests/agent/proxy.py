"""A small proxy on loopback: CONNECT and forwarding, with a user and a password.

Every name leads to the port that ``hosts`` has for it: names are looked up by the proxy.
"""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

USER, PASSWORD = "node", "s3cret:of@proxy"


class SmallProxy:
    """``asked``: the first line of every request that came, refused ones among them."""

    def __init__(self, hosts: Mapping[str, int], *, open_to_all: bool = False) -> None:
        self.hosts = hosts
        self.asked: list[str] = []
        self.seen: list[bytes] = []
        """What passed from clients in the clear: heads of requests, as they came."""
        self._open = open_to_all
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            head = _head(client)
            if head is not None:
                line, _, rest = head.partition(b"\r\n")
                self.asked.append(line.decode())
                self.seen.append(head)
                if not self._may(rest):
                    client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                                   b"Content-Length: 0\r\nConnection: close\r\n\r\n")  # fmt: skip
                    return
                method, target, _version = line.decode().split(" ")
                if method == "CONNECT":
                    self._tunnel(client, target)
                    return
                self._forward(client, method, target, rest)
                return

    def _may(self, headers: bytes) -> bool:
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode())
        return self._open or b"roxy-authorization: basic " + wanted.lower() in headers.lower()

    def _tunnel(self, client: socket.socket, target: str) -> None:
        port = self.hosts.get(target)
        if port is None:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
            back.start()
            _pump(client, upstream)
            back.join(5)

    def _forward(self, client: socket.socket, method: str, target: str, rest: bytes) -> None:
        parts = urlsplit(target)
        path = target.partition(parts.netloc)[2] or "/"
        length = next((int(one.partition(b":")[2]) for one in rest.split(b"\r\n")
                       if one.lower().startswith(b"content-length:")), 0)  # fmt: skip
        body = b""
        while len(body) < length:
            body += client.recv(65_536)
        lines = [one for one in rest.split(b"\r\n")
                 if not one.lower().startswith((b"proxy-", b"connection:"))]  # fmt: skip
        with socket.create_connection(("127.0.0.1", self.hosts[parts.netloc])) as upstream:
            kept = [one for one in lines if one]
            head = b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *kept, b"Connection: close"])
            upstream.sendall(head + b"\r\n\r\n" + body)
            answer = _head(upstream) or b""
            line, _, headers = answer.partition(b"\r\n")
            client.sendall(line + b"\r\nConnection: close\r\n" + headers)
            _pump(upstream, client)


def _head(client: socket.socket) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            part = client.recv(1)
        except OSError:
            return None
        if not part:
            return None
        data += part
    return data


def _pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while part := one.recv(65_536):
            other.sendall(part)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def small_proxy(hosts: Mapping[str, int], *, open_to_all: bool = False) -> Iterator[SmallProxy]:
    """``hosts``: ``name:port`` as clients ask → port on loopback."""
    proxy = SmallProxy(hosts, open_to_all=open_to_all)
    try:
        yield proxy
    finally:
        proxy.close()
