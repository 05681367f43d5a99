"""Signatures of webhooks: docs/wire/webhooks.md says what a receiver checks."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final

PREFIX: Final = "whsec_"
WINDOW_SECONDS: Final = 300
"""How old a signature a receiver should take: a copy of a message is worth no more later."""


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 over ``timestamp.body``, hexadecimal."""
    signed = str(timestamp).encode() + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def header(valid: Iterable[str], timestamp: int, body: bytes) -> str:
    """``t=…,v1=…``, one ``v1`` for each secret that is valid now."""
    return ",".join([f"t={timestamp}", *(f"v1={signature(s, timestamp, body)}" for s in valid)])
