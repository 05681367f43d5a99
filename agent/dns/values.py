"""What an answer says, as text: addresses and names alone.

Free text (``TXT``) and keys are content, not metadata: they are checked for their frame and
not told.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Final

from agent.dns.names import DnsError, Names
from agent.dns.types import AAAA, CNAME, DNAME, HTTPS, MX, NS, PTR, SOA, SRV, SVCB, A

_PARAMETER: Final = struct.Struct("!HH")
_SOA_NUMBERS: Final = 20

Read = Callable[[bytes, Names, int, int], str]


def value_of(data: bytes, names: Names, kind: int, begin: int, end: int) -> str:
    """Of a record's data at ``begin`` to ``end``. Raises ``DnsError``."""
    read = _VALUES.get(kind)
    return read(data, names, begin, end) if read is not None else ""


def _ipv4(data: bytes, names: Names, begin: int, end: int) -> str:
    del names
    if end - begin != 4:
        raise DnsError("address")
    return socket.inet_ntop(socket.AF_INET, data[begin:end])


def _ipv6(data: bytes, names: Names, begin: int, end: int) -> str:
    del names
    if end - begin != 16:
        raise DnsError("address")
    return socket.inet_ntop(socket.AF_INET6, data[begin:end])


def _name(data: bytes, names: Names, begin: int, end: int) -> str:
    del data
    name, behind = names.read(begin)
    if behind != end:
        raise DnsError("record-size")
    return name


def _mail(data: bytes, names: Names, begin: int, end: int) -> str:
    if end - begin < 3:
        raise DnsError("record-size")
    return _name(data, names, begin + 2, end)


def _service(data: bytes, names: Names, begin: int, end: int) -> str:
    """``name:port`` (RFC 2782)."""
    if end - begin < 7:
        raise DnsError("record-size")
    port = int.from_bytes(data[begin + 4 : begin + 6])
    return f"{_name(data, names, begin + 6, end)}:{port}"


def _authority(data: bytes, names: Names, begin: int, end: int) -> str:
    """The zone's first server."""
    del data
    server, at = names.read(begin)
    _, at = names.read(at)
    if at + _SOA_NUMBERS != end:
        raise DnsError("record-size")
    return server


def _binding(data: bytes, names: Names, begin: int, end: int) -> str:
    """The target; parameters in strictly rising order, as RFC 9460, 2.2 wants them."""
    if end - begin < 3:
        raise DnsError("record-size")
    target, at = names.read(begin + 2, compressed=False)
    last = -1
    while at + _PARAMETER.size <= end:
        key, size = _PARAMETER.unpack_from(data, at)
        if key <= last:
            raise DnsError("service-parameter")
        last, at = key, at + _PARAMETER.size + size
    if at != end:
        raise DnsError("service-parameter")
    return target


_VALUES: Final[dict[int, Read]] = {
    A: _ipv4,
    AAAA: _ipv6,
    NS: _name,
    CNAME: _name,
    PTR: _name,
    DNAME: _name,
    SOA: _authority,
    MX: _mail,
    SRV: _service,
    SVCB: _binding,
    HTTPS: _binding,
}
