"""A client and a server that exchange small HTTPS messages at a steady rate.

``python -m bench.load server ADDRESS PORT CERTIFICATE KEY`` serves until it is ended;
``python -m bench.load client ADDRESS PORT CA RATE SECONDS`` keeps two connections busy.
Each prints what it exchanged and the CPU time that it used meanwhile, as JSON; the server
once for every connection that closes. Both do as little as HTTP allows: what is added to
them shows.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from typing import Final

_RESPONSE: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: bench\r\n"
    b"Content-Length: 11\r\n\r\n"
    b'{"ok":true}'
)
_CONNECTIONS: Final = 2
_BURST_SECONDS: Final = 0.01


def serve(address: str, port: int, certificate: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server((address, port)) as listener:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_answer, args=(context, connection), daemon=True).start()


def _answer(context: ssl.SSLContext, connection: socket.socket) -> None:
    began, exchanges = time.thread_time(), 0
    with context.wrap_socket(connection, server_side=True) as tls:
        while tls.recv(4096):
            tls.sendall(_RESPONSE)
            exchanges += 1
    _report(exchanges, time.thread_time() - began)


def exchange(address: str, port: int, ca: str, rate: float, seconds: float) -> None:
    """``rate`` exchanges a second for ``seconds``, in bursts of 10 ms, late ones caught up."""
    context = ssl.create_default_context(cafile=ca)
    connections = [_connect(context, address, port) for _ in range(_CONNECTIONS)]
    done, began, used = 0, time.monotonic(), time.thread_time()
    while (elapsed := time.monotonic() - began) < seconds:
        while done < elapsed * rate:
            tls = connections[done % _CONNECTIONS]
            tls.sendall(
                b"GET /bench/%d HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench/1\r\n"
                b"Accept: application/json\r\n\r\n" % done
            )
            tls.recv(4096)
            done += 1
        time.sleep(_BURST_SECONDS)
    used = time.thread_time() - used
    for tls in connections:
        tls.close()
    _report(done, used)


def _connect(context: ssl.SSLContext, address: str, port: int) -> ssl.SSLSocket:
    connection = socket.create_connection((address, port), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(connection, server_hostname="bench.example")


def _report(exchanges: int, cpu_seconds: float) -> None:
    sys.stdout.write(json.dumps({"exchanges": exchanges, "cpu_seconds": cpu_seconds}) + "\n")
    sys.stdout.flush()


def main() -> None:
    mode, address, port, *rest = sys.argv[1:]
    if mode == "server":
        serve(address, int(port), *rest)
    else:
        ca, rate, seconds = rest
        exchange(address, int(port), ca, float(rate), float(seconds))


if __name__ == "__main__":
    main()
