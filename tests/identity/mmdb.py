"""Writes a small location database in MaxMind's format, version 2.0, as its specification has it
(https://maxmind.github.io/MaxMind-DB/): a binary search tree over IPv4, 24-bit records.
"""

from __future__ import annotations

import struct
from ipaddress import ip_network
from typing import Any

_UINT16, _UINT32, _UINT64 = 5, 6, 9


def _size(kind: int, size: int) -> bytes:
    if size >= 29:
        head, extra = 29, bytes([size - 29])
    else:
        head, extra = size, b""
    return bytes([kind << 5 | head]) + extra if kind < 8 else bytes([head, kind - 7]) + extra


def _data(value: Any) -> bytes:
    if isinstance(value, dict):
        inner = b"".join(_data(k) + _data(v) for k, v in value.items())
        return _size(7, len(value)) + inner
    if isinstance(value, str):
        return _size(2, len(value.encode())) + value.encode()
    if isinstance(value, float):
        return _size(3, 8) + struct.pack(">d", value)
    if isinstance(value, list):
        return _size(11, len(value)) + b"".join(map(_data, value))
    if isinstance(value, tuple):
        kind, number = value
        raw = number.to_bytes(8, "big").lstrip(b"\0")
        return _size(kind, len(raw)) + bytes(raw)
    raise TypeError(type(value))


def write(networks: dict[str, dict[str, Any]]) -> bytes:
    """A database with what is known of each IPv4 network."""
    nodes: list[list[int | None]] = [[None, None]]
    leaves: list[tuple[int, int, str]] = []
    for name in networks:
        network = ip_network(name)
        bits = f"{int(network.network_address):032b}"[: network.prefixlen]
        at = 0
        for bit in map(int, bits[:-1]):
            following = nodes[at][bit]
            if following is None:
                nodes.append([None, None])
                following = nodes[at][bit] = len(nodes) - 1
            at = following
        leaves.append((at, int(bits[-1]), name))
    section, offsets = b"", {}
    for name, known in networks.items():
        offsets[name] = len(section)
        section += _data(known)
    count = len(nodes)
    for at, bit, name in leaves:
        nodes[at][bit] = count + 16 + offsets[name]
    tree = b"".join((count if r is None else r).to_bytes(3, "big") for node in nodes for r in node)
    about = {
        "node_count": (_UINT32, count),
        "record_size": (_UINT16, 24),
        "ip_version": (_UINT16, 4),
        "database_type": "Test-City",
        "languages": ["en"],
        "binary_format_major_version": (_UINT16, 2),
        "binary_format_minor_version": (_UINT16, 0),
        "build_epoch": (_UINT64, 1_700_000_000),
        "description": {"en": "test"},
    }
    return tree + bytes(16) + section + b"\xab\xcd\xefMaxMind.com" + _data(about)
