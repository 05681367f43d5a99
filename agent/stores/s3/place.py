"""Following a bucket when it is elsewhere."""

from __future__ import annotations

from agent.stores.s3.answers import Answer, field, trouble
from wire.s3.place import AWS, Place, is_endpoint, is_region


def redirected(place: Place, answer: Answer) -> Place | None:
    """Where a bucket is by what the store answered; ``None``: it says nothing of that.

    307 with ``Location``; 301 with a region or ``<Endpoint>``; 400
    ``AuthorizationHeaderMalformed`` with ``<Region>``. Raises ``StoreError`` for a place
    that does not look like the same operator's: payloads do not follow strangers.
    """
    if answer.status not in {301, 302, 307, 308, 400, 403}:
        return None
    region = answer.headers.get("x-amz-bucket-region", "") or field(answer.body, "Region")
    if region and not is_region(region):
        raise trouble("redirect", f"{place} names a region that is none: {region[:64]!r}")
    elsewhere = _location(place, answer)
    if answer.status in {400, 403} or not elsewhere:
        if not region or region == place.region:
            return None
        return place._replace(region=region, endpoint=_regional(place.endpoint, region))
    if not is_endpoint(elsewhere) or not _related(place.endpoint, elsewhere):
        raise trouble("redirect", f"{place} redirects to {elsewhere!r}, which is not followed")
    aws = AWS.match(elsewhere)
    known = region or (aws["region"] if aws else "") or place.region
    moved = place._replace(endpoint=elsewhere, region=known)
    return moved if moved != place else None


def _location(place: Place, answer: Answer) -> str:
    """Host and port without the bucket; empty without one or with another scheme."""
    scheme, colon, rest = answer.headers.get("location", "").partition("://")
    if colon and scheme.lower() != place.scheme:
        raise trouble("redirect", f"{place} redirects to {scheme}://, which is not followed")
    host = rest.partition("/")[0].partition("?")[0] or field(answer.body, "Endpoint")
    if "@" in host:
        raise trouble("redirect", f"{place} redirects to an address with a user in it")
    return host.lower().removeprefix(f"{place.bucket}.") if place.virtual else host.lower()


def _regional(endpoint: str, region: str) -> str:
    if AWS.match(endpoint) is None:
        return endpoint
    suffix = ".cn" if endpoint.endswith(".cn") else ""
    return f"s3.{region}.amazonaws.com{suffix}"


def _related(endpoint: str, other: str) -> bool:
    """The same host, or both AWS, or both under one domain of at least two labels."""
    if AWS.match(endpoint):
        return AWS.match(other) is not None
    ours, theirs = endpoint.partition(":")[0], other.partition(":")[0]
    if ours == theirs:
        return True
    domain = ours.partition(".")[2]
    return "." in domain and not _is_address(ours) and theirs.endswith(f".{domain}")


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit()
