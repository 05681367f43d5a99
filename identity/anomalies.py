"""What is odd about an attempt: shown as flags with the reason, told to whoever wants to alert.

Three simple tests over the access log itself. They flag; they refuse nobody.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any, Final

from identity import access
from identity.access import Visitor
from identity.guards import network
from identity.locations import Location, kilometres
from identity.models import AccessEvent, AccessOutcome, User
from qcloud.kernel import outbox
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped

TOPIC: Final = "identity.access.anomaly"

SPRAY_NAMES: Final = 8
"""Different names that fail from one address within the window."""
SPRAY_WINDOW: Final = timedelta(minutes=10)

FASTEST_KMH: Final = 900
"""An airliner's speed."""
NEAREST_KM: Final = 300
"""Below it, location databases err too often."""

HABIT: Final = timedelta(days=60)
HABIT_LEAST: Final = 20
"""Sign-ins that make a habit."""

KINDS: Final = {
    "spray": "Password spray",
    "travel": "Impossible travel",
    "hours": "Unusual hour",
}


def of_failure(visitor: Visitor) -> list[dict[str, str]]:
    """Asked alike for names that exist and that do not."""
    since = now() - SPRAY_WINDOW
    with unscoped("access log: anomalies are looked for across accounts"):
        failed = AccessEvent.objects.filter(
            ip=visitor.ip, outcome=AccessOutcome.DENIED, event=access.SIGN_IN, at__gt=since
        )
        names = set(failed.order_by("-id").values_list("user_name", flat=True)[:500])
    if len(names) < SPRAY_NAMES:
        return []
    return [_flag("spray", f"{len(names)} names failed from {network(visitor.ip)} in 10 minutes")]


def of_sign_in(user: User, location: Location) -> list[dict[str, str]]:
    with unscoped("access log: anomalies are looked for across accounts"):
        mine = AccessEvent.objects.filter(
            user_id=user.id,
            event=access.SIGN_IN,
            outcome=AccessOutcome.ALLOWED,
            at__gt=now() - HABIT,
        ).order_by("-id")
        before = list(mine[:1_000])
    return [*_travel(before, location), *_hours(before)]


def _travel(before: list[AccessEvent], here: Location) -> list[dict[str, str]]:
    last = next((e for e in before if e.latitude is not None), None)
    if last is None or last.longitude is None or last.latitude is None:
        return []
    if here.latitude is None or here.longitude is None:
        return []
    far = kilometres((last.latitude, last.longitude), (here.latitude, here.longitude))
    hours = max((now() - last.at).total_seconds() / 3_600, 1 / 60)
    if far < NEAREST_KM or far / hours <= FASTEST_KMH:
        return []
    was, new = last.place or "elsewhere", here.name or "here"
    minutes = round(hours * 60)
    return [_flag("travel", f"{far:,.0f} km from {was} to {new} in {minutes} minutes")]


def _hours(before: list[AccessEvent]) -> list[dict[str, str]]:
    if len(before) < HABIT_LEAST:
        return []
    hour = now().hour
    habit = Counter(e.at.hour for e in before)
    if any(habit[(hour + shift) % 24] for shift in (-1, 0, 1)):
        return []
    return [_flag("hours", f"never at {hour:02d}:00 UTC in {len(before)} sign-ins of 60 days")]


def _flag(kind: str, why: str) -> dict[str, str]:
    return {"kind": kind, "why": why}


def tell(flags: list[dict[str, str]], *, user_name: str, visitor: Visitor) -> None:
    """Write flags to the outbox, in the caller's transaction."""
    payload: dict[str, Any] = {"flags": flags, "user_name": user_name, "ip": visitor.ip}
    if flags:
        outbox.publish(TOPIC, payload, account_id=None)
