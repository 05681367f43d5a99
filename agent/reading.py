"""An answer's body, bounded in bytes and in time.

A time-out of a socket begins anew with each byte: whoever sends one a minute would hold a
thread for ever.
"""

from __future__ import annotations

import time
from typing import Final

import urllib3

_PART: Final = 64 * 1024


class TooSlowError(OSError):
    """The body did not come within its time."""


def read_body(
    response: urllib3.BaseHTTPResponse, limit: int, seconds: float, *, decode: bool = False
) -> bytes:
    """Up to ``limit`` bytes. ``decode``: as ``Content-Encoding`` says.

    Raises ``TooSlowError`` after ``seconds``, and what urllib3 raises.
    """
    deadline = time.monotonic() + seconds
    body = bytearray()
    while len(body) < limit:
        if time.monotonic() > deadline:
            raise TooSlowError(f"only {len(body)} bytes of the answer came in {seconds:.0f} s")
        part = response.read1(min(_PART, limit - len(body)), decode_content=decode)
        if not part:
            break
        body += part
    return bytes(body)
