"""The template of each request's path, asked for once a path and host."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse.routes.book import Paths, RouteBook

_NOT_FOUND: Final = 404


def routes_of(table: pa.Table, book: RouteBook) -> Any:
    """A dictionary array. ``table`` has ``account_id`` in 16 bytes and may lack ``host``,
    ``path`` and ``status``. Raises a database error.
    """
    if not table.num_rows:
        return pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array([], pa.string()))
    accounts = pc.dictionary_encode(table["account_id"].combine_chunks())
    hosts, paths = (_encoded(table, name) for name in ("host", "path"))
    places = _numbers(accounts) * len(hosts.dictionary) + _numbers(hosts)
    places = places * 2 + _missing(table)
    # One number for each (account, host, missing, path), and how often it occurs.
    distinct = pc.dictionary_encode(pa.array(places * len(paths.dictionary) + _numbers(paths)))
    rows = distinct.indices.to_numpy()
    place, path = np.divmod(distinct.dictionary.to_numpy(), len(paths.dictionary))
    requests = np.bincount(rows, minlength=len(place))
    order = np.argsort(place, kind="stable")
    texts = pc.take(paths.dictionary, pa.array(path[order])).to_pylist()
    ends = [*(np.flatnonzero(np.diff(place[order])) + 1).tolist(), len(place)]
    groups = _groups(place[order], ends, texts, requests[order].tolist(), (accounts, hosts))
    names: dict[str, int] = {}
    template = np.empty(len(place), dtype=np.int32)
    for end, routes in zip(ends, book.routes(groups), strict=True):
        found = [names.setdefault(route, len(names)) for route in routes]
        template[order[end - len(found) : end]] = found
    indices = pa.array(template[rows], pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))


def _encoded(table: pa.Table, name: str) -> Any:
    if name not in table.column_names:
        return pc.dictionary_encode(pa.repeat(pa.scalar(""), table.num_rows))
    column = table[name].combine_chunks()
    column = pc.fill_null(column, "") if column.null_count else column
    return column if isinstance(column, pa.DictionaryArray) else pc.dictionary_encode(column)


def _numbers(encoded: Any) -> Any:
    return encoded.indices.to_numpy().astype(np.int64)


def _missing(table: pa.Table) -> Any:
    if "status" not in table.column_names:
        return 0
    status = pc.fill_null(table["status"].combine_chunks(), 0)
    return (status.to_numpy(zero_copy_only=False) == _NOT_FOUND).astype(np.int64)


def _groups(
    places: Any, ends: list[int], texts: list[str], requests: list[int], of: tuple[Any, Any]
) -> list[Paths]:
    """What each host was asked for; all in the order of ``places``, which is sorted."""
    account_of = [UUID(bytes=value) for value in of[0].dictionary.to_pylist()]
    host_of = of[1].dictionary.to_pylist()
    groups, start = [], 0
    for end in ends:
        rest, missing = divmod(int(places[start]), 2)
        account, host = divmod(rest, len(host_of))
        some = slice(start, end)
        groups.append(
            Paths(account_of[account], host_of[host], bool(missing), texts[some], requests[some])
        )
        start = end
    return groups
