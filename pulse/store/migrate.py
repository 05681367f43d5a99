"""Numbered SQL files, each applied once. A file that has landed is never edited."""

from __future__ import annotations

from importlib.resources import files

import structlog
from clickhouse_connect.driver.client import Client

from pulse.store.client import Store, default_store, unavailable
from pulse.store.cluster import Layout

log = structlog.get_logger(__name__)


def migrate(store: Store) -> list[str]:
    """Bring the database to the current schema; returns the names of files applied now.

    Each file holds one statement as one server takes it; ``Layout`` says what it is on a
    cluster. It is one that can run twice, because a crash may come between the
    statement and its note. Raises ``StoreUnavailable``.
    """
    layout = store.settings.layout
    with unavailable(store.settings):
        first = store.connect("default")
        first.command(f"CREATE DATABASE IF NOT EXISTS `{layout.database}`{layout.on}")
        first.close()
        client = store.client()
        client.command(layout.applied_migrations(), settings=layout.changing)
        done = {row[0] for row in client.query("SELECT name FROM applied_migrations").result_rows}
        pending = [name for name in names() if name not in done]
        for name in pending:
            _apply(client, layout, name)
    return pending


def main() -> None:
    """``migrate`` on the store that the environment names."""
    migrate(default_store())


def names() -> list[str]:
    """Every migration, in order."""
    folder = files("pulse.store") / "migrations"
    return sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))


def _apply(client: Client, layout: Layout, name: str) -> None:
    for statement in layout.migration(text_of(name)):
        client.command(statement, settings=layout.changing)
    client.insert("applied_migrations", [[name]], column_names=["name"], settings=_noted(layout))
    log.info("event store migrated", migration=name)


def text_of(name: str) -> str:
    return (files("pulse.store") / "migrations" / name).read_text()


def _noted(layout: Layout) -> dict[str, str]:
    return {"insert_quorum": "auto"} if layout.cluster else {}
