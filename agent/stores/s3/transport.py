"""One signed request to one store: verified TLS, bounded waiting, bounded answers."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import urllib3

from agent.proxies import Pools, ProxyError
from agent.reading import read_body
from agent.stores.base import StoreError
from agent.stores.s3.answers import Answer, trouble

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
MAX_ANSWER_BYTES: Final = 64 * 1024
_REFUSED_BY_PROXY: Final = "Tunnel connection failed: 407"
"""What the standard library says of it; there is no class for it."""


class Transport:
    """Usable from several threads; keeps up to ``connections`` open."""

    def __init__(
        self,
        *,
        ca_file: str = "",
        connections: int = 1,
        read_seconds: float = READ_SECONDS,
        insecure: bool = False,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """``insecure``: no ``https://`` will be asked for, so no certificates are held.
        ``environment`` names proxies.

        Raises ``StoreError``: the certificates cannot be read, a proxy cannot be used.
        """
        self._read_seconds = read_seconds
        try:
            self._pool = Pools(
                environment,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
                tls=None if insecure else _tls(ca_file),
                maxsize=connections,
            )
        except ProxyError as error:
            raise StoreError("proxy", str(error)) from error

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Raises ``StoreError``: ``unreachable``, ``proxy``; ``too-large`` beyond ``max_bytes``;
        ``unsendable``: a key, a token or the address holds what no header may.
        """
        try:
            response = self._pool.request(
                method, url, body=body, headers=headers, preload_content=False
            )
            try:
                data = read_body(response, max_bytes + 1, self._seconds(max_bytes))
            except BaseException:
                response.close()
                raise
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            why = self._pool.why(url, error)
            where = url.partition("?")[0]
            reason = "proxy" if _REFUSED_BY_PROXY in why else "unreachable"
            raise trouble(reason, f"{where} does not answer: {why}") from error
        except ValueError:
            # The library says which header, and with it the key or token that stands there.
            raise trouble(
                "unsendable", f"{url.partition('?')[0]}: a header or the address cannot be sent"
            ) from None
        if len(data) > max_bytes:
            response.close()
            raise StoreError("too-large", f"{url.partition('?')[0]}: more than {max_bytes} bytes")
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, found, data)

    def close(self) -> None:
        self._pool.clear()

    def _seconds(self, size: int) -> float:
        """For a body of ``size`` bytes, at a megabyte a second."""
        return self._read_seconds + size / 1_000_000


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise StoreError(
            "ca-file", f"ca_file {Path(ca_file)} cannot be used: {error}; name a PEM file"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
