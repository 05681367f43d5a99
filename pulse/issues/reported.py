"""What agents' rules reported, as findings. Pure but for one question to the store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.core.cache import cache

from pulse.issues.detectors import Finding
from pulse.store.client import Store
from pulse.store.endpoints import Endpoint
from pulse.store.reports import ReportedHour, reported_hours
from pulse.tables.issues import IssueKind
from qcloud.kernel.scope import Scope

RECENT: Final = timedelta(minutes=15)
LONG: Final = timedelta(days=2)
"""Once an hour: what came in while nobody looked, or was loaded late."""

Hours = dict[tuple[str, datetime], int]
"""Affected requests by fingerprint and hour."""


def reported(
    scope: Scope, moment: datetime, *, lately: bool = True, store: Store | None = None
) -> tuple[list[Finding], Hours]:
    """Findings of what came in lately, whenever it happened, and the hours that it is in.

    ``lately``: something came in within ``RECENT``; without, only the long look of each hour
    asks. Raises ``StoreUnavailable``.
    """
    # Hours that begin at another minute for each account: not all look far back at once.
    hour = moment - timedelta(minutes=scope.account_id.int % 60)
    hourly = f"pulse.reports:{scope.account_id.hex}:{hour:%Y%m%d%H}"
    looked = cache.get(hourly)
    if looked and not lately:
        return [], {}
    found = reported_hours(scope, moment - (RECENT if looked else LONG), store=store)
    cache.set(hourly, 1, timeout=3_600)
    return grouped(found, moment)


def grouped(found: Iterable[ReportedHour], moment: datetime) -> tuple[list[Finding], Hours]:
    """One finding a place and rule. Clocks that are ahead count as ``moment``."""
    groups: dict[tuple[Endpoint, str], list[ReportedHour]] = {}
    for one in found:
        groups.setdefault((one.place, one.rule), []).append(one)
    findings: list[Finding] = []
    hours: Hours = {}
    for (place, rule), rows in groups.items():
        last = max(rows, key=lambda row: row.last)
        reason = last.reasons.partition("\n")[0] or "it holds"
        count = sum(row.requests for row in rows)
        finding = Finding(
            place,
            IssueKind.REPORTED,
            f"{count:,} {'request' if count == 1 else 'requests'}; of the last one {reason}.",
            rule=rule,
            first=min(moment, *(row.first for row in rows)),
            last=min(last.last, moment),
        )
        findings.append(finding)
        hours |= {(finding.fingerprint, row.hour): row.requests for row in rows}
    return findings, hours
