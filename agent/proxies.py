"""The way out: straight, or through the proxy that the environment names.

``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in capitals or not. There is no
standard; this is what curl and Go's programs have in common, with networks in ``NO_PROXY`` as
Kubernetes' manuals write them. This machine and link-local addresses are never asked for
through a proxy: credentials of the instance live there.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import urllib3

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PORTS: Final = {"http": 80, "https": 443}


class ProxyError(ValueError):
    """A proxy's address cannot be used; the message says which and why, without its password."""


class Proxy(NamedTuple):
    url: str
    """Without user and password."""
    headers: dict[str, str]
    """For the proxy alone."""
    name: str
    """Of the variable that named it."""


class Proxies:
    """Which proxy an address is asked for through. From any thread."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Raises ``ProxyError``."""
        self._by_scheme = {
            scheme: _first(environment, f"{scheme}_proxy", "all_proxy") for scheme in _PORTS
        }
        self._except = [
            _Exception(word)
            for word in _value(environment, "no_proxy")[1].replace(",", " ").lower().split()
        ]

    def way(self, url: str) -> Proxy | None:
        """``None``: straight."""
        parts = urlsplit(url)
        proxy = self._by_scheme.get(parts.scheme)
        host = (parts.hostname or "").rstrip(".")
        if proxy is None or _is_near(host):
            return None
        port = parts.port or _PORTS[parts.scheme]
        return None if any(one.holds(host, port) for one in self._except) else proxy


class Pools:
    """``request`` as of a ``urllib3.PoolManager``, each address by its way."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        timeout: urllib3.Timeout,
        tls: ssl.SSLContext | None = None,
        num_pools: int = 4,
        maxsize: int = 1,
    ) -> None:
        """Raises ``ProxyError``."""
        self.proxies = Proxies(environment)
        self._kept: dict[str, urllib3.PoolManager] = {}
        self._settings: dict[str, Any] = {
            "num_pools": num_pools, "maxsize": maxsize, "retries": False, "timeout": timeout,
            "ssl_context": tls,
        }  # fmt: skip

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> urllib3.BaseHTTPResponse:
        """Redirects are the caller's: none is followed."""
        proxy = self.proxies.way(url)
        given = dict(headers or {})
        if proxy is not None and "host" in given:
            # For a proxy urllib3 sets its own, and knows ours only if it is spelled like that.
            given["Host"] = given.pop("host")
        return self._manager(proxy).request(method, url, headers=given, redirect=False, **more)

    def why(self, url: str, error: Exception) -> str:
        """What went wrong on the way to ``url``, and which proxy that way leads through."""
        inner = getattr(error, "original_error", None) or getattr(error, "reason", None)
        reason = str(inner or error) or type(error).__name__
        proxy = self.proxies.way(url)
        return reason if proxy is None else f"through the proxy {proxy.url}: {reason}"

    def clear(self) -> None:
        for manager in list(self._kept.values()):
            manager.clear()

    def _manager(self, proxy: Proxy | None) -> urllib3.PoolManager:
        key = proxy.url if proxy is not None else ""
        found = self._kept.get(key)
        if found is None:
            # Two threads may both build one: the later stays, the other ends with its call.
            found = self._kept[key] = self._build(proxy)
        return found

    def _build(self, proxy: Proxy | None) -> urllib3.PoolManager:
        if proxy is None:
            return urllib3.PoolManager(**self._settings)
        return urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers, **self._settings)


class _Exception:
    """One word of ``NO_PROXY``: ``*``, a domain and all below it, an address, a network;
    the first three also with ``:port``.
    """

    def __init__(self, word: str) -> None:
        self._network = _network(word)
        host, colon, port = word.rpartition(":")
        with_port = self._network is None and bool(colon) and port.isdigit()
        self._port = int(port) if with_port else 0
        text = (host if with_port else word).removeprefix("[").removesuffix("]")
        if with_port:
            self._network = _network(text)
        self._domain = text.removeprefix("*").removeprefix(".")
        self._all = text == "*"

    def holds(self, host: str, port: int) -> bool:
        if self._port and port != self._port:
            return False
        address = _address(host)
        if self._all or address is None or self._network is None:
            return self._all or host == self._domain or host.endswith(f".{self._domain}")
        return address in self._network


def _first(environment: Mapping[str, str], *names: str) -> Proxy | None:
    for name in names:
        shown, value = _value(environment, name)
        if value:
            return _proxy(shown, value)
    return None


def _value(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """The variable as it is written there, and its value."""
    for spelled in (name.upper(), name):
        value = environment.get(spelled, "").strip()
        if value:
            return spelled, value
    return name.upper(), ""


def _proxy(name: str, value: str) -> Proxy:
    parts = urlsplit(value if "://" in value else f"http://{value}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme not in _PORTS or not host:
        raise ProxyError(
            f"{name} is no proxy's address: write http://proxy.example:3128, with user:password@ "
            "before the host if it asks for them (SOCKS is not spoken here)"
        )
    shown = f"[{host}]" if ":" in host else host
    headers = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=pair)
    return Proxy(f"{parts.scheme}://{shown}:{port or _PORTS[parts.scheme]}", dict(headers), name)


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


_INSTANCE: Final = ipaddress.ip_network("fd00:ec2::/32")
"""Where AWS's instances find their metadata by IPv6."""


def _is_near(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    if address is None:
        return False
    return address.is_loopback or address.is_link_local or address in _INSTANCE
