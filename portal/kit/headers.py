"""Headers as pages show them: credentials masked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_CREDENTIALS: Final = re.compile(
    r"auth(?!ority)|cookie|token|secret|passw|passphrase|pwd|signature|credential|session|jwt"
    r"|assertion|otp\b|(?<!idempotency[-_])(?<!websocket[-_])key\b",
    re.IGNORECASE,
)
"""In a header's name: its value is, or may hold, what lets somebody in."""
_SCHEMES: Final = frozenset(
    ("apikey", "aws4-hmac-sha256", "basic", "bearer", "digest", "dpop", "hawk", "hoba", "key",
     "mac", "mutual", "negotiate", "ntlm", "oauth", "sharedkey", "ssws", "token")
)  # fmt: skip
"""First words of a credential that say its kind; any other word may be the secret itself."""
_SHOWN: Final = 4
_HIDE_WHOLE_BELOW: Final = 16
"""Of a short secret four characters are too many."""


def masked_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        (name, masked(value) if _CREDENTIALS.search(name) else value) for name, value in headers
    ]


def masked(value: str) -> str:
    """``Bearer ••••4242``: the scheme and the last four characters stay."""
    scheme, space, rest = value.partition(" ")
    if not space or scheme.lower() not in _SCHEMES:
        scheme, rest = "", value
    tail = rest[-_SHOWN:] if len(rest) >= _HIDE_WHOLE_BELOW else ""
    return f"{scheme}{' ' if scheme else ''}••••{tail}"
