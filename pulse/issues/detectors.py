"""From sums of endpoints to findings. Pure: the same sums give the same findings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from pulse.store.endpoints import Endpoint, EndpointSums
from pulse.tables.issues import IssueKind, IssueSeverity

Sums = Mapping[Endpoint, EndpointSums]

ENOUGH: Final = 20
"""Requests that a window or a baseline must have to say anything."""
FEWEST_ERRORS: Final = 5
LOWEST_RATE: Final = 0.05
RATE_FACTOR: Final = 3
LATENCY_FACTOR: Final = 2.0
LATENCY_MORE_US: Final = 100_000


@dataclass(frozen=True, slots=True)
class Finding:
    endpoint: Endpoint
    kind: IssueKind
    cause: str
    status: int = 0
    rule: str = ""
    """Of the agent's configuration; empty: found by the platform."""
    first: datetime | None = None
    last: datetime | None = None
    """When it happened; ``None``: in the window that was looked at."""
    severity: IssueSeverity = IssueSeverity.WARNING

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal characters, the same for everything that is one issue."""
        place = self.endpoint
        text = "\0".join(
            (str(place.environment_id), place.host, place.route, self.kind, str(self.status))
        )
        text += f"\0{self.rule}" if self.rule else ""
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def findings(
    current: Sums, baselines: Sequence[Sums], young: Callable[[Endpoint], bool] = lambda _: False
) -> list[Finding]:
    """What is worse now than in every baseline that has enough to compare with.

    ``baselines`` are the hour before and the same window a day and a week ago. Who has none of
    its own is compared with its host. ``young``: the endpoint's template was learned since, so
    that its requests before stand under other names; its host tells meanwhile. A host as a
    whole is only named when none of its endpoints is: that is a fault spread over more paths
    than anybody could list.
    """
    found = [
        finding
        for endpoint, sums in current.items()
        if sums.requests >= ENOUGH and not young(endpoint)
        for finding in _of(endpoint, sums, baselines)
    ]
    named = {_host(f) for f in found if f.endpoint.route}
    return [f for f in found if f.endpoint.route or _host(f) not in named]


def _host(finding: Finding) -> tuple[UUID, str, str]:
    return finding.endpoint.environment_id, finding.endpoint.host, finding.kind


def _of(endpoint: Endpoint, now: EndpointSums, baselines: Sequence[Sums]) -> list[Finding]:
    own = _telling(endpoint, baselines)
    before = own or _telling(replace(endpoint, route=""), baselines)
    return [f for f in (_errors(endpoint, now, before), _latency(endpoint, now, own)) if f]


def _telling(endpoint: Endpoint, baselines: Sequence[Sums]) -> list[EndpointSums]:
    sums = (baseline[endpoint] for baseline in baselines if endpoint in baseline)
    return [one for one in sums if one.requests >= ENOUGH]


def _errors(
    endpoint: Endpoint, now: EndpointSums, before: Sequence[EndpointSums]
) -> Finding | None:
    rate = now.errors / now.requests
    usual = max((sums.errors / sums.requests for sums in before), default=0.0)
    # In whole numbers: 0.3 is less than 3 × 0.1 in floats.
    more = all(
        now.errors * sums.requests >= RATE_FACTOR * sums.errors * now.requests for sums in before
    )
    if now.errors < FEWEST_ERRORS or rate < LOWEST_RATE or not more:
        return None
    cause = f"{now.errors:,} of {now.requests:,} requests failed ({rate:.0%})"
    cause += f", usually {usual:.1%}." if before else "; there is nothing to compare with yet."
    return Finding(endpoint, IssueKind.ERRORS, cause)


def _latency(
    endpoint: Endpoint, now: EndpointSums, before: Sequence[EndpointSums]
) -> Finding | None:
    if not before:
        return None
    usual = max(sums.p95_us for sums in before)
    if now.p95_us < LATENCY_FACTOR * usual or now.p95_us - usual < LATENCY_MORE_US:
        return None
    cause = f"p95 is {now.p95_us / 1000:,.0f} ms, usually {usual / 1000:,.0f} ms."
    return Finding(endpoint, IssueKind.LATENCY, cause)
