"""One POST to an address that a customer chose, without lending it the platform's network.

The name is resolved once, each address is checked, and the connection goes to a checked
address and to none other: a name that answers differently a moment later changes nothing.
Public addresses are allowed; every other one (private, loopback, link-local, carrier-grade
NAT, IPv6's ways of carrying such) only inside a network that the cloud administrator listed.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from notify.deadline import deadline
from notify.result import Result, shown
from qcloud.kernel.errors import Invalid
from qcloud.kernel.settings import Network

ANSWER_SECONDS: Final = 10
"""To connect, and for each piece of the answer."""
WHOLE_SECONDS: Final = 20
MOST_ANSWER: Final = 2_048
"""Bytes of the answer that are read; the rest is left."""
MOST_URL: Final = 2_000
_GOOD: Final = range(200, 300)
_FOR_GOOD: Final = frozenset({400, 405, 410, 411, 413, 414, 415, 422, 431})
"""Statuses that say that the same message will never be taken."""
_NAT64: Final = IPv6Network("64:ff9b::/96")

Address = IPv4Address | IPv6Address


class NotAllowed(Exception):
    """The address may not be reached; the message says why and who can change it."""


def checked_url(url: str) -> SplitResult:
    """The parts of an address that could be posted to. Raises ``Invalid``."""
    problem = _problem(url)
    if problem:
        raise Invalid("The address cannot be used.", code="notify.url", fields={"url": problem})
    return urlsplit(url)


def _problem(url: str) -> str:
    if len(url) > MOST_URL or not url.isascii() or not url.isprintable() or " " in url:
        return f"At most {MOST_URL} plain characters, without spaces."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "This is no address."
    if parts.scheme not in {"https", "http"} or not parts.hostname or port == 0:
        return "An address that begins with https:// and names a host."
    if parts.username is not None or parts.password is not None:
        return "No user and password in the address: they would stand in logs."
    return ""


def post(
    url: str,
    body: bytes,
    headers: dict[str, str],
    *,
    networks: Sequence[Network],
    ca_file: str = "",
) -> Result:
    """Send it once. Redirects are not followed: they would lead past the check."""
    parts = checked_url(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    held: list[socket.socket] = []
    try:
        with deadline(WHOLE_SECONDS, lambda: held[-1] if held else None):
            sock = _connect(parts.scheme, host, port, networks)
            held.append(sock)
            if parts.scheme == "https":
                context = ssl.create_default_context(cafile=ca_file or None)
                sock = context.wrap_socket(sock, server_hostname=host)
                held.append(sock)
            return _verdict(*_exchange(sock, parts, body, headers))
    except NotAllowed as error:
        return Result("permanent", answer=str(error))
    except ssl.SSLError as error:
        return Result("temporary", answer=f"TLS with {host} failed: {shown(str(error))}")
    except (OSError, http.client.HTTPException) as error:
        return Result(
            "temporary", answer=f"{host}:{port}: {shown(str(error)) or type(error).__name__}"
        )
    finally:
        for sock in held:
            sock.close()


def head(url: str, *, networks: Sequence[Network], ca_file: str = "") -> int:
    """The status that the address answers HEAD with; 0 when it cannot be reached from here.

    Under the rules of ``post``. Raises ``Invalid`` for what is no address.
    """
    parts = checked_url(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    held: list[socket.socket] = []
    try:
        with deadline(WHOLE_SECONDS, lambda: held[-1] if held else None):
            sock = _connect(parts.scheme, host, port, networks)
            held.append(sock)
            if parts.scheme == "https":
                context = ssl.create_default_context(cafile=ca_file or None)
                sock = context.wrap_socket(sock, server_hostname=host)
                held.append(sock)
            return _exchange(sock, parts, b"", {}, method="HEAD")[0]
    except (NotAllowed, OSError, http.client.HTTPException):
        return 0
    finally:
        for sock in held:
            sock.close()


def _exchange(
    sock: socket.socket,
    parts: SplitResult,
    body: bytes,
    headers: dict[str, str],
    *,
    method: str = "POST",
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(parts.netloc)
    connection.auto_open = 0  # never to another address than the checked one
    connection.sock = sock
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request(
        method, target, body=body or None, headers={**headers, "Connection": "close"}
    )
    answer = connection.getresponse()
    return answer.status, answer.read(MOST_ANSWER)


def _connect(scheme: str, host: str, port: int, networks: Sequence[Network]) -> socket.socket:
    """To the first allowed address that answers. Raises ``NotAllowed`` and ``OSError``."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        # An empty label, or one of more than 63 characters.
        raise OSError(f"{host[:80]} is no name of a host") from error
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    usable = [a for a in addresses if _allowed(ip_address(a), networks)]
    if not usable:
        raise NotAllowed(
            f"{host} leads to {', '.join(addresses[:3])}, which is not a public address. A cloud"
            " administrator can allow its network under Settings, Webhooks."
        )
    if scheme == "http" and any(_public(ip_address(a)) for a in usable):
        raise NotAllowed(f"{host} is a public address: use https://, so that nobody reads along.")
    trouble: OSError | None = None
    for address in usable:
        try:
            return socket.create_connection((address, port), timeout=ANSWER_SECONDS)
        except OSError as error:
            trouble = error
    raise trouble or OSError("no address")


def _allowed(address: Address, networks: Sequence[Network]) -> bool:
    inner = _carried(address)
    if inner is not None:
        return _allowed(inner, networks)
    return _public(address) or any(
        address.version == network.version and address in network for network in networks
    )


def _public(address: Address) -> bool:
    inner = _carried(address)
    if inner is not None:
        return _public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _carried(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def _verdict(status: int, answer: bytes) -> Result:
    words = shown(answer)
    if status in _GOOD:
        return Result("sent", status, words)
    if 300 <= status < 400:
        return Result("permanent", status, "It redirects, which is not followed: enter the target.")
    return Result("permanent" if status in _FOR_GOOD else "temporary", status, words)
