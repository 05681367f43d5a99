"""Removing all events of an account, and counting what is there of it."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from pulse.store.client import Store, default_store, unavailable
from pulse.store.gate import TENANT_TABLES, ask_as_system

_NOW: Final = {"mutations_sync": 2}
"""The statement returns when every part was rewritten, on all replicas."""


def rows_of(account_id: UUID, *, store: Store | None = None) -> dict[str, int]:
    """Rows of the account by table. Raises ``StoreUnavailable``."""
    counts = {}
    for table in TENANT_TABLES:
        sql = f"SELECT count() FROM {table} WHERE account_id = {{account:UUID}}"  # noqa: S608
        rows = ask_as_system("erasure: count", sql, {"account": account_id}, store=store)
        counts[table] = int(rows[0][0])
    return counts


def delete_rows_of(account_id: UUID, *, store: Store | None = None) -> None:
    """Rewrite every table without the account's rows.

    Raises ``StoreUnavailable`` or ``ClickHouseError``; it can be called again then.
    """
    chosen = store or default_store()
    layout = chosen.settings.layout
    for table in TENANT_TABLES:
        with unavailable(chosen.settings):
            chosen.client().command(
                f"ALTER TABLE {layout.changed(table)} DELETE WHERE account_id = {{account:UUID}}",
                parameters={"account": account_id},
                settings={**_NOW, **layout.changing},
            )


def rollups_under_way(*, store: Store | None = None) -> set[str]:
    """Statements that write rollups now, of whatever account, perhaps for somebody who was
    killed. Raises ``StoreUnavailable``.
    """
    chosen = store or default_store()
    processes = chosen.settings.layout.processes
    sql = f"SELECT query_id FROM {processes} WHERE query LIKE 'INSERT INTO rollups%'"  # noqa: S608
    return {str(row[0]) for row in ask_as_system("erasure: wait", sql, {}, store=store)}
