"""Whether a silence covers a rule at a moment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pulse.tables.alerts import AlertRule, Silence


def silenced(silences: Iterable[Silence], rule: AlertRule, at: datetime) -> bool:
    return any(s.starts_at <= at < s.ends_at and matches(s, rule) for s in silences)


def matches(silence: Silence, rule: AlertRule) -> bool:
    """What a silence leaves open matches everything; all that it names must be so."""
    return (
        silence.rule_id in {None, rule.id}
        and silence.severity in {"", rule.severity}
        and silence.environment_id in {None, rule.environment_id}
    )
