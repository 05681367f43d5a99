"""Lines of traffic for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from qcloud.kernel.ids import new_id
from wire.events import Direction, RequestEvent, encode_line

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def event(**changes: Any) -> RequestEvent:
    plain: dict[str, Any] = {
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
    return RequestEvent(**{**plain, **changes})


def lines(*events: RequestEvent) -> bytes:
    return b"".join(encode_line(e) for e in events)
