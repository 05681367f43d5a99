"""How long an account keeps each kind, and until when it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from pulse.retention.kinds import ORDER, Kind
from pulse.retention.limits import bounds
from pulse.store.retention import Held
from pulse.tables.retention import LegalHold, RetentionChoice, RetentionMark

RUN_HOUR: Final = 2
"""UTC. A day's data go two hours into the next one, when nobody looks at that day any more."""
NOTICE: Final = timedelta(hours=1)
"""What is shortened later than this before a run holds from the run after it."""


def kept_days(choice: RetentionChoice | None, moment: datetime) -> dict[Kind, int]:
    """Days by kind that are in force. Longer holds at once, shorter from ``holds_from`` on."""
    found = chosen_days(choice.days if choice else {})
    if choice is not None and moment < choice.holds_from:
        before = chosen_days(choice.previous)
        found = {kind: max(days, before[kind]) for kind, days in found.items()}
    return found


def chosen_days(days: Mapping[str, int]) -> dict[Kind, int]:
    """The choice within the platform's bounds, defaults where there is none."""
    found = {}
    for kind in Kind:
        limit = bounds(kind)
        found[kind] = limit.within(days.get(kind, limit.default))
    # Bounds may have moved since it was chosen: what is coarser is kept as long as what is finer.
    for shorter, longer in ORDER:
        found[longer] = max(found[longer], found[shorter])
    return found


def next_run(moment: datetime) -> datetime:
    """The first run after the moment."""
    run = midnight(moment) + timedelta(hours=RUN_HOUR)
    return run if run > moment else run + timedelta(days=1)


def through(days: int, moment: datetime) -> datetime:
    """What lies before it is older than ``days`` for the last run before the moment."""
    return midnight(moment - timedelta(hours=RUN_HOUR)) - timedelta(days=days)


def midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def mark_of(account_id: UUID, kind: Kind) -> datetime | None:
    """What is before it is gone. In the caller's scope."""
    marks = RetentionMark.objects.filter(account_id=account_id, kind=kind)
    found: datetime | None = marks.values_list("through", flat=True).first()
    return found


def holds_on(account_id: UUID) -> list[LegalHold]:
    """Those that are in force. In the caller's scope."""
    return list(LegalHold.objects.filter(account_id=account_id, released_at=None))


def held(holds: list[LegalHold]) -> tuple[Held, ...]:
    return tuple(Held(hold.environment_id, hold.since, hold.until) for hold in holds)


def is_held(holds: list[LegalHold], environment_id: UUID | None, since: datetime, until: datetime
            ) -> bool:  # fmt: skip
    """Whether something of the environment, or of all, in ``[since, until]`` may not go."""
    return any(
        (hold.environment_id is None or environment_id in (None, hold.environment_id))
        and (hold.since is None or until >= hold.since)
        and (hold.until is None or since < hold.until)
        for hold in holds
    )


def held_days(holds: list[LegalHold], first: date, last: date) -> list[date]:
    """UTC days in ``[first, last]`` of which something may not go."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)] if holds else []
    return [day for day in days if is_held(holds, None, _start(day), _start(day) + _ALMOST)]


_ALMOST: Final = timedelta(days=1) - timedelta(microseconds=1)


def _start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
