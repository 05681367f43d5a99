"""Lines of traffic for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from qcloud.kernel.ids import new_id
from wire.events import (
    ArtifactEvent,
    CertificateEvent,
    Direction,
    DnsEvent,
    Event,
    IssueEvent,
    LookupOutcome,
    RequestEvent,
    encode_line,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def event(**changes: Any) -> RequestEvent:
    return RequestEvent(**{**_plain(), **changes})


def _plain() -> dict[str, Any]:
    return {
        "timestamp": NOON,
        "request_id": UUID(bytes=new_id().bytes),
        "connection_id": UUID(bytes=new_id().bytes),
        "direction": Direction.EGRESS_EXTERNAL,
        "scheme": "https",
        "method": "GET",
        "host": "api.example.com",
        "path": "/",
        "status": 200,
    }


def issue(**changes: Any) -> IssueEvent:
    """A status of 503 that the rule ``Broken`` reports."""
    return IssueEvent(**{**_plain(), "status": 503, "rule": "Broken", **changes})


def artifact(**changes: Any) -> ArtifactEvent:
    """A response's body in the customer's store."""
    return ArtifactEvent(**{**_plain(), "artifact_type": "res-body", "digest": "a" * 40, **changes})


def dns(**changes: Any) -> DnsEvent:
    """An answered question about ``api.example.com``."""
    return DnsEvent(
        **{
            "timestamp": NOON,
            "lookup_id": UUID(bytes=new_id().bytes),
            "connection_id": UUID(bytes=new_id().bytes),
            "direction": Direction.EGRESS_INTERNAL,
            "name": "api.example.com",
            "query_type": "A",
            "outcome": LookupOutcome.ANSWERED,
            "rcode": "NOERROR",
            "addresses": "203.0.113.7",
            "answer_count": 1,
            "duration_us": 1_500,
            "destination_ip": "10.0.0.2",
            "destination_port": 53,
            "hostname": "node-1",
            "exe": "/usr/bin/curl",
            **changes,
        }
    )


def certificate(**changes: Any) -> CertificateEvent:
    """What ``api.example.com`` showed: it expires a month after ``NOON``."""
    return CertificateEvent(
        **{
            "timestamp": NOON,
            "check_id": UUID(bytes=new_id().bytes),
            "connection_id": UUID(bytes=new_id().bytes),
            "direction": Direction.EGRESS_EXTERNAL,
            "host": "api.example.com",
            "destination_ip": "203.0.113.7",
            "destination_port": 443,
            "subject": "api.example.com",
            "issuer": "CN=Test CA",
            "names": "api.example.com\nwww.example.com",
            "serial": "2a",
            "sha256": "c" * 64,
            "not_after": int(NOON.timestamp()) + 30 * 86_400,
            "verified": True,
            "hostname": "node-1",
            **changes,
        }
    )


def lines(*events: Event) -> bytes:
    return b"".join(encode_line(e) for e in events)
