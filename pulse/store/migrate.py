"""Numbered SQL files, each applied once. A file that has landed is never edited."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import structlog
from clickhouse_connect.driver.client import Client

from pulse.store.client import Store, default_store, unavailable

log = structlog.get_logger(__name__)

_APPLIED: Final = """
CREATE TABLE IF NOT EXISTS applied_migrations
(name String, applied_at DateTime DEFAULT now())
ENGINE = MergeTree ORDER BY name
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""


def migrate(store: Store) -> list[str]:
    """Bring the database to the current schema; returns the names of files applied now.

    Each file holds one statement that can run twice, because a crash may come between the
    statement and its note. Raises ``StoreUnavailable``.
    """
    with unavailable(store.settings):
        first = store.connect("default")
        first.command(f"CREATE DATABASE IF NOT EXISTS `{store.settings.database}`")
        first.close()
        client = store.client()
        client.command(_APPLIED)
        done = {row[0] for row in client.query("SELECT name FROM applied_migrations").result_rows}
        pending = [name for name in names() if name not in done]
        for name in pending:
            _apply(client, name)
    return pending


def main() -> None:
    """``migrate`` on the store that the environment names."""
    migrate(default_store())


def names() -> list[str]:
    """Every migration, in order."""
    folder = files("pulse.store") / "migrations"
    return sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))


def _apply(client: Client, name: str) -> None:
    client.command((files("pulse.store") / "migrations" / name).read_text())
    client.insert("applied_migrations", [[name]], column_names=["name"])
    log.info("event store migrated", migration=name)
