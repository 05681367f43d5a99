"""Time, always aware and always UTC; told to people in the zone that they live in."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def now() -> datetime:
    return datetime.now(UTC)


def told(moment: datetime, zone: str) -> str:
    """``2026-11-21 22:02 CET (21:02 UTC)``, where no page is; ``zone`` is one of IANA."""
    local, utc = moment.astimezone(ZoneInfo(zone)), moment.astimezone(UTC)
    if not local.utcoffset():
        return f"{utc:%Y-%m-%d %H:%M} UTC"
    day = "" if local.date() == utc.date() else f"{utc:%Y-%m-%d} "
    return f"{local:%Y-%m-%d %H:%M %Z} ({day}{utc:%H:%M} UTC)"
