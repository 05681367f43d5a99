"""Reads of rules, incidents and silences."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from pulse.alerts.rules import Spec
from pulse.tables.alerts import AlertRule, Incident, Silence
from qcloud.kernel.clock import now
from qcloud.kernel.scope import Scope, scoped

INCIDENT_SORTS: Final = ("started_at", "recovered_at", "severity", "rule_name", "told")


@dataclass(frozen=True, slots=True)
class RuleInfo:
    id: UUID
    name: str
    enabled: bool
    severity: str
    environment_id: UUID | None
    spec: Spec
    channels: tuple[UUID, ...]
    escalation_channels: tuple[UUID, ...]
    phase: str
    """``ok``, ``pending``, ``firing`` or ``no_data``."""
    value: float | None
    evaluated_at: datetime
    trouble: str
    created_by: str


@dataclass(frozen=True, slots=True)
class IncidentInfo:
    id: UUID
    rule_id: UUID
    environment_id: UUID | None
    rule_name: str
    severity: str
    started_at: datetime
    fired_at: datetime
    recovered_at: datetime | None
    no_data: bool
    first_value: float | None
    worst_value: float | None
    acknowledged_at: datetime | None
    acknowledged_by: str
    told: int
    escalated: bool
    silenced: bool
    closed_reason: str

    @property
    def state(self) -> str:
        if self.recovered_at is None:
            return "no data" if self.no_data else "firing"
        return "closed" if self.closed_reason else "recovered"


@dataclass(frozen=True, slots=True)
class SilenceInfo:
    id: UUID
    rule_id: UUID | None
    severity: str
    environment_id: UUID | None
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_by: str

    @property
    def state(self) -> str:
        moment = now()
        if self.ends_at <= moment:
            return "over"
        return "active" if self.starts_at <= moment else "planned"


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    text: str = ""
    state: str = ""
    """``open`` or ``over``."""
    severity: str = ""
    rule_id: UUID | None = None
    since: datetime | None = None


def rules(scope: Scope) -> list[RuleInfo]:
    with scoped(scope):
        return [rule_info(row) for row in AlertRule.objects.all()]


def rule(scope: Scope, rule_id: UUID) -> RuleInfo | None:
    with scoped(scope):
        row = AlertRule.objects.filter(id=rule_id).first()
        return rule_info(row) if row else None


def rule_info(row: AlertRule) -> RuleInfo:
    return RuleInfo(
        row.id, row.name, row.enabled, row.severity, row.environment_id, Spec.load(row.spec),
        tuple(map(UUID, row.channels)), tuple(map(UUID, row.escalation_channels)), row.phase,
        row.value, row.evaluated_at, row.trouble, row.created_by,
    )  # fmt: skip


def incidents(
    scope: Scope,
    chosen: IncidentFilter,
    *,
    sort: str = "started_at",
    descending: bool = True,
    offset: int = 0,
    limit: int = 50,
) -> tuple[list[IncidentInfo], int]:
    way = "-" if descending else ""
    key = sort if sort in INCIDENT_SORTS else "started_at"
    with scoped(scope):
        rows = _narrowed(Incident.objects.all(), chosen)
        page = rows.order_by(f"{way}{key}", f"{way}id")[offset : offset + limit]
        return [incident_info(row) for row in page], rows.count()


def incident(scope: Scope, incident_id: UUID) -> IncidentInfo | None:
    with scoped(scope):
        row = Incident.objects.filter(id=incident_id).first()
        return incident_info(row) if row else None


def silences(scope: Scope) -> list[SilenceInfo]:
    """The latest 500, those over included."""
    with scoped(scope):
        return [silence_info(row) for row in Silence.objects.all()[:500]]


def _narrowed(rows: Any, chosen: IncidentFilter) -> Any:
    if chosen.state:
        rows = rows.filter(recovered_at__isnull=chosen.state == "open")
    if chosen.text:
        rows = rows.filter(
            Q(rule_name__icontains=chosen.text) | Q(acknowledged_by__icontains=chosen.text)
        )
    plain = {"severity": chosen.severity, "rule_id": chosen.rule_id,
             "started_at__gte": chosen.since}  # fmt: skip
    return rows.filter(**{name: value for name, value in plain.items() if value})


def incident_info(row: Incident) -> IncidentInfo:
    return IncidentInfo(*(getattr(row, f.name) for f in fields(IncidentInfo)))


def silence_info(row: Silence) -> SilenceInfo:
    return SilenceInfo(*(getattr(row, f.name) for f in fields(SilenceInfo)))
