"""The one way to ask about events: the tenant's filter is set here, never by the caller."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from clickhouse_connect.driver.query import QueryResult

from pulse.store.client import Store, default_store, unavailable
from pulse.store.kinds import EVENT_TABLES
from qcloud.kernel.scope import Scope, Tier

TENANT_TABLES: Final = (*EVENT_TABLES, "rollups")
"""Every table with rows of tenants; a test compares it with the tables that exist."""

_NOTHING: Final = "0"
_PAST_THE_FILTER: Final = re.compile(
    rf"\b(FROM|JOIN)\s+(?!(?:{'|'.join(TENANT_TABLES)})\b(?!\s*[.(])|\(|\[)\S+"
    r"|\b(system|information_schema)\s*\.|\b(file|dictGet\w*|joinGet\w*)\s*\(",
    re.IGNORECASE,
)
"""The engine filters tables by name. What reads them by another way (``merge('qcloud',
'requests')``, ``mergeTreeIndex``, ``system.parts``) it lets through, so no statement of ours
for a tenant reads from anything but the table itself or a sub-select."""


def ask(
    scope: Scope, sql: str, parameters: Mapping[str, Any], *, store: Store | None = None
) -> Sequence[Sequence[Any]]:
    """The rows of ``sql`` as this account may see them.

    A customer sees its own rows; who is limited to environments sees those rows alone. A
    reseller and the cloud see none: they read sums from metering. ``parameters`` fill
    ``{name:Type}`` in the statement and are never part of its text. Raises
    ``StoreUnavailable``, and ``ValueError`` for a statement that reads past the filter.
    """
    _refuse_past_the_filter(sql)
    chosen = store or default_store()
    settings = {"additional_table_filters": _filters(chosen, _condition(scope)), "readonly": 1}
    return _rows(chosen, sql, parameters, settings)


def ask_arrow(
    scope: Scope,
    sql: str,
    parameters: Mapping[str, Any],
    *,
    dictionaries: bool = False,
    store: Store | None = None,
) -> pa.Table:
    """As ``ask``, in columns; ``dictionaries``: of LowCardinality each value once, and indices."""
    _refuse_past_the_filter(sql)
    chosen = store or default_store()
    settings = {"additional_table_filters": _filters(chosen, _condition(scope)), "readonly": 1}
    if dictionaries:
        settings["output_format_arrow_low_cardinality_as_dictionary"] = 1
        # Few columns over a short way: packing them takes longer than sending them.
        settings["output_format_arrow_compression_method"] = "none"
    client = chosen.client()
    with unavailable(chosen.settings):
        found: pa.Table = client.query_arrow(
            sql,
            parameters=dict(parameters),
            settings={**chosen.settings.layout.reading, **settings},
        )
    return found


def _refuse_past_the_filter(sql: str) -> None:
    if _PAST_THE_FILTER.search(sql):
        raise ValueError(
            f"for a tenant only the tables of events and their rollups may be read: {sql[:200]}"
        )


def ask_as_system(
    reason: str, sql: str, parameters: Mapping[str, Any], *, store: Store | None = None
) -> Sequence[Sequence[Any]]:
    """The rows of ``sql`` over all tenants: for metering, loading and checks.

    ``reason`` stands in the engine's log. Raises ``StoreUnavailable``.
    """
    settings = {"log_comment": reason, "readonly": 1}
    return _rows(store or default_store(), sql, parameters, settings)


def _rows(
    store: Store, sql: str, parameters: Mapping[str, Any], settings: dict[str, Any]
) -> Sequence[Sequence[Any]]:
    client = store.client()
    settings = {**store.settings.layout.reading, **settings}
    with unavailable(store.settings):
        result: QueryResult = client.query(sql, parameters=dict(parameters), settings=settings)
    return result.result_rows


def _condition(scope: Scope) -> str:
    if scope.tier is not Tier.CUSTOMER:
        return _NOTHING
    account = f"account_id = toUUID('{scope.account_id}')"
    if scope.environments is None:
        return account
    if not scope.environments:
        return _NOTHING
    listed = ", ".join(f"toUUID('{e}')" for e in sorted(map(str, scope.environments)))
    return f"{account} AND environment_id IN ({listed})"


def _filters(store: Store, condition: str) -> str:
    quoted = condition.replace("'", "\\'")
    layout = store.settings.layout
    names = (name for table in TENANT_TABLES for name in layout.names(table))
    pairs = (f"'{store.settings.database}.{name}': '{quoted}'" for name in names)
    return "{" + ", ".join(pairs) + "}"
