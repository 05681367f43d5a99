"""What the pages of alerts share: tabs, words and tones."""

from __future__ import annotations

from typing import Final

from portal.here import Here
from portal.kit.tables import Cell
from portal.kit.tabs import Tab
from qcloud.kernel.permissions import Permission

SEVERITIES: Final = (("critical", "Critical"), ("warning", "Warning"), ("info", "Info"))
_TABS: Final = (
    ("alerts", "Firing", Permission.PULSE_ALERT_READ),
    ("alert-rules", "Rules", Permission.PULSE_ALERT_READ),
    ("alert-channels", "Channels", Permission.NOTIFY_CHANNEL_READ),
    ("alert-silences", "Silences", Permission.PULSE_ALERT_READ),
    ("deliveries", "Deliveries", Permission.NOTIFY_DELIVERY_READ),
)
FACETS: Final = {
    "host": "host", "route": "route", "path_prefix": "path", "method": "method",
    "status_class": "status", "process": "process", "direction": "direction",
    "vendor": "vendor", "node": "node", "container": "container", "pod": "pod", "tag": "tag",
}  # fmt: skip
"""A rule's filters, and the facets of traffic pages that are the same."""
_SEVERITY_TONES: Final = {"critical": "danger", "warning": "warn", "info": "info"}
_STATE_TONES: Final = {
    "firing": ("Firing", "danger", "danger"),
    "no data": ("No data", "warn", "empty"),
    "no_data": ("No data", "warn", "empty"),
    "pending": ("Pending", "info", "clock"),
    "ok": ("OK", "ok", "check"),
    "off": ("Off", "muted", "pause"),
    "recovered": ("Recovered", "ok", "check"),
    "closed": ("Closed", "muted", "close"),
    "active": ("Active", "warn", "pause"),
    "planned": ("Planned", "info", "clock"),
    "over": ("Over", "muted", "check"),
}


def tabs(here: Here, current: str) -> list[Tab]:
    return [Tab(label, here.url(name), name == current) for name, label, p in _TABS if here.may(p)]


def state(name: str) -> Cell:
    words, tone, icon = _STATE_TONES[name]
    return Cell(words, tone=tone, icon=icon)


def severity(name: str) -> Cell:
    return Cell(dict(SEVERITIES)[name], tone=_SEVERITY_TONES[name])


def number(value: float | None, unit: str) -> str:
    return "no data" if value is None else f"{value:,.4g} {unit}"
