"""Removing what is old: always an account's rows before a moment, without what is held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from pulse.store.client import Store, default_store, unavailable
from pulse.store.filters import micros
from pulse.store.gate import ask_as_system
from pulse.store.kinds import EVENT_TABLES

_NOW: Final = {"lightweight_deletes_sync": 2}
"""The statement returns when nobody sees the rows any more, on all replicas."""


@dataclass(frozen=True)
class Held:
    """Events that may not go: of one environment or, with ``None``, of all; half-open."""

    environment_id: UUID | None
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True)
class Old:
    """An account's rows before ``through``: events or, with a ``level``, sums."""

    account_id: UUID
    through: datetime
    level: int = 0
    """0: events. Otherwise the seconds of a bucket of ``rollups``."""
    events: str = "requests"
    """The table of events."""
    held: Sequence[Held] = ()
    """Of events."""
    held_days: Sequence[date] = ()
    """Of rollups: a day is kept as a whole, for its sums are of all environments."""

    @property
    def table(self) -> str:
        return "rollups" if self.level else self.events

    @property
    def where(self) -> str:
        if self.level:
            return (
                "account_id = {account:UUID} AND level = {level:UInt32}"
                " AND bucket < {through:DateTime('UTC')}"
            )
        return (
            "account_id = {account:UUID}"
            " AND timestamp < fromUnixTimestamp64Micro({through_us:Int64}, 'UTC')"
        )

    @property
    def kept(self) -> str:
        """The condition of those rows that stay all the same; empty: none do."""
        if self.level:
            return "toDate(bucket) IN {days:Array(Date)}" if self.held_days else ""
        return " OR ".join(_held(number, one) for number, one in enumerate(self.held))

    @property
    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "account": self.account_id,
            "through": self.through.astimezone(UTC).replace(tzinfo=None),
            "through_us": micros(self.through),
            "level": self.level,
            "days": list(self.held_days),
        }
        for number, one in enumerate(self.held):
            found |= _held_parameters(number, one)
        return found


def _held(number: int, one: Held) -> str:
    parts = ["1"]
    if one.environment_id is not None:
        parts.append(f"environment_id = {{held_environment_{number}:UUID}}")
    if one.since is not None:
        parts.append(f"timestamp >= fromUnixTimestamp64Micro({{held_since_{number}:Int64}}, 'UTC')")
    if one.until is not None:
        parts.append(f"timestamp < fromUnixTimestamp64Micro({{held_until_{number}:Int64}}, 'UTC')")
    return f"({' AND '.join(parts)})"


def _held_parameters(number: int, one: Held) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if one.environment_id is not None:
        found[f"held_environment_{number}"] = one.environment_id
    if one.since is not None:
        found[f"held_since_{number}"] = micros(one.since)
    if one.until is not None:
        found[f"held_until_{number}"] = micros(one.until)
    return found


@dataclass(frozen=True)
class Count:
    """Rows before the moment, and those of them that would go."""

    rows: int
    due: int
    oldest: datetime | None
    """Of those that would go."""


def count_old(old: Old, *, store: Store | None = None) -> Count:
    """Raises ``StoreUnavailable``."""
    due = f"NOT ({old.kept})" if old.kept else "1"
    moment = "bucket" if old.level else "timestamp"
    sql = (
        f"SELECT count(), countIf({due}), minIf({moment}, {due}) FROM {old.table} WHERE {old.where}"  # noqa: S608
    )
    ((rows, going, oldest),) = ask_as_system("retention: count", sql, old.parameters, store=store)
    return Count(int(rows), int(going), oldest if going else None)


def delete_old(old: Old, *, store: Store | None = None) -> None:
    """Remove them; harmless to repeat. Raises ``StoreUnavailable`` or ``ClickHouseError``."""
    chosen = store or default_store()
    layout = chosen.settings.layout
    due = f" AND NOT ({old.kept})" if old.kept else ""
    with unavailable(chosen.settings):
        chosen.client().command(
            f"DELETE FROM {layout.changed(old.table)} WHERE {old.where}{due}",  # noqa: S608  names of ours
            parameters=old.parameters,
            settings={**_NOW, **layout.changing},
        )


def tables_of_others() -> tuple[str, ...]:
    """Of all events but requests."""
    return tuple(table for table in EVENT_TABLES if table != "requests")
