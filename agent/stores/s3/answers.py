"""What a store says when it refuses, and what that means for the object and the operator."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from agent.stores.base import StoreError

_SPEAKS: Final = 300
"""Characters of a store's message that are repeated."""


class Answer(NamedTuple):
    """``headers`` in lower case; ``body`` bounded."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The error's code; without a body (HEAD, proxies) the status in words of S3."""
        return field(self.body, "Code") or f"http-{self.status}"

    @property
    def message(self) -> str:
        text = field(self.body, "Message") or self.body.decode("utf-8", "replace")
        return " ".join(text.split())[:_SPEAKS]


def field(body: bytes, name: str) -> str:
    """Text of the first element of that name; the documents here are flat and small."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", body.decode("utf-8", "replace"))
    return html.unescape(found[1]) if found else ""


_REASONS: Final = {
    "AccessDenied": "access-denied", "AllAccessDisabled": "access-denied",
    "AccountProblem": "access-denied", "InvalidAccessKeyId": "credentials",
    "SignatureDoesNotMatch": "credentials", "InvalidToken": "credentials",
    "ExpiredToken": "expired", "TokenRefreshRequired": "expired",
    "NoSuchBucket": "no-bucket", "InvalidBucketName": "no-bucket",
    "RequestTimeTooSkewed": "clock", "BadDigest": "bad-digest", "InvalidDigest": "bad-digest",
    "XAmzContentSHA256Mismatch": "bad-digest", "XAmzContentChecksumMismatch": "bad-digest",
    "QuotaExceeded": "full", "XMinioStorageFull": "full", "InsufficientCapacity": "full",
    "XMinioAdminBucketQuotaExceeded": "full", "NoSpaceLeft": "full", "http-507": "full",
    "InsufficientStorage": "full",
    "EntityTooLarge": "too-large", "http-413": "too-large", "SlowDown": "busy",
    "SlowDownWrite": "busy", "ServiceUnavailable": "busy", "TooManyRequests": "busy",
    "RequestTimeout": "busy", "InternalError": "store-error", "OperationAborted": "busy",
    "http-401": "credentials", "http-403": "access-denied", "http-404": "no-bucket",
    "http-429": "busy", "http-503": "busy", "NoSuchKey": "not-found",
    "KMS.NotFoundException": "encryption", "KMS.DisabledException": "encryption",
    "KMS.AccessDeniedException": "encryption", "InvalidEncryptionAlgorithmError": "encryption",
    "ServerSideEncryptionConfigurationNotFoundError": "encryption", "http-407": "proxy",
}  # fmt: skip

_TODO: Final = {
    "access-denied": "allow these credentials s3:PutObject on the bucket's objects",
    "credentials": "check access_key and secret_key, and that the store knows them",
    "expired": "renew the session token, or let the agent use ambient credentials",
    "no-bucket": "create the bucket, or correct its name in the configuration",
    "clock": "set this machine's clock: it is more than fifteen minutes off the store's",
    "full": "free space in the store, or raise its quota",
    "too-large": "lower --http-buffer-size, or raise the store's limit",
    "encryption": "check encryption, kms_key_id and the rights to use that key",
    "bad-digest": "something between here and the store changes bytes: look at proxies",
    "redirect": "set endpoint and region to those of the bucket",
    "unreachable": "check endpoint, name resolution, firewall, insecure and ca_file",
    "proxy": "check HTTPS_PROXY or HTTP_PROXY: the proxy wants a user and a password",
    "unsendable": "look for line ends and foreign letters in keys, token, kms_key_id and endpoint",
    "busy": "the store asks for less: raise its limits, or capture less",
}

RENEWABLE: Final = frozenset({"credentials", "expired", "access-denied"})
"""Refusals that other credentials may mend."""

PASSING: Final = frozenset({"busy", "store-error", "unreachable"})
"""Troubles that pass: worth another attempt."""

STANDING: Final = frozenset(
    {
        "access-denied",
        "credentials",
        "expired",
        "no-bucket",
        "encryption",
        "redirect",
        "proxy",
        "unsendable",
    }
)
"""Refusals that meet the next object as well; where a disk is full a smaller one may fit."""


def reason_of(answer: Answer) -> str:
    """A word for the counters."""
    known = _REASONS.get(answer.code) or _REASONS.get(f"http-{answer.status}")
    if known is not None:
        return known
    return "store-error" if answer.status >= 500 else "refused"


def refusal(where: str, answer: Answer) -> StoreError:
    said = f"{answer.status} {answer.code}: {answer.message}".rstrip(": ")
    return trouble(reason_of(answer), f"{where} answered {said}")


def trouble(reason: str, what: str) -> StoreError:
    """With what to do about it."""
    todo = _TODO.get(reason)
    return StoreError(reason, f"{what}; {todo}" if todo else what)
