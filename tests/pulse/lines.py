"""Lines of traffic for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from qcloud.kernel.ids import new_id
from wire.events import (
    ArtifactEvent,
    Direction,
    Event,
    IssueEvent,
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


def lines(*events: Event) -> bytes:
    return b"".join(encode_line(e) for e in events)
