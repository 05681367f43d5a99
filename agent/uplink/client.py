"""HTTP to one platform: verified TLS, bounded waiting, no redirects, no surprises."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec
import urllib3

from agent.proxies import Pools, ProxyError
from agent.reading import read_body
from wire.protocol import ErrorBody, ErrorResponse

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 60.0
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
MAX_RETRY_AFTER: Final = 600.0


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding an answer can raise: whoever answers may not be the platform."""


class EndpointError(ValueError):
    """The platform's address cannot be used; the message says why."""


class UnreachableError(Exception):
    """No answer: refused, timed out, reset, or TLS did not verify."""


class Answer(NamedTuple):
    status: int
    body: bytes
    retry_after: float | None
    """Seconds."""
    date: str
    """The platform's clock, as HTTP writes it; may be empty."""

    def error(self) -> ErrorBody:
        """What the platform says went wrong; made up from the status if it says nothing."""
        try:
            return msgspec.json.decode(self.body, type=ErrorResponse).error
        except UNREADABLE:
            return ErrorBody(code=f"http.{self.status}", message=f"the answer was {self.status}")


class Client:
    """Calls to ``endpoint``; usable from several threads."""

    def __init__(
        self,
        endpoint: str,
        *,
        ca_file: Path | None = None,
        allow_insecure: bool = False,
        read_seconds: float = READ_SECONDS,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """``environment`` names proxies. Raises ``EndpointError``."""
        self._read_seconds = read_seconds
        self.endpoint = check_endpoint(endpoint, allow_insecure=allow_insecure)
        try:
            self._pool = Pools(
                environment,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
                tls=_tls(ca_file) if self.endpoint.startswith("https:") else None,
                num_pools=1,
                maxsize=4,
            )
        except ProxyError as error:
            raise EndpointError(str(error)) from error

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request, tried once.

        Raises ``UnreachableError``.
        """
        sent = {"Authorization": f"Bearer {token}", "User-Agent": "qcloud-agent"}
        try:
            response = self._pool.request(
                method,
                self.endpoint + path,
                body=body,
                headers=sent | (headers or {}),
                preload_content=False,
            )
            try:
                data = read_body(response, MAX_ANSWER_BYTES, self._read_seconds, decode=True)
            finally:
                _let_go(response)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(
                f"{self.endpoint}: {self._pool.why(self.endpoint, error)}"
            ) from error
        except ValueError:
            # The library repeats the header, and with it the token.
            raise UnreachableError(
                f"{self.endpoint}: the token cannot be sent; look for line ends and letters "
                "that are none of a token's"
            ) from None
        return Answer(
            response.status,
            data,
            _retry_after(response.headers.get("Retry-After")),
            response.headers.get("Date", ""),
        )

    def close(self) -> None:
        self._pool.clear()


def _let_go(response: urllib3.BaseHTTPResponse) -> None:
    """Keep the connection when the answer was read to its end; it may have none."""
    try:
        rest = response.read(1, decode_content=True)
    except (urllib3.exceptions.HTTPError, OSError):
        rest = b"?"
    if rest:
        response.close()
    response.release_conn()


def check_endpoint(endpoint: str, *, allow_insecure: bool) -> str:
    """The address without a trailing slash.

    Raises ``EndpointError``.
    """
    parts, usable = _parts(endpoint)
    if not usable or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise EndpointError(
            f"the platform's address must look like https://platform.example, not {endpoint!r}"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise EndpointError("the platform's address must hold no user, query or fragment")
    if parts.scheme == "http" and not allow_insecure and not _is_loopback(parts.hostname):
        raise EndpointError(
            f"{endpoint} would send the agent's token in the clear: use https://, or, for a "
            "trial, --allow-insecure-platform"
        )
    return endpoint.rstrip("/")


def _parts(endpoint: str) -> tuple[SplitResult, bool]:
    """And whether it can be an address at all, port included."""
    try:
        parts = urlsplit(endpoint)
        return parts, parts.port != 0
    except ValueError:
        return urlsplit(""), False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise EndpointError(f"the CA file {ca_file} cannot be used: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _retry_after(value: str | None) -> float | None:
    """Seconds or an HTTP date (RFC 9110, 10.2.3), bounded."""
    if not value:
        return None
    if value.isascii() and value.strip().isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    ahead = seconds_ahead(value)
    return None if ahead is None else min(max(ahead, 0.0), MAX_RETRY_AFTER)


def seconds_ahead(date: str) -> float | None:
    """How far an HTTP date lies before us; negative: behind. ``None``: it is no date."""
    try:
        when = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return (when - datetime.now(UTC)).total_seconds()
