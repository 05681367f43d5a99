"""Where a bucket is: host, style of addressing, region."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

DEFAULT_REGION: Final = "us-east-1"
AWS: Final = re.compile(
    r"s3(?:[.-](?:dualstack\.)?(?P<region>[a-z]{2}(?:-[a-z]+)+-\d))?"
    r"\.amazonaws\.com(?:\.cn)?(?::\d+)?\Z"
)
_DNS_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]\Z")
_ENDPOINT: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{1,5}))?\Z")
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,64}\Z")


def is_endpoint(text: str) -> bool:
    """Host, or host and port, and nothing else: no user, no blank, no line end."""
    found = _ENDPOINT.match(text)
    return found is not None and int(found[1] or 1) in range(1, 65_536)


def is_region(text: str) -> bool:
    return _REGION.match(text) is not None


class Place(NamedTuple):
    scheme: str
    endpoint: str
    """Host and port, without the bucket."""
    bucket: str
    region: str
    virtual: bool

    @property
    def host(self) -> str:
        return f"{self.bucket}.{self.endpoint}" if self.virtual else self.endpoint

    def path(self, key: str = "") -> str:
        return f"/{key}" if self.virtual else f"/{self.bucket}/{key}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.path()}"


def place_of(endpoint: str, bucket: str, *, region: str, addressing: str, insecure: bool) -> Place:
    """``region`` may be empty: that of the endpoint's name, else ``us-east-1``."""
    aws = AWS.match(endpoint)
    virtual = addressing == "virtual" or (
        addressing == "auto" and aws is not None and _DNS_NAME.match(bucket) is not None
    )
    known = region or (aws["region"] if aws else "") or DEFAULT_REGION
    return Place("http" if insecure else "https", endpoint, bucket, known, virtual)
