"""What the platform says of retention: a default for each kind, and what accounts may choose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pulse.retention.kinds import KINDS, LEAST, MOST, ORDER, Kind
from qcloud.kernel.settings import Candidate, Group, Setting, duration, value

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class _Settings:
    default: Setting[timedelta]
    least: Setting[timedelta]
    most: Setting[timedelta]


def _sound(candidate: Candidate) -> dict[str, str]:
    wrong = {}
    for found in _SETTINGS.values():
        least, default = candidate(found.least), candidate(found.default)
        if not least <= default <= candidate(found.most):
            wrong[found.default.key] = "Between the shortest and the longest that may be chosen."
        for setting in (found.default, found.least, found.most):
            if candidate(setting) % _DAY:
                wrong[setting.key] = "Whole days."
    for shorter, longer in ORDER:
        if candidate(_SETTINGS[shorter].default) > candidate(_SETTINGS[longer].default):
            wrong[_SETTINGS[shorter].default.key] = (
                f"No longer than “{KINDS[longer].label}”: finer sums alone answer nothing."
            )
    return wrong


TRAFFIC: Final = Group(
    "traffic-retention",
    "Traffic retention",
    "How long an account's traffic is kept where it chose nothing, and between which bounds it"
    " may choose. What is older is removed every night, unless a legal hold is on it.",
    52,
    _sound,
)


def _declare(kind: Kind) -> _Settings:
    about = KINDS[kind]

    def one(name: str, label: str, note: str, days: int) -> Setting[timedelta]:
        return duration(
            f"pulse.retention.{kind}{name}",
            f"{about.label}: {label}",
            about=note,
            group=TRAFFIC,
            default=days * _DAY,
            low=LEAST * _DAY,
            high=MOST * _DAY,
            sensitive=True,
        )

    return _Settings(
        one("", "kept for", about.note, about.days),
        one("_least", "at least", "An account may not choose less.", LEAST),
        one("_most", "at most", "An account may not choose more.", MOST),
    )


_SETTINGS: Final = {kind: _declare(kind) for kind in Kind}


@dataclass(frozen=True)
class Bounds:
    """Whole days."""

    default: int
    least: int
    most: int

    def within(self, days: int) -> int:
        """The nearest that is allowed: bounds hold for what was chosen before them as well."""
        return min(max(days, self.least), self.most)


def bounds(kind: Kind) -> Bounds:
    found = _SETTINGS[kind]
    return Bounds(
        value(found.default) // _DAY, value(found.least) // _DAY, value(found.most) // _DAY
    )
