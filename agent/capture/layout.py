"""The structures of bpf/capture.h, for Python."""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

from agent.capture.ring import HEADER
from agent.capture.settings import CaptureSettings

KIND_DATA, KIND_CLOSE, KIND_OPEN, KIND_LIBRARY, KIND_DNS_SOCKET, KIND_DNS = 1, 2, 3, 4, 5, 6

DROP_REASONS = ("ring_full", "no_socket", "no_memory", "unreadable", "beyond_limit")

RECORD = struct.Struct("=QQIIBB6x")
RECORD_IN_RING = struct.Struct(HEADER + RECORD.format[1:])
"""Word of the ring's header, then the fields of ``struct record``."""
_OPENED = struct.Struct("=QIIIHHHBBI16s16s16s128s640s")
_LIBRARY = struct.Struct("=QQQI4x")
_DNS = struct.Struct("=QQIIBB6x16sHHH2xB7x")
"""``struct dns_record``, head included."""
LIBRARY_KEY = struct.Struct("=QQ")
DNS_KEY = struct.Struct("=QQ")
CONNECTION_KEY = struct.Struct("=QQ")
_SETTINGS = struct.Struct("=IIII")
_ADDRESS_KEY = struct.Struct("=16sI")
PID_KEY = struct.Struct("=I")

_AF_INET = 2
_UDP = 17
_WAKE_SHARE = 8
"""The agent is woken early when an eighth of the ring is full."""


class Opened(NamedTuple):
    """Of one connection, as the kernel tells it before its first chunk."""

    socket: int
    """Address of the kernel's socket, half of the key of map ``connections``."""
    tgid: int
    uid: int
    netns: int
    local_ip: str
    local_port: int
    remote_ip: str
    remote_port: int
    role: int
    tls: bool
    comm: str
    cgroup: str
    exe: str


class Library(NamedTuple):
    """A process mapped code of a TLS library for the first time."""

    inode_address: int
    inode: int
    mapped_at: int
    tgid: int


class DnsRecord(NamedTuple):
    """Bytes of one message to or from port 53."""

    identity: int
    monotonic_ns: int
    length: int
    sent: bool
    remote_ip: str
    remote_port: int
    """0: nothing told who the other end is."""
    udp: bool
    last: bool
    """The datagram ends here."""
    data: bytes


def unpack_opened(data: bytes) -> Opened:
    socket, tgid, uid, netns, family, local_port, remote_port, role, tls, used, *texts = (
        _OPENED.unpack_from(data, RECORD.size)
    )
    local, remote, comm, cgroup, path = texts
    return Opened(
        socket,
        tgid,
        uid,
        netns,
        _address(family, local),
        local_port,
        _address(family, remote),
        remote_port,
        role,
        bool(tls),
        _text(comm),
        _text(cgroup),
        _path(path, used),
    )


def unpack_library(data: bytes) -> Library:
    return Library(*_LIBRARY.unpack_from(data, RECORD.size))


def unpack_dns(data: bytes) -> DnsRecord:
    identity, moment, length, captured, _, flow, address, family, port, protocol, last = (
        _DNS.unpack_from(data)
    )
    return DnsRecord(
        identity,
        moment,
        length,
        bool(flow),
        _address(family, address),
        port,
        protocol == _UDP,
        bool(last),
        data[_DNS.size : _DNS.size + captured],
    )


def pack_settings(settings: CaptureSettings, ring_bytes: int, *, plain_http: bool) -> bytes:
    return _SETTINGS.pack(
        settings.netns, settings.call_limit, ring_bytes // _WAKE_SHARE, int(plain_http)
    )


def pack_address(address: str, port: int) -> list[bytes]:
    """The keys of an endpoint: an IPv4 address also in its IPv6 clothes."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return [_ADDRESS_KEY.pack(parsed.packed, port)]
        parsed = parsed.ipv4_mapped
    mapped = b"\0" * 10 + b"\xff\xff" + parsed.packed
    return [_ADDRESS_KEY.pack(parsed.packed, port), _ADDRESS_KEY.pack(mapped, port)]


def _address(family: int, packed: bytes) -> str:
    if family == _AF_INET:
        return str(ipaddress.IPv4Address(packed[:4]))
    address = ipaddress.IPv6Address(packed)
    return str(address.ipv4_mapped or address)


def _text(padded: bytes) -> str:
    return padded.split(b"\0", 1)[0].decode(errors="replace")


def _path(names: bytes, used: int) -> str:
    """The kernel walked from the file up to the root, so the names come last first."""
    parts = names[:used].rstrip(b"\0").split(b"\0")
    if parts == [b""]:
        return ""
    return "/" + b"/".join(reversed(parts)).decode(errors="replace")
