"""What an alert says, and to which channels."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from identity.brands import mail_brand
from identity.selectors import account
from notify.portal import portal_address
from notify.services import Notice, channel_send
from pulse.alerts.machine import Effect
from pulse.alerts.readings import Measured
from pulse.alerts.rules import MEASURES, Spec
from pulse.tables.alerts import AlertRule, Incident
from qcloud.kernel.clock import told
from qcloud.kernel.scope import Tier

_WORDS: Final = {
    Effect.TELL: ("alert.firing", "Firing"),
    Effect.REPEAT: ("alert.repeated", "Still firing"),
    Effect.ESCALATE: ("alert.escalated", "Escalated"),
    Effect.RECOVER: ("alert.recovered", "Recovered"),
}
_COLOURS: Final = {"info": "#0A5BAE", "warning": "#7A4B00", "critical": "#B0241C"}
_RECOVERED: Final = "#17683A"


def tell(
    row: AlertRule, spec: Spec, incident: Incident, effect: Effect, measured: Measured
) -> None:
    """Write the deliveries, in the transaction of the evaluation.

    Their keys are made of the incident and the minute: evaluated twice, told once.
    """
    notice = _notice(row, spec, incident, effect, measured)
    key = f"alert:{incident.id.hex}:{effect.value}"
    if effect is Effect.REPEAT:
        key += f":{measured.at:%Y%m%d%H%M}"
    brand = mail_brand(account(row.account_id).scope.path)
    for channel_id in _channels(row, incident, effect):
        channel_send(
            account_id=row.account_id,
            channel_id=channel_id,
            notice=notice,
            key=key,
            brand=brand,
        )


def _channels(row: AlertRule, incident: Incident, effect: Effect) -> list[UUID]:
    """Recovery goes to everybody who was told, escalation included."""
    chosen = list(row.channels)
    if effect is Effect.ESCALATE:
        chosen = list(row.escalation_channels)
    elif effect is Effect.RECOVER and incident.escalated:
        chosen += row.escalation_channels
    return [UUID(text) for text in dict.fromkeys(chosen)]


def _notice(
    row: AlertRule, spec: Spec, incident: Incident, effect: Effect, measured: Measured
) -> Notice:
    event, state = _WORDS[effect]
    if incident.no_data and effect is not Effect.RECOVER:
        state = f"{state}, no data"
    return Notice(
        event=event,
        heading=row.name,
        state=state,
        severity=row.severity,
        facts=_facts(spec, incident, measured, account(row.account_id).timezone),
        link=alert_address(row.account_id, f"incidents/{incident.id}"),
        silence_link=alert_address(row.account_id, f"silences?rule={row.id}"),
        colour=_RECOVERED if effect is Effect.RECOVER else _COLOURS[row.severity],
        data={
            "rule_id": str(row.id),
            "incident_id": str(incident.id),
            "measure": spec.measure,
            "value": measured.value,
            "threshold": spec.threshold,
            "started_at": incident.started_at.isoformat(),
            "fired_at": incident.fired_at.isoformat(),
            "recovered_at": incident.recovered_at.isoformat() if incident.recovered_at else None,
        },
    )


def alert_address(account_id: UUID, page: str) -> str:
    """Of a page below “Alerts” in the account's own portal; empty: nobody said where that is."""
    base, owner = portal_address(), account(account_id)
    door = {Tier.CLOUD: "admin", Tier.RESELLER: f"r/{owner.slug}"}.get(owner.scope.tier)
    return f"{base}/{door or f'c/{owner.slug}'}/alerts/{page}" if base else ""


def _facts(
    spec: Spec, incident: Incident, measured: Measured, zone: str
) -> tuple[tuple[str, str], ...]:
    unit = MEASURES[spec.measure].unit
    facts = [
        ("Rule", spec.sentence),
        ("Now", "no data" if measured.value is None else f"{measured.value:,.4g} {unit}"),
        ("Since", told(incident.started_at, zone)),
    ]
    if incident.worst_value is not None:
        facts.insert(2, ("Worst", f"{incident.worst_value:,.4g} {unit}"))
    if incident.recovered_at:
        lasted = int((incident.recovered_at - incident.started_at).total_seconds() // 60)
        facts.append(("Lasted", f"{lasted:,} min"))
    return tuple(facts)
