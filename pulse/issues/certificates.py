"""Certificates that expire soon, as findings; and issues whose servers have new ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.core.cache import cache

from pulse.issues.detectors import Finding
from pulse.issues.observing import PLATFORM, note
from pulse.store.certificates import Certificate, latest_certificates
from pulse.store.client import Store
from pulse.store.endpoints import Endpoint
from pulse.tables.issues import Issue, IssueKind, IssueSeverity, IssueState
from qcloud.kernel.clock import now
from qcloud.kernel.scope import Scope

SOON: Final = timedelta(days=30)
VERY_SOON: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)
_EVERY: Final = 300
"""Seconds: agents look once a day, so a look of ours a minute would tell nothing new."""


def looked_at(scope: Scope, moment: datetime, *, store: Store | None = None) -> list[Certificate]:
    """What servers showed lately; nothing when that was asked within ``_EVERY``.

    Raises ``StoreUnavailable``.
    """
    lately = f"pulse.certificates:{scope.account_id.hex}"
    if cache.get(lately):
        return []
    seen = latest_certificates(scope, moment, store=store)
    cache.set(lately, 1, timeout=_EVERY)
    return seen


def expiring(seen: Iterable[Certificate], moment: datetime) -> list[Finding]:
    """One a server from ``SOON`` on; a warning from ``VERY_SOON`` on, critical when expired."""
    return [_finding(one, moment) for one in seen if one.not_after - moment <= SOON]


def close_renewed(seen: Iterable[Certificate], moment: datetime) -> list[Issue]:
    """Resolve what is open of servers that show nothing that expires soon. Inside the
    account's scope.
    """
    good = [one for one in seen if one.not_after - moment > SOON]
    until = {_finding(one, moment).fingerprint: one.not_after for one in good}
    rows = Issue.objects.select_for_update().filter(
        kind=IssueKind.CERTIFICATE, state=IssueState.OPEN, fingerprint__in=until
    )
    closed: list[Issue] = list(rows)
    for row in closed:
        row.state, row.resolved_at, row.ignored_until = IssueState.RESOLVED, now(), None
        row.save()
        expires = until[row.fingerprint]
        note(row, now(), PLATFORM, "resolved", f"It shows one that expires {expires:%Y-%m-%d}.")
    return closed


def _finding(one: Certificate, moment: datetime) -> Finding:
    left = one.not_after - moment
    days = abs(left) // _DAY
    count = f"{days} {'day' if days == 1 else 'days'}"
    words = f"expires in {count}" if left > timedelta() else f"expired {count} ago"
    level = IssueSeverity.INFO if left > VERY_SOON else IssueSeverity.WARNING
    if left <= timedelta():
        level = IssueSeverity.CRITICAL
    return Finding(
        _place(one),
        IssueKind.CERTIFICATE,
        f"The certificate of {one.subject[:80] or 'no name'} {words},"
        f" {one.not_after:%Y-%m-%d %H:%M} UTC; issued by {one.issuer[:80]}.",
        last=min(one.seen, moment),
        severity=level,
    )


def _place(one: Certificate) -> Endpoint:
    return Endpoint(one.environment_id, one.server, "")
