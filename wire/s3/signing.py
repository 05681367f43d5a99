"""AWS Signature Version 4 as S3 wants it: in the Authorization header, or in an address.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote

EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Keys(NamedTuple):
    """What a request is signed with."""

    access_key: str
    secret_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        return f"Keys({self.access_key!r}, …)"


class Call(NamedTuple):
    """One request. ``path`` as it is, unencoded; ``query`` too; ``headers`` in lower case."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    payload_sha256: str
    """Hexadecimal."""


def target(path: str, query: Mapping[str, str]) -> str:
    """The request target that goes with the signature: encoded once, query sorted."""
    encoded = encode(path, safe="/")
    return f"{encoded}?{_query(query)}" if query else encoded


def encode(text: str, *, safe: str = "") -> str:
    """Everything but RFC 3986's unreserved characters, in capitals."""
    return quote(text, safe=f"{safe}-_.~")


def sign(call: Call, keys: Keys, region: str, seconds: float) -> dict[str, str]:
    """All headers to send, ``host`` among them. ``seconds``: Unix time."""
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        **call.headers,
        "host": call.host,
        "x-amz-content-sha256": call.payload_sha256,
        "x-amz-date": stamp,
    }
    if keys.session_token:
        headers["x-amz-security-token"] = keys.session_token
    names = sorted(headers)
    signed = ";".join(names)
    canonical = "\n".join(
        [
            call.method,
            encode(call.path, safe="/"),
            _query(call.query),
            *[f"{name}:{' '.join(headers[name].split())}" for name in names],
            "",
            signed,
            call.payload_sha256,
        ]
    )
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"
    signature = hmac.digest(_key(keys.secret_key, stamp[:8], region), text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"{_ALGORITHM} Credential={keys.access_key}/{scope}, "
        f"SignedHeaders={signed}, Signature={signature}"
    )
    return headers


def presigned(call: Call, keys: Keys, region: str, seconds: float, *, expires: int) -> str:
    """The target that opens what ``call`` names to whoever has it, for ``expires`` seconds.

    Only ``method``, ``host``, ``path`` and ``query`` of the call count. ``seconds``: Unix time.
    """
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    query = {
        **call.query,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{keys.access_key}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(expires),
        "X-Amz-SignedHeaders": "host",
    }
    if keys.session_token:
        query["X-Amz-Security-Token"] = keys.session_token
    path = encode(call.path, safe="/")
    canonical = "\n".join(
        [call.method, path, _query(query), f"host:{call.host}", "", "host", "UNSIGNED-PAYLOAD"]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"
    signature = hmac.digest(_key(keys.secret_key, stamp[:8], region), text.encode(), "sha256").hex()
    return f"{path}?{_query(query)}&X-Amz-Signature={signature}"


def _query(query: Mapping[str, str]) -> str:
    return "&".join(f"{encode(name)}={encode(query[name])}" for name in sorted(query))


@lru_cache(maxsize=64)
def _key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
