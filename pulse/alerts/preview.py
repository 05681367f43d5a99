"""What a rule would have done: the same readings and the same steps, on the past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from pulse.alerts.machine import Effect, Progress, Reading, step
from pulse.alerts.readings import Measured, readings
from pulse.alerts.rules import MEASURES, Spec
from pulse.store.client import Store
from qcloud.kernel.scope import Scope

SPAN: Final = timedelta(days=7)
POINTS: Final = 336
"""Of the picture: half an hour each over a week."""


@dataclass(frozen=True, slots=True)
class Firing:
    since: datetime
    fired_at: datetime
    until: datetime | None
    """``None``: it would be firing now."""
    worst: float | None


@dataclass(frozen=True, slots=True)
class Preview:
    possible: bool
    """False for what is only known for now."""
    since: datetime
    until: datetime
    firings: tuple[Firing, ...]
    points: tuple[tuple[datetime, float | None], ...]
    """The value that is nearest to firing in each stretch of time."""
    minutes_without_data: int
    present: Measured | None = None
    """Now, where nothing of the past is known."""
    unit: str = ""

    @property
    def sentence(self) -> str:
        days = round((self.until - self.since) / timedelta(days=1))
        if not self.possible:
            return f"Only the present is known of this. {self._now}"
        if not self.firings:
            return f"Would not have fired in the last {days} days."
        times = "once" if len(self.firings) == 1 else f"{len(self.firings)} times"
        return f"Would have fired {times} in the last {days} days."

    @property
    def _now(self) -> str:
        if self.present is None or self.present.value is None:
            return "There is no data now."
        would = "fire" if self.present.reading is Reading.BAD else "not fire"
        return f"It is {self.present.value:,.4g} {self.unit} now, and would {would}."


def preview(
    scope: Scope,
    spec: Spec,
    environment_id: UUID | None,
    moment: datetime,
    *,
    store: Store | None = None,
) -> Preview:
    """Inside the account's scope. Raises ``StoreUnavailable``."""
    until = moment.replace(second=0, microsecond=0)
    since = until - SPAN
    if not MEASURES[spec.measure].past:
        (present,) = readings(scope, spec, environment_id, until, until, store=store)
        return Preview(False, since, until, (), (), 0, present, MEASURES[spec.measure].unit)
    found = readings(scope, spec, environment_id, since, until, store=store)
    return Preview(
        True,
        since,
        until,
        tuple(firings(spec, found)),
        tuple(_points(spec, found)),
        sum(m.value is None for m in found),
    )


def firings(spec: Spec, found: Sequence[Measured]) -> list[Firing]:
    progress, made = Progress(), list[Firing]()
    current: Firing | None = None
    for measured in found:
        progress, effects = step(progress, measured.reading, measured.at, spec.times, quiet=True)
        if Effect.FIRE in effects:
            since = progress.since or measured.at
            current = Firing(since, measured.at, None, measured.value)
        elif Effect.RECOVER in effects and current:
            made.append(Firing(current.since, current.fired_at, measured.at, current.worst))
            current = None
        elif current:
            worst = _worse(spec, current.worst, measured.value)
            current = Firing(current.since, current.fired_at, None, worst)
    return [*made, current] if current else made


def _worse(spec: Spec, one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other) if spec.above else min(one, other)


def _points(spec: Spec, found: Sequence[Measured]) -> list[tuple[datetime, float | None]]:
    size = max(1, len(found) // POINTS)
    points: list[tuple[datetime, float | None]] = []
    for start in range(0, len(found), size):
        worst: float | None = None
        for measured in found[start : start + size]:
            worst = _worse(spec, worst, measured.value)
        points.append((found[start].at, worst))
    return points
