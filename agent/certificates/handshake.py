"""One TLS handshake: the certificate that a server shows, and what is wrong with its chain.

Nothing is sent but the handshake and its end. The way is straight, as the traffic's was: a
proxy of the agent's own would show what the processes do not see.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from contextlib import suppress
from typing import Final, NamedTuple

MAX_BYTES: Final = 65_536
"""Of a certificate; those of servers have one or two thousand."""


class Shown(NamedTuple):
    der: bytes
    problem: str
    """Why this node would not trust it; empty: it does."""
    tls_version: str


class HandshakeError(Exception):
    """No certificate was seen. ``reason``: ``unreachable``, ``not-tls`` or ``timeout``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def shown_by(ip: str, port: int, name: str, *, seconds: float, roots: str | None = None) -> Shown:
    """``name``: sent as SNI and compared; empty: none is. ``roots``: a file of certificates to
    trust instead of the system's. Raises ``HandshakeError``.
    """
    deadline = time.monotonic() + seconds
    try:
        context = ssl.create_default_context(cafile=roots)
        return _meet(context, (ip, port), name or ip, deadline)
    except ssl.SSLCertVerificationError as error:
        problem = error.verify_message.removesuffix(".")
    # Once more, to read what is not trusted: nothing goes to this server but a farewell.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _meet(context, (ip, port), name or ip, deadline)._replace(problem=problem)


def _meet(context: ssl.SSLContext, at: tuple[str, int], name: str, deadline: float) -> Shown:
    try:
        with (
            socket.create_connection(at, timeout=_left(deadline)) as plain,
            context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False) as tls,
        ):
            tls.setblocking(False)
            _shake(tls, deadline)
            der = tls.getpeercert(binary_form=True) or b""
            version = tls.version() or ""
            with suppress(OSError):
                tls.unwrap()
    except ssl.SSLCertVerificationError:
        raise
    except TimeoutError as error:
        raise HandshakeError("timeout") from error
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
        raise HandshakeError("not-tls") from error
    except OSError as error:
        raise HandshakeError("unreachable") from error
    if not 0 < len(der) <= MAX_BYTES:
        raise HandshakeError("not-tls")
    return Shown(der, "", version)


def _shake(tls: ssl.SSLSocket, deadline: float) -> None:
    """A time-out for the whole: the socket's own begins anew with each byte that drips in."""
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            select.select([tls], [], [], _left(deadline))
        except ssl.SSLWantWriteError:
            select.select([], [tls], [], _left(deadline))
        else:
            return


def _left(deadline: float) -> float:
    """Raises ``TimeoutError``."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
