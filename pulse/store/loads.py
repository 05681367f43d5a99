"""Writing events: one load is one block a kind, found again by its ``load_id``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import pyarrow as pa

from pulse.store.client import Store, unavailable
from pulse.store.gate import ask_as_system
from pulse.store.kinds import EVENT_TABLES, KINDS

# One block an INSERT, whatever its size: the engine must not cut a load into several parts.
_ONE_BLOCK: Final = {
    "max_insert_block_size": 10_000_000,
    "min_insert_block_size_rows": 10_000_000,
    "min_insert_block_size_bytes": 0,
    "max_insert_threads": 1,
    "async_insert": 0,
    "wait_end_of_query": 1,
    "insert_deduplicate": 1,
}

_SAME: Final = timedelta(seconds=1.5)
"""The engine tells the seconds that it is up as a whole number."""


def insert_load(store: Store, table: pa.Table, token: str, kind: str = "request") -> int:
    """Write the rows as one block; returns how many the engine says it wrote.

    When it returns, they are on disk. The same ``token`` again writes nothing; each table has
    tokens of its own. Column names are those of the kind's table; columns that are missing
    take their defaults. Raises
    ``StoreUnavailable`` (the insert may or may not have happened) or ``ClickHouseError``.
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    client = store.client()
    with unavailable(store.settings):
        summary = client.raw_insert(
            KINDS[kind].table,
            column_names=table.column_names,
            # A view is sent as it is; bytes would be copied behind the statement first.
            insert_block=memoryview(sink.getvalue()),  # type: ignore[arg-type]
            fmt="ArrowStream",
            settings={
                **_ONE_BLOCK,
                **store.settings.layout.writing,
                "insert_deduplication_token": token,
            },
        )
    return int(summary.written_rows)


def count_load(store: Store, load_id: UUID, kind: str = "") -> int:
    """Rows of this load that are in the store, of one kind or of all."""
    tables = [KINDS[kind].table] if kind else EVENT_TABLES
    rows = 0
    for table in tables:
        sql = f"SELECT count() FROM {table} WHERE load_id = {{load:UUID}}"  # noqa: S608
        rows += int(ask_as_system("loader: verify", sql, {"load": load_id}, store=store)[0][0])
    return rows


def hours_of_load(store: Store, load_id: UUID) -> list[tuple[UUID, UUID, datetime]]:
    """Account, environment and hour of every hour that this load has requests in."""
    sql = (
        "SELECT DISTINCT account_id, environment_id, toStartOfHour(timestamp) FROM requests"
        " WHERE load_id = {load:UUID}"
    )
    rows = ask_as_system("loader: hours of a load", sql, {"load": load_id}, store=store)
    return [(row[0], row[1], row[2]) for row in rows]


def delete_load(store: Store, load_id: UUID, kind: str) -> None:
    """Remove what a broken insert left; returns when it is gone."""
    layout = store.settings.layout
    with unavailable(store.settings):
        store.client().command(
            f"ALTER TABLE {layout.changed(KINDS[kind].table)} DELETE WHERE load_id = {{load:UUID}}",
            parameters={"load": load_id},
            settings={"mutations_sync": 2, **layout.changing},
        )


def running_loads(store: Store) -> set[str]:
    """Tokens of inserts that the engine works on now, perhaps for a loader that is dead."""
    processes = store.settings.layout.processes
    named = "Settings['insert_deduplication_token'] AS token"
    sql = f"SELECT {named} FROM {processes} WHERE token != ''"  # noqa: S608
    parameters: dict[str, Any] = {}
    rows = ask_as_system("loader: inserts under way", sql, parameters, store=store)
    return {str(row[0]) for row in rows}


class Life(NamedTuple):
    """One run of the engine's process."""

    host: str
    began: datetime
    """By its own clock, to within a second."""
    seconds: int
    """For how long it has been up."""

    def is_another(self, before: Life) -> bool:
        """Whether that one has ended."""
        return self.began - before.began > _SAME and self.host == before.host


def life_of(store: Store) -> Life:
    """Raises ``StoreUnavailable``."""
    sql = "SELECT hostName(), now64(6, 'UTC'), uptime()"
    ((host, moment, up),) = ask_as_system("loader: since when it lives", sql, {}, store=store)
    return Life(str(host), moment - timedelta(seconds=int(up)), int(up))
