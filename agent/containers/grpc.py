"""One unary gRPC call over HTTP/2 on a unix socket.

As little of RFC 9113 as that takes: one stream; header blocks are sent as literals, and of
those that come only the end matters, so there is no table to keep. The messages tell whether
it worked: an answer without one is an error.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from agent.containers.base import MAX_ANSWER_BYTES, TIMEOUT_SECONDS, NotServed, RuntimeUnavailable

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM: Final = 1
_ACK: Final = 1
_END_HEADERS: Final = 4
_PADDED: Final = 8
_STREAM: Final = 1
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_MAX_WINDOW: Final = 2**31 - 1
_OWN_SETTINGS: Final = struct.pack(">HIHIHI", 1, 0, 2, 0, 4, _MAX_WINDOW)
"""No header table, no push, as much data as comes."""


def call(
    path: str,
    method: str,
    message: bytes,
    *,
    timeout: float = TIMEOUT_SECONDS,
    headers: Mapping[str, str] = _NONE,
) -> bytes:
    """The answer's message. ``method``: ``/package.Service/Method``; ``headers``: in lower case,
    each below 127 bytes.

    Raises ``RuntimeUnavailable``; ``NotServed`` for an answer without a message.
    """
    deadline = time.monotonic() + timeout
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(_request(method, message, headers))
            return _unframed(_answer(connection, deadline), path, method)
    except (OSError, EOFError) as error:
        raise RuntimeUnavailable(f"{path}: {error or 'closed without an answer'}") from error


def _request(method: str, message: bytes, more: Mapping[str, str]) -> bytes:
    headers = {
        ":method": "POST", ":scheme": "http", ":path": method, ":authority": "localhost",
        "content-type": "application/grpc", "te": "trailers", "user-agent": "qcloud-agent",
        **more,
    }  # fmt: skip
    block = b"".join(_literal(name, value) for name, value in headers.items())
    framed = struct.pack(">BI", 0, len(message)) + message
    return b"".join(
        [
            _PREFACE,
            _frame(_SETTINGS, 0, 0, _OWN_SETTINGS),
            _frame(_WINDOW, 0, 0, struct.pack(">I", _MAX_WINDOW - 65_535)),
            _frame(_HEADERS, _END_HEADERS, _STREAM, block),
            _frame(_DATA, _END_STREAM, _STREAM, framed),
        ]
    )


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name: str, value: str) -> bytes:
    """Without indexing, without Huffman's code (RFC 7541, 6.2.2); both below 127 bytes."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _answer(connection: socket.socket, deadline: float) -> bytes:
    """The stream's data."""
    data = bytearray()
    while True:
        kind, flags, stream, payload = _read_frame(connection, deadline)
        if kind == _SETTINGS and not flags & _ACK:
            connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            connection.sendall(_frame(_PING, _ACK, 0, payload))
        elif kind == _GOAWAY or (kind == _RST and stream == _STREAM):
            raise EOFError("the call was refused")
        elif stream == _STREAM and kind in {_DATA, _HEADERS}:
            if kind == _DATA:
                data += _unpadded(payload) if flags & _PADDED else payload
            if len(data) > MAX_ANSWER_BYTES:
                raise EOFError("the answer is too large")
            if flags & _END_STREAM:
                return bytes(data)


def _read_frame(connection: socket.socket, deadline: float) -> tuple[int, int, int, bytes]:
    head = _read(connection, 9, deadline)
    length = int.from_bytes(head[:3], "big")
    kind, flags, stream = struct.unpack(">BBI", head[3:])
    return kind, flags, stream & 0x7FFF_FFFF, _read(connection, length, deadline)


def _read(connection: socket.socket, length: int, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < length:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        connection.settimeout(left)
        part = connection.recv(length - len(data))
        if not part:
            raise EOFError("closed in the middle of an answer")
        data += part
    return bytes(data)


def _unpadded(payload: bytes) -> bytes:
    return payload[1 : len(payload) - payload[0]] if payload else payload


def _unframed(data: bytes, path: str, method: str) -> bytes:
    if len(data) < 5:
        raise NotServed(f"{path} does not serve {method}")
    compressed, length = struct.unpack(">BI", data[:5])
    if compressed or len(data) < 5 + length:
        raise RuntimeUnavailable(f"{path} gives no whole answer to {method}")
    return data[5 : 5 + length]
