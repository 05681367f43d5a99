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
_MOMENT: Final = "fromUnixTimestamp64Micro({after_at:Int64}, 'UTC')"
SORTS: Final = ("timestamp", "status", "duration_us", "bytes_sent", "bytes_received")
"""What a list can be ordered by; all of them whole numbers, a time in microseconds."""


Place = tuple[int, int, UUID]
"""Where a request stands in an order: the order's value, its time in microseconds, its id."""


@dataclass(frozen=True)
class Order:
    """By a column of ``SORTS``; where that is equal by time, and then by id."""

    by: str = "timestamp"
    descending: bool = True

    def __post_init__(self) -> None:
        if self.by not in SORTS:
            raise Invalid(f"Requests can be sorted by {', '.join(SORTS)}, not by {self.by!r}.")

    @property
    def columns(self) -> tuple[str, ...]:
        return ("timestamp",) if self.by == "timestamp" else (self.by, "timestamp")

    def clause(self, *more: str) -> str:
        way = "DESC" if self.descending else "ASC"
        return "ORDER BY " + ", ".join(f"{name} {way}" for name in (*self.columns, *more))

    @property
    def behind(self) -> tuple[str, ...]:
        """Conditions one of which holds for what comes behind ``{after}``, ``{after_at}`` and
        ``{after_id}``. Only the second one, of very few rows, needs their ids.
        """
        less = "<" if self.descending else ">"
        at = f"timestamp = {_MOMENT} AND request_id {less} {{after_id:UUID}}"
        if self.by == "timestamp":
            return f"timestamp {less} {_MOMENT}", at
        earlier = f"({self.by} {less} {{after:Int64}} OR timestamp {less} {_MOMENT})"
        return (
            f"{self.by} {less}= {{after:Int64}} AND {earlier}",
            f"{self.by} = {{after:Int64}} AND {at}",
        )

    def place_of(self, row: RequestRow) -> Place:
        at = micros(row.timestamp)
        value = at if self.by == "timestamp" else int(getattr(row, self.by))
        return value, at, row.request_id


def in_order(
    scope: Scope,
    chosen: TrafficFilter,
    limit: int,
    order: Order,
    after: Place | None,
    *,
    store: Store | None = None,
) -> list[RequestRow]:
    """Up to ``limit`` requests from behind ``after`` on."""
    where, parameters = conditions(scope, chosen)
    parameters |= {"limit": limit}
    behind: tuple[str, ...] = ("1",)
    if after is not None:
        behind = order.behind
        parameters |= {"after": after[0], "after_at": after[1], "after_id": after[2]}
    if order.by != "timestamp":
        moments = _moments(scope, where, parameters, order=order, behind=behind, store=store)
        if not moments:
            return []
        where += f" AND timestamp IN ({moments})"
    sql = (
        f"SELECT {_LIST} FROM requests WHERE {where} AND (({') OR ('.join(behind)}))"  # noqa: S608
        f" {order.clause('request_id')} LIMIT {{limit:UInt32}}"
    )
    rows = ask(scope, sql, parameters, store=store)
    return [RequestRow(*_plain(row)) for row in rows]


def _moments(
    scope: Scope,
    where: str,
    parameters: dict[str, Any],
    *,
    order: Order,
    behind: tuple[str, ...],
    store: Store | None,
) -> str:
    """When the requests of the page happened, as a list for the key: the whole range is searched
    in two columns alone, and the others are read where the page is.
    """
    branches = (
        f"SELECT {', '.join(order.columns)} FROM requests WHERE {where} AND {condition}"  # noqa: S608
        f" {order.clause()} LIMIT {{limit:UInt32}}"
        for condition in behind
    )
    sql = (
        f"SELECT DISTINCT toUnixTimestamp64Micro(timestamp) FROM ("  # noqa: S608
        f"SELECT * FROM (({') UNION ALL ('.join(branches)})) {order.clause()}"
        " LIMIT {limit:UInt32})"
    )
    rows = ask(scope, sql, parameters, store=store)
    return ", ".join(f"fromUnixTimestamp64Micro({int(row[0])}, 'UTC')" for row in rows)


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
