"""Counting rollups: quarters and their minutes from requests, hours from quarters, days from hours.

Every statement counts whole units of one account and inserts them under versions that nobody
knows of yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from pulse.store.client import Store, default_store, unavailable
from pulse.store.gate import ask_as_system
from pulse.store.rolled.cover import Span, joined
from pulse.store.rolled.kinds import (
    COUNTED,
    COUNTS,
    CUBE,
    ERRORS,
    HISTOGRAM,
    MAX_CELLS,
    MAX_VALUES,
    MINUTE,
    OVERFLOWING,
    PLACES,
    QUARTER,
    VALUES,
    flag_of,
)

_NAMES: Final = (*COUNTS, "errors")
_COUNTS: Final = ", ".join((*(f"{text} AS {name}" for name, text in COUNTS.items()),
                            f"{ERRORS} AS errors"))  # fmt: skip
_CELLS: Final = f"{_COUNTS}, {HISTOGRAM} AS histogram"
"""For the small groups of the cube."""
_RAW: Final = f"{_COUNTS}, {COUNTED} AS histogram"
_SUMS: Final = ", ".join((*(f"sum(r.{name})" for name in _NAMES),
                          "sumMap(r.histogram)"))  # fmt: skip
_COLUMNS: Final = ", ".join(("account_id", "level", "kind", "bucket", "version", "environment_id",
                             "value", *CUBE, *_NAMES, "histogram"))  # fmt: skip
_VERSION: Final = (
    "transform(toUInt32({0}), {{starts:Array(UInt32)}}, {{versions:Array(UInt64)}}, toUInt64(0))"
)
_OF_REQUESTS: Final = (
    "FROM requests WHERE account_id = {account:UUID}"
    " AND timestamp >= toDateTime64({since:UInt32}, 6, 'UTC')"
    " AND timestamp < toDateTime64({until:UInt32}, 6, 'UTC')"
    f" AND toUInt32(toStartOfInterval(timestamp, INTERVAL {QUARTER} SECOND)) IN"
    " {starts:Array(UInt32)}"
)
_QUARTER_OF: Final = f"toStartOfInterval(timestamp, INTERVAL {QUARTER} SECOND)"
_PLAIN_CUBE: Final = "'', '', '', '', '', '', 0"
_MISSING: Final = (
    "bitTest(version, transform(kind, {kinds:Array(String)}, {bits:Array(UInt8)}, 63))"
)


def requests_by_quarter(
    account_id: UUID, spans: Sequence[Span], *, store: Store | None = None
) -> dict[int, int]:
    """Beginnings of the quarters in these spans (seconds) that have requests, and how many."""
    inside = " OR ".join(
        f"(timestamp >= toDateTime64({low}, 6, 'UTC')"
        f" AND timestamp < toDateTime64({high}, 6, 'UTC'))"
        for low, high in joined(spans)
    )
    sql = (
        f"SELECT toUInt32({_QUARTER_OF}) AS q, count() FROM requests"  # noqa: S608
        f" WHERE account_id = {{account:UUID}} AND ({inside}) GROUP BY q"
    )
    rows = ask_as_system("rollups: quarters", sql, {"account": account_id}, store=store)
    return {int(row[0]): int(row[1]) for row in rows}


def overflowing(
    account_id: UUID, starts: list[int], *, pieces: int = 1, store: Store | None = None
) -> dict[int, int]:
    """For each quarter that has requests the flags of the kinds that it has too much of.

    In several ``pieces`` (see ``count_quarters``) a kind is too much when it is in one of them.
    """
    texts = {**VALUES, **PLACES, "cube": f"({', '.join(CUBE)}, environment_id)"}
    counts = ", ".join(
        f"uniqCombined({texts[kind]}) > {MAX_CELLS if kind == 'cube' else MAX_VALUES}"
        for kind in OVERFLOWING
    )
    sql = f"SELECT toUInt32({_QUARTER_OF}) AS q, {counts} {_OF_REQUESTS} GROUP BY q"
    found: dict[int, int] = {}
    for bounds in _pieces(_bounds(account_id, starts), pieces):
        for row in ask_as_system("rollups: survey", sql, bounds, store=store):
            over = (
                flag_of(kind) for kind, is_over in zip(OVERFLOWING, row[1:], strict=True) if is_over
            )
            found[int(row[0])] = found.get(int(row[0]), 0) | sum(over)
    return found


def count_quarters(
    account_id: UUID,
    versions: Mapping[int, int],
    *,
    pieces: int = 1,
    store: Store | None = None,
) -> None:
    """Count the quarters that begin at these seconds, and their minutes, under these versions.

    In several ``pieces`` of whole minutes where there is much to count: a value then has
    several rows under one version, which readers and merges add up like any others.
    """
    parameters = _parameters(account_id, versions)
    chosen = store or default_store()
    whole = {start: version for start, version in versions.items() if not version & flag_of("cube")}
    rest = {start: version for start, version in versions.items() if start not in whole}
    for some in _pieces(parameters, pieces):
        _insert(chosen, _cube(), some)
        _insert(chosen, _minutes(), some)
        _insert(chosen, _values_of_requests(PLACES), some)
    if whole:
        _insert(chosen, _values_of_cube(), _parameters(account_id, whole))
    if rest:
        for some in _pieces(_parameters(account_id, rest), pieces):
            _insert(chosen, _values_of_requests(VALUES), some)


def merge_units(
    account_id: UUID,
    below: int,
    level: int,
    parts: list[int],
    versions: Mapping[int, int],
    *,
    store: Store | None = None,
) -> None:
    """Units of ``level`` from the rows of the level ``below`` that have the versions ``parts``."""
    bucket = f"toStartOfInterval(r.bucket, INTERVAL {level} SECOND)"
    cube = ", ".join(f"r.{name}" for name in CUBE)
    sql = (
        f"INSERT INTO rollups ({_COLUMNS})"  # noqa: S608
        f" SELECT {{account:UUID}}, {level}, r.kind, {bucket} AS b, {_VERSION.format('b')},"
        f" r.environment_id, r.value, {cube}, {_SUMS} FROM rollups AS r"
        f" WHERE r.account_id = {{account:UUID}} AND r.level = {below}"
        " AND r.bucket >= toDateTime({since:UInt32}) AND r.bucket < toDateTime({until:UInt32})"
        " AND r.version IN {parts:Array(UInt64)}"
        f" GROUP BY r.kind, b, r.environment_id, r.value, {cube}"
    )
    parameters = _parameters(account_id, versions, length=level)
    _insert(store or default_store(), sql, {**parameters, "parts": parts})


def remove_versions(account_id: UUID, versions: list[int], *, store: Store | None = None) -> None:
    """Remove rows that no manifest names any more."""
    chosen = store or default_store()
    layout = chosen.settings.layout
    with unavailable(chosen.settings):
        chosen.client().command(
            f"DELETE FROM {layout.changed('rollups')} WHERE account_id = {{account:UUID}}"  # noqa: S608
            " AND version IN {versions:Array(UInt64)}",
            parameters={"account": account_id, "versions": versions},
            settings=layout.changing,
        )


def versions_of(account_id: UUID, *, store: Store | None = None) -> set[int]:
    """Every version of the account that has rows."""
    sql = "SELECT DISTINCT version FROM rollups WHERE account_id = {account:UUID}"
    rows = ask_as_system("rollups: versions", sql, {"account": account_id}, store=store)
    return {int(row[0]) for row in rows}


def _cube() -> str:
    dimensions = ", ".join(CUBE)
    return _filled(
        f"SELECT {{account:UUID}}, {QUARTER}, 'cube' AS kind, {_QUARTER_OF} AS b,"
        f" {_VERSION.format('b')} AS version, environment_id, '', {dimensions}, {_CELLS}"
        f" {_OF_REQUESTS} GROUP BY b, environment_id, {dimensions} HAVING NOT {_MISSING}"
    )


def _minutes() -> str:
    return _filled(
        f"SELECT {{account:UUID}}, {MINUTE}, 'total', toStartOfMinute(timestamp) AS b,"
        f" {_VERSION.format(f'toStartOfInterval(b, INTERVAL {QUARTER} SECOND)')},"
        f" environment_id, '', {_PLAIN_CUBE}, {_RAW}"
        f" {_OF_REQUESTS} GROUP BY b, environment_id"
    )


def _values_of_cube() -> str:
    names = {**VALUES, "total": "''"}
    return _filled(
        f"SELECT {{account:UUID}}, {QUARTER}, pair.1 AS kind, r.bucket, r.version,"  # noqa: S608
        f" r.environment_id, pair.2 AS text, {_PLAIN_CUBE}, {_SUMS}"
        f" FROM rollups AS r ARRAY JOIN {_pairs(names)} AS pair"
        f" WHERE r.account_id = {{account:UUID}} AND r.level = {QUARTER} AND r.kind = 'cube'"
        " AND r.bucket >= toDateTime({since:UInt32}) AND r.bucket < toDateTime({until:UInt32})"
        " AND r.version IN {versions:Array(UInt64)}"
        " GROUP BY kind, r.bucket, r.version, r.environment_id, text"
        f" HAVING NOT {_MISSING.replace('version', 'r.version')}"
    )


def _values_of_requests(values: Mapping[str, str]) -> str:
    names = dict(values) if values is PLACES else {**values, "total": "''"}
    source = _OF_REQUESTS.replace(
        "FROM requests", f"FROM requests ARRAY JOIN {_pairs(names)} AS pair"
    )
    return _filled(
        f"SELECT {{account:UUID}}, {QUARTER}, pair.1 AS kind, {_QUARTER_OF} AS b,"
        f" {_VERSION.format('b')} AS version, environment_id, pair.2 AS text, {_PLAIN_CUBE},"
        f" {_RAW} {source} GROUP BY kind, b, environment_id, text HAVING NOT {_MISSING}"
    )


def _pairs(names: Mapping[str, str]) -> str:
    return "[" + ", ".join(f"('{kind}', {text})" for kind, text in names.items()) + "]"


def _filled(select: str) -> str:
    return f"INSERT INTO rollups ({_COLUMNS}) {select}"


def _bounds(account_id: UUID, starts: list[int], length: int = QUARTER) -> dict[str, Any]:
    return {
        "account": account_id,
        "since": min(starts),
        "until": max(starts) + length,
        "starts": starts,
    }


def _pieces(parameters: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    """The same over parts of the range, whole minutes each."""
    since, until = parameters["since"], parameters["until"]
    length = -(-(until - since) // count // MINUTE) * MINUTE
    for start in range(since, until, length):
        yield {**parameters, "since": start, "until": min(start + length, until)}


def _parameters(
    account_id: UUID, versions: Mapping[int, int], length: int = QUARTER
) -> dict[str, Any]:
    return {
        **_bounds(account_id, list(versions), length),
        "versions": list(versions.values()),
        "kinds": list(OVERFLOWING),
        "bits": list(range(len(OVERFLOWING))),
    }


def _insert(store: Store, sql: str, parameters: dict[str, Any]) -> None:
    with unavailable(store.settings):
        store.client().command(sql, parameters=parameters, settings=store.settings.layout.writing)
