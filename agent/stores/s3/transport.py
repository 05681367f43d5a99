"""One signed request to one store: verified TLS, bounded waiting, bounded answers."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import urllib3

from agent.stores.base import StoreError
from agent.stores.s3.answers import Answer, trouble

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
MAX_ANSWER_BYTES: Final = 64 * 1024


class Transport:
    """Usable from several threads; keeps up to ``connections`` open."""

    def __init__(
        self,
        *,
        ca_file: str = "",
        connections: int = 1,
        read_seconds: float = READ_SECONDS,
        insecure: bool = False,
    ) -> None:
        """``insecure``: no ``https://`` will be asked for, so no certificates are held.

        Raises ``StoreError``: the certificates cannot be read.
        """
        self._pool = urllib3.PoolManager(
            num_pools=4,
            maxsize=connections,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
            ssl_context=None if insecure else _tls(ca_file),
        )

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Raises ``StoreError`` ``unreachable``, or ``too-large`` beyond ``max_bytes``."""
        try:
            response = self._pool.request(
                method, url, body=body, headers=headers, redirect=False, preload_content=False
            )
            try:
                data = response.read(max_bytes + 1)
            except BaseException:
                response.close()
                raise
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            where = url.partition("?")[0]
            raise trouble("unreachable", f"{where} does not answer: {reason}") from error
        if len(data) > max_bytes:
            response.close()
            raise StoreError("too-large", f"{url.partition('?')[0]}: more than {max_bytes} bytes")
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, found, data)

    def close(self) -> None:
        self._pool.clear()


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise StoreError(
            "ca-file", f"ca_file {Path(ca_file)} cannot be used: {error}; name a PEM file"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
