"""Many places that break at once are one issue: of their host, or of the environment.

A deployment that changes everything, a database that all of them need: whoever is woken wants
to read that, and not a line for each path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from pulse.issues.detectors import Finding
from pulse.store.endpoints import Endpoint
from pulse.tables.issues import Issue, IssueKind, IssueState

TOGETHER: Final = 5
"""So many paths of a host, or hosts of an environment, have issues of their own within
``LATELY``; with one more the others are the host's, or the environment's."""
LATELY: Final = timedelta(hours=1)
_KINDS: Final = (IssueKind.ERRORS, IssueKind.LATENCY, IssueKind.NEW_STATUS)
_NAMED: Final = 3
_LONGEST_NAME: Final = 40

Group = tuple[Endpoint, IssueKind, int]
"""The larger place, what it shows, and the status that is new."""


@dataclass(frozen=True)
class _Standing:
    """What an account has on hand."""

    own: frozenset[str]
    """Fingerprints of issues that are not resolved."""
    large: frozenset[str]
    """Those that were seen lately."""
    recent: dict[Group, int]
    """Issues that were found or came back lately, by the larger place."""


def gathered(found: Sequence[Finding], until: datetime) -> list[Finding]:
    """``found`` with those put together that come at once and have no issue of their own.

    Inside the account's scope.
    """
    of_traffic = [finding for finding in found if finding.kind in _KINDS]
    if not of_traffic:
        return list(found)
    standing = _standing({f.endpoint.environment_id for f in of_traffic}, until)
    rest = [finding for finding in found if finding.kind not in _KINDS]
    for noun in ("paths", "hosts"):
        of_traffic = list(_together(of_traffic, standing, noun))
    return [*rest, *of_traffic]


def _standing(places: Iterable[UUID], until: datetime) -> _Standing:
    rows = Issue.objects.filter(kind__in=_KINDS, environment_id__in=places)
    rows = rows.exclude(state=IssueState.RESOLVED)
    own, large, recent = set[str](), set[str](), dict[Group, int]()
    for row in rows.only(
        "fingerprint", "environment_id", "host", "route", "kind", "status", "last_seen", "opened_at"
    ):
        own.add(row.fingerprint)
        if row.last_seen >= until - LATELY:
            large.add(row.fingerprint)
        group = _group(Endpoint(row.environment_id, row.host, row.route), row.kind, row.status)
        if group and row.opened_at >= until - LATELY:
            recent[group] = recent.get(group, 0) + 1
    return _Standing(frozenset(own), frozenset(large), recent)


def _together(found: Sequence[Finding], standing: _Standing, noun: str) -> Iterator[Finding]:
    """One step: paths into their hosts, or hosts into their environment."""
    groups: dict[Group, list[Finding]] = {}
    for finding in found:
        group = _group(finding.endpoint, finding.kind, finding.status)
        is_path = bool(finding.endpoint.route)
        if group is None or is_path != (noun == "paths") or finding.fingerprint in standing.own:
            yield finding
        else:
            groups.setdefault(group, []).append(finding)
    for group, members in groups.items():
        whole = _whole(group, members, noun)
        many = len(members) + standing.recent.get(group, 0) > TOGETHER
        if many or whole.fingerprint in standing.large:
            yield whole
        else:
            yield from members


def _group(place: Endpoint, kind: str, status: int) -> Group | None:
    """The next larger place; an environment has none."""
    if place.route:
        larger = replace(place, route="")
    elif place.host:
        larger = replace(place, host="")
    else:
        return None
    return larger, IssueKind(kind), status


def _whole(group: Group, members: Sequence[Finding], noun: str) -> Finding:
    place, kind, status = group
    names = [(m.endpoint.route or m.endpoint.host)[:_LONGEST_NAME] for m in members[:_NAMED]]
    more = f" and {len(members) - _NAMED:,} more" if len(members) > _NAMED else ""
    cause = f"{len(members):,} {noun} at once: {', '.join(names)}{more}. {members[0].cause}"
    if len(members) == 1:
        cause = f"Now {names[0]} too. {members[0].cause}"
    return Finding(place, kind, cause, status)
