"""All events of a kind that an account has, as it takes them along: hour by hour, the newest
first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from pulse.store.client import Store
from pulse.store.gate import ask
from pulse.store.kinds import KINDS
from qcloud.kernel.scope import Scope
from wire.events import EVENT_TYPES

MOST_AN_HOUR: Final = 100_000
"""Of one kind; what an hour has on top is left out, and no hour fills the memory."""


def columns(kind: str) -> tuple[str, ...]:
    """What is taken along of this kind, in order."""
    return ("environment_id", *(f.name for f in msgspec.structs.fields(EVENT_TYPES[kind])))


def rows_of_kind(scope: Scope, kind: str, *, store: Store | None = None) -> Iterator[Sequence[Any]]:
    """The values of ``columns(kind)``, event by event. Raises ``StoreUnavailable``."""
    table, listed = KINDS[kind].table, ", ".join(columns(kind))
    hours = (
        "SELECT DISTINCT toUInt32(toStartOfHour(timestamp)) AS hour"  # noqa: S608  our own names
        f" FROM {table} WHERE account_id = {{account:UUID}} ORDER BY hour DESC"
    )
    of_hour = (
        f"SELECT {listed} FROM {table} WHERE account_id = {{account:UUID}}"  # noqa: S608
        " AND timestamp >= toDateTime({hour:UInt32}, 'UTC')"
        " AND timestamp < toDateTime({hour:UInt32} + 3600, 'UTC')"
        " ORDER BY timestamp DESC LIMIT {most:UInt32}"
    )
    for (hour,) in ask(scope, hours, {"account": scope.account_id}, store=store):
        asked = {"account": scope.account_id, "hour": hour, "most": MOST_AN_HOUR}
        yield from ask(scope, of_hour, asked, store=store)
