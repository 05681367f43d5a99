"""Where a request comes from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


def client_ip(request: HttpRequest) -> str:
    """The nearest address that is no proxy of ours.

    ``X-Forwarded-For`` counts only as far as our own proxies wrote it: it is read from the
    right while the address at hand is in ``QCLOUD_TRUSTED_PROXIES``.
    """
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop]
    address = str(request.META.get("REMOTE_ADDR", ""))
    while hops and _is_trusted(_plain(address)):
        address = hops.pop()
    return _plain(address)[:64]


def _plain(address: str) -> str:
    """An IPv4 address that a socket of both families wrote as ``::ffff:192.0.2.1``, as IPv4:
    lists of networks know it by that name.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    inside = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(inside or parsed)


def _is_trusted(address: str) -> bool:
    try:
        parsed = ip_address(_plain(address))
    except ValueError:
        return False
    return any(parsed in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


@lru_cache(maxsize=4)
def _networks(names: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(name, strict=False) for name in names)
