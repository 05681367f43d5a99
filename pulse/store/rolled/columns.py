"""What stands under versions of rollups, and single requests, in columns as they are stored.

Nothing is summed here: who asks keeps the columns and sums as it needs. The values of text are
dictionaries, each once; environments the 16 bytes of their ids; directions numbers, see
``DIRECTIONS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from pulse.store.client import Store
from pulse.store.filters import TrafficFilter, conditions
from pulse.store.gate import ask, ask_arrow
from pulse.store.latency import KEY
from pulse.store.rolled.cover import Span, Unit
from pulse.store.rolled.kinds import COUNTS, VALUES
from pulse.store.rolled.read import raw_conditions
from qcloud.kernel.scope import Scope

DIRECTIONS: Final = ("", "ingress", "egress-internal", "egress-external")
"""By their numbers."""
_SUMS: Final = (*COUNTS, "errors")
_KINDS: Final = {kind: kind for kind in ("cube", "total", *VALUES)}
_WHERE: Final = (
    "account_id = {account:UUID} AND level = {level:UInt32} AND kind IN (%s)"
    " AND bucket >= toDateTime({since:UInt32}, 'UTC')"
    " AND bucket < toDateTime({until:UInt32}, 'UTC')"
    " AND version IN {versions:Array(UInt64)}"
)
_VALUES: Final = (
    "SELECT version, toUInt32(bucket) AS moment,"  # noqa: S608
    " UUIDToNum(environment_id) AS environment,"
    f" toLowCardinality(toString(kind)) AS kind, value, [{', '.join(_SUMS)}] AS sums,"
    " histogram.1 AS keys, histogram.2 AS times FROM rollups WHERE " + _WHERE
)
_CELLS: Final = (
    "SELECT version, toUInt32(bucket) AS moment, UUIDToNum(environment_id) AS environment,"  # noqa: S608
    " toInt8(direction) AS direction_number, exe AS process, host, vendor, method,"
    " route, status, requests, bytes_sent, bytes_received, replayed,"
    " histogram.1 AS keys, histogram.2 AS times FROM rollups WHERE " + _WHERE
)
_REQUESTS: Final = (
    "SELECT toUnixTimestamp64Micro(timestamp) AS moment,"  # noqa: S608
    " UUIDToNum(environment_id) AS environment,"
    " toInt8(direction) AS direction_number, exe AS process, host, vendor, method,"
    f" route, status, {KEY} AS key, bytes_sent, bytes_received, replayed"
    " FROM requests WHERE %s LIMIT {most:UInt64}"
)


@dataclass(frozen=True)
class Size:
    """What the rows of one version are."""

    rows: int
    keys: int
    """Entries of their histograms."""


def sizes(
    scope: Scope, units: Sequence[Unit], kinds: Sequence[str], *, store: Store | None = None
) -> dict[int, Size]:
    """By version. All units are of one level."""
    where = _WHERE % _listed(kinds)
    sql = (
        "SELECT version, count(), sum(length(histogram.1)) FROM rollups"  # noqa: S608
        f" WHERE {where} GROUP BY version"
    )
    rows = ask(scope, sql, _parameters(scope, units), store=store)
    return {int(version): Size(int(count), int(keys)) for version, count, keys in rows}


def values_under(
    scope: Scope, units: Sequence[Unit], kinds: Sequence[str], *, store: Store | None = None
) -> pa.Table:
    """Rows of these kinds. All units are of one level.

    ``version``, ``moment`` (seconds), ``environment``, ``kind``, ``value``, ``sums`` (a list in
    the order of ``COUNTS``, errors last), ``keys`` and ``times`` of the histogram.
    """
    sql = _VALUES % _listed(kinds)
    return ask_arrow(scope, sql, _parameters(scope, units), dictionaries=True, store=store)


def cells_under(scope: Scope, units: Sequence[Unit], *, store: Store | None = None) -> pa.Table:
    """Rows of the cube, dimension by dimension. All units are of one level."""
    sql = _CELLS % _listed(["cube"])
    return ask_arrow(scope, sql, _parameters(scope, units), dictionaries=True, store=store)


def requests_within(
    scope: Scope,
    spans: Sequence[Span],
    most: int,
    *,
    chosen: TrafficFilter | None = None,
    store: Store | None = None,
) -> pa.Table:
    """At most ``most`` requests of these spans (microseconds), of the filter where one is given.

    ``moment`` in microseconds, ``key`` the bucket of the latency.
    """
    where = "account_id = {account:UUID}"
    parameters: dict[str, Any] = {"account": scope.account_id}
    if chosen is not None:
        where, parameters = conditions(scope, chosen, moments=False)
    (inside,) = raw_conditions(spans)
    sql = _REQUESTS % f"{where} AND {inside}"
    parameters = {**parameters, "most": most}
    return ask_arrow(scope, sql, parameters, dictionaries=True, store=store)


def _listed(kinds: Sequence[str]) -> str:
    """As the key compares them: names of ``kinds``, never a text from outside."""
    return ", ".join(f"'{_KINDS[kind]}'" for kind in kinds)


def _parameters(scope: Scope, units: Sequence[Unit]) -> dict[str, Any]:
    return {
        "account": scope.account_id,
        "level": units[0].level,
        "since": min(unit.since for unit in units),
        "until": max(unit.until for unit in units),
        "versions": [unit.version for unit in units],
    }
