"""Credentials in headers, masked and hashed at once: the value itself goes no further."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

CREDENTIAL_HEADERS: Final = {
    b"authorization": "",
    b"proxy-authorization": "",
    b"x-api-key": "api-key",
    b"api-key": "api-key",
    b"apikey": "api-key",
    b"x-auth-token": "token",
    b"x-access-token": "token",
    b"x-goog-api-key": "api-key",
    b"x-amz-security-token": "token",
    b"private-token": "token",
    b"x-vault-token": "token",
}
"""Lower-case header → type; empty: the type is the authentication scheme inside."""

MASKED_TAIL: Final = 4
SHORTEST_WITH_TAIL: Final = 16
"""Of a shorter secret four characters would be too much."""

KNOWN_SCHEMES: Final = frozenset(
    {
        "basic",
        "bearer",
        "digest",
        "negotiate",
        "token",
        "apikey",
        "hawk",
        "ntlm",
        "aws4-hmac-sha256",
    }
)


class Credential(NamedTuple):
    """As ``wire.events`` reports it."""

    type: str
    source: str
    mask: str
    hash: str


def credential(header: bytes, value: bytes) -> Credential:
    """The credential in ``value`` of the lower-case ``header``.

    The hash is SHA-256 of the credential without its scheme, so that the same key is
    recognized wherever it is used.
    """
    kind = CREDENTIAL_HEADERS[header]
    secret = value
    if not kind:
        kind, secret = _scheme(value)
    return Credential(
        kind, header.decode("latin-1"), _mask(secret), hashlib.sha256(secret).hexdigest()
    )


def _scheme(value: bytes) -> tuple[str, bytes]:
    """Scheme and secret of an Authorization value (RFC 9110, 11.4).

    An unknown word in front of the blank may itself be secret, so it is not reported.
    """
    word, blank, rest = value.partition(b" ")
    scheme = word.decode("latin-1").lower()
    if blank and scheme in KNOWN_SCHEMES:
        return scheme, rest.strip()
    return "other", value


def _mask(secret: bytes) -> str:
    if len(secret) < SHORTEST_WITH_TAIL:
        return "****"
    tail = secret[-MASKED_TAIL:].decode("latin-1")
    return "****" + "".join(letter if " " < letter < "\x7f" else "?" for letter in tail)
