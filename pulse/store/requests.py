"""Single requests: a page of them, and one with everything known about it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions, micros
from pulse.store.gate import ask
from qcloud.kernel.errors import Invalid
from qcloud.kernel.scope import Scope


@dataclass(frozen=True)
class RequestRow:
    """A request as a list shows it."""

    timestamp: datetime
    request_id: UUID
    environment_id: UUID
    direction: str
    outcome: str
    replayed: bool
    scheme: str
    method: str
    host: str
    path: str
    status: int
    """0: no response was seen."""
    duration_us: int
    bytes_sent: int
    bytes_received: int
    exe: str
    vendor: str
    hostname: str
    container_name: str
    pod_name: str
    object_digest: str
    """Empty: no payload was kept."""


@dataclass(frozen=True)
class RequestDetail(RequestRow):
    """Everything that is known about one request. Addresses are text, empty when unknown."""

    account_id: UUID
    agent_id: UUID
    connection_id: UUID
    protocol: str
    content_type: str
    agent: str
    """The User-Agent header."""
    auth_token_type: str
    auth_token_source: str
    auth_token_mask: str
    auth_token_hash: str
    tls_probe: str
    tls_version: str
    source_ip: str
    source_port: int
    destination_ip: str
    destination_port: int
    process_id: int
    user: str
    user_id: int
    container_id: str
    container_image: str
    pod_namespace: str
    tags: str
    """``key:value``, one a line."""
    headers: str
    """``name: value`` of headers that the agent was told to send, one a line."""
    received_at: datetime
    clock_suspect: bool
    """The node's clock cannot be right: ``timestamp`` is the time of arrival."""
    reported_us: int
    """What the node said then, in microseconds since 1970."""


_LIST: Final = ", ".join(field.name for field in fields(RequestRow))
_ALL: Final = ", ".join(field.name for field in fields(RequestDetail))
_MOMENT: Final = "fromUnixTimestamp64Micro({after:Int64}, 'UTC')"
SORTS: Final = ("timestamp", "status", "duration_us", "bytes_sent", "bytes_received")
"""What a list can be ordered by; all of them whole numbers, a time in microseconds."""


@dataclass(frozen=True)
class Order:
    """By a column of ``SORTS`` and, where that is equal, by id."""

    by: str = "timestamp"
    descending: bool = True

    def __post_init__(self) -> None:
        if self.by not in SORTS:
            raise Invalid(f"Requests can be sorted by {', '.join(SORTS)}, not by {self.by!r}.")

    @property
    def clause(self) -> str:
        way = "DESC" if self.descending else "ASC"
        return f"ORDER BY {self.by} {way}, request_id {way}"

    @property
    def behind(self) -> str:
        """The condition for what comes behind ``{after}`` and ``{after_id}``."""
        less = "<" if self.descending else ">"
        value = _MOMENT if self.by == "timestamp" else "{after:Int64}"
        # The first part is implied by the second and lets the engine use its key.
        return (
            f" AND {self.by} {less}= {value}"
            f" AND ({self.by}, request_id) {less} ({value}, {{after_id:UUID}})"
        )

    def value_of(self, row: RequestRow) -> int:
        value = getattr(row, self.by)
        return micros(value) if isinstance(value, datetime) else int(value)


def in_order(
    scope: Scope,
    chosen: TrafficFilter,
    limit: int,
    order: Order,
    after: tuple[int, UUID] | None,
    *,
    store: Store | None = None,
) -> list[RequestRow]:
    """Up to ``limit`` requests from behind ``after`` (the order's value and the id) on."""
    where, parameters = conditions(scope, chosen)
    if after is not None:
        where += order.behind
        parameters |= {"after": after[0], "after_id": after[1]}
    sql = f"SELECT {_LIST} FROM requests WHERE {where} {order.clause} LIMIT {{limit:UInt32}}"  # noqa: S608
    rows = ask(scope, sql, {**parameters, "limit": limit}, store=store)
    return [RequestRow(*_plain(row)) for row in rows]


def one(scope: Scope, request_id: UUID, *, store: Store | None = None) -> RequestDetail | None:
    """The account's request with this id."""
    sql = (
        f"SELECT {_ALL} FROM requests WHERE account_id = {{account:UUID}}"  # noqa: S608
        " AND request_id = {request:UUID} LIMIT 1"
    )
    parameters = {"account": scope.account_id, "request": request_id}
    rows = ask(scope, sql, parameters, store=store)
    return RequestDetail(*_plain(rows[0])) if rows else None


def _plain(row: Any) -> list[Any]:
    return [_address(v) if isinstance(v, _ADDRESSES) else v for v in row]


_ADDRESSES: Final = (ipaddress.IPv4Address, ipaddress.IPv6Address)


def _address(value: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if value.is_unspecified:
        return ""
    if isinstance(value, ipaddress.IPv6Address) and value.ipv4_mapped:
        return str(value.ipv4_mapped)
    return str(value)
