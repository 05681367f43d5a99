"""Requests straight into the event store, many alike at a time."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from pulse.store.client import Store
from qcloud.kernel.ids import new_id


def put(
    store: Store,
    account_id: UUID,
    environment_id: UUID,
    at: datetime,
    count: int = 1,
    *,
    every: timedelta = timedelta(milliseconds=100),
    **columns: Any,
) -> None:
    """``count`` requests from ``at`` on, ``every`` so often. A column may be a function of
    the request's number.
    """
    plain: dict[str, Any] = {
        "direction": "egress-external", "replayed": False, "scheme": "https", "method": "GET",
        "host": "api.example.com", "path": "/pay", "status": 200, "duration_us": 10_000,
        "exe": "/bin/shop", "bytes_sent": 100, "bytes_received": 200, "vendor": "",
    } | columns  # fmt: skip
    load = new_id()
    rows = [
        {
            "account_id": account_id, "environment_id": environment_id, "agent_id": UUID(int=7),
            "timestamp": at + every * i, "request_id": uuid4(), "connection_id": uuid4(),
            "load_id": load, "received_at": at + every * i,
            **{k: v(i) if callable(v) else v for k, v in plain.items()},
        }
        for i in range(count)
    ]  # fmt: skip
    store.client().raw_insert(
        "requests",
        column_names=list(rows[0]),
        insert_block="".join(json.dumps(row, default=_plain) + "\n" for row in rows),
        fmt="JSONEachRow",
        settings={"wait_end_of_query": 1},
    )


def _plain(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else str(value)
