"""Requests by the page as columns, for files: bounded memory, whatever their number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import pyarrow as pa

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions
from pulse.store.gate import ask, ask_arrow
from qcloud.kernel.scope import Scope

PAGE: Final = 50_000
_AS_TEXT: Final = (
    "request_id", "environment_id", "agent_id", "connection_id", "direction", "outcome",
    "source_ip", "destination_ip",
)  # fmt: skip
"""Ids, addresses and words, so that every reader of the file understands them."""
_NAMES: Final = (
    "timestamp", "request_id", "environment_id", "agent_id", "connection_id", "direction",
    "outcome", "replayed", "protocol", "scheme", "method", "host", "path", "route", "status",
    "duration_us", "bytes_sent", "bytes_received", "content_type", "agent", "vendor",
    "auth_token_type", "auth_token_source", "auth_token_mask", "tls_probe", "tls_version",
    "source_ip", "source_port", "destination_ip", "destination_port", "hostname", "exe",
    "process_id", "user", "user_id", "container_name", "container_image", "pod_namespace",
    "pod_name", "tags", "headers", "object_digest",
)  # fmt: skip
# No alias bears the name of a column: conditions and order would mean the text then.
_LISTED: Final = ", ".join(
    f"{f'toString({name})' if name in _AS_TEXT else name} AS c{place}"
    for place, name in enumerate(_NAMES)
)
_AT: Final = "toInt64(toUnixTimestamp64Micro(timestamp))"


def count_requests(scope: Scope, chosen: TrafficFilter, *, store: Store | None = None) -> int:
    where, parameters = conditions(scope, chosen)
    sql = f"SELECT count() FROM requests WHERE {where}"  # noqa: S608
    return int(ask(scope, sql, parameters, store=store)[0][0])


def request_pages(
    scope: Scope, chosen: TrafficFilter, *, store: Store | None = None
) -> Iterator[pa.Table]:
    """The requests of the filter, the oldest first, ``PAGE`` at a time; times in microseconds,
    UTC. Raises ``StoreUnavailable``.
    """
    where, parameters = conditions(scope, chosen)
    after: dict[str, Any] = {}
    while True:
        behind = (
            " AND timestamp >= fromUnixTimestamp64Micro({after:Int64}, 'UTC')"
            " AND (timestamp, request_id)"
            " > (fromUnixTimestamp64Micro({after:Int64}, 'UTC'), {after_id:UUID})"
            if after
            else ""
        )
        sql = (
            f"SELECT {_LISTED}, {_AT} AS at_us FROM requests WHERE {where}{behind}"  # noqa: S608
            " ORDER BY timestamp, request_id LIMIT {page:UInt32}"
        )
        found = ask_arrow(scope, sql, {**parameters, **after, "page": PAGE}, store=store)
        found = found.rename_columns([*_NAMES, "at_us"])
        if found.num_rows:
            last = found.num_rows - 1
            after = {
                "after": found["at_us"][last].as_py(),
                "after_id": UUID(_text(found["request_id"][last].as_py())),
            }
            yield found.drop_columns(["at_us"])
        if found.num_rows < PAGE:
            return


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
