"""The state machine of one rule: pure, one step a minute.

A condition that begins to hold makes the rule *pending*; after ``for_`` without a break it is
*firing* and somebody is told. While it fires it is told again every ``repeat``, and once to
the next in line after ``escalate``, until somebody acknowledges. When the condition ends, the
incident ends, and whoever was told hears so. Without data a rule goes on as before, counts as
fine, or alerts, as its ``missing`` says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self


class Reading(StrEnum):
    GOOD = "good"
    BAD = "bad"
    MISSING = "missing"


class Missing(StrEnum):
    """What no data means."""

    IGNORE = "ignore"
    """As if all were well."""
    KEEP = "keep"
    """Whatever it was before."""
    ALERT = "alert"
    """A condition of its own."""


class Effect(StrEnum):
    FIRE = "fire"
    """An incident begins."""
    TELL = "tell"
    REPEAT = "repeat"
    ESCALATE = "escalate"
    RECOVER = "recover"
    """The incident ends; told only if it was told of."""


@dataclass(frozen=True, slots=True)
class Times:
    for_: timedelta = timedelta()
    repeat: timedelta = timedelta()
    """Zero: told once."""
    escalate: timedelta = timedelta()
    """Zero: nobody is next in line."""
    missing: Missing = Missing.IGNORE


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rule stands after a step."""

    phase: str = "ok"
    """``ok``, ``pending`` or ``firing``."""
    since: datetime | None = None
    """When the condition began to hold."""
    fired_at: datetime | None = None
    told_at: datetime | None = None
    escalated: bool = False
    without_data: bool = False
    """The condition holds because there is no data."""

    def dump(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name in self.__slots__
            if (value := getattr(self, name))
        }

    @classmethod
    def load(cls, kept: dict[str, Any]) -> Self:
        values = dict(kept)
        for name in {"since", "fired_at", "told_at"} & values.keys():
            values[name] = datetime.fromisoformat(values[name])
        return cls(**values)


def step(
    before: Progress,
    reading: Reading,
    at: datetime,
    times: Times,
    *,
    quiet: bool = False,
    acknowledged: bool = False,
) -> tuple[Progress, tuple[Effect, ...]]:
    """The next minute. ``quiet``: note everything and tell nobody of it now."""
    holds = _holds(before, reading, times.missing)
    if not holds:
        ended = (Effect.RECOVER,) if before.phase == "firing" else ()
        return Progress(), ended
    since = before.since or at
    missing = reading is Reading.MISSING and times.missing is Missing.ALERT
    if before.phase != "firing" and at - since < times.for_:
        return Progress("pending", since, without_data=missing), ()
    if before.phase == "firing":
        effects: tuple[Effect, ...] = ()
        now = replace(before, without_data=missing)
    else:
        effects = (Effect.FIRE,)
        now = Progress("firing", since, fired_at=at, without_data=missing)
    if quiet:
        return now, effects
    told, more = _told(now, at, times, acknowledged=acknowledged)
    return told, effects + more


def _holds(before: Progress, reading: Reading, missing: Missing) -> bool:
    if reading is not Reading.MISSING:
        return reading is Reading.BAD
    if missing is Missing.KEEP:
        return before.phase != "ok"
    return missing is Missing.ALERT


def _told(
    now: Progress, at: datetime, times: Times, *, acknowledged: bool
) -> tuple[Progress, tuple[Effect, ...]]:
    effects: tuple[Effect, ...] = ()
    if now.told_at is None:
        now, effects = replace(now, told_at=at), (Effect.TELL,)
    elif times.repeat and not acknowledged and at - now.told_at >= times.repeat:
        now, effects = replace(now, told_at=at), (Effect.REPEAT,)
    overdue = now.fired_at is not None and at - now.fired_at >= times.escalate
    if times.escalate and overdue and not now.escalated and not acknowledged:
        now, effects = replace(now, escalated=True), (*effects, Effect.ESCALATE)
    return now, effects
