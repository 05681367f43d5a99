"""Traffic as it happens, and an overview of an account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone

from billing.selectors import estimate
from fleet.selectors import environments, object_store_of
from portal.door import page
from portal.here import Here
from portal.kit import alerting, comparing, formats, traffic_charts
from portal.kit.charts import Chart
from portal.kit.comparing import Comparison, read_comparison
from portal.kit.ranges import TimeRange, range_picker, read_range
from portal.kit.traffic import chips, facet_hidden, facets, read_filter
from portal.kit.urls import with_query
from portal.polls.middleware import is_poll, poll
from portal.polls.shared import NONCE, Shown
from portal.views.agents import agent_rows
from portal.views.overview import Notice
from pulse import analytics
from pulse.analytics import (
    TimeSeries,
    Totals,
    TrafficFilter,
    latency_over_time,
    search_requests,
    status_over_time,
    totals,
    traffic_page,
)
from pulse.errors import StoreUnavailable
from pulse.inventory.selectors import count as review_counts
from pulse.inventory.selectors import new_since
from qcloud.kernel.money import format_amount
from qcloud.kernel.permissions import Permission

NEW_VENDOR: Final = timedelta(days=1)
LAST_LOOK: Final = timedelta(days=30)


@dataclass(frozen=True)
class RankRow:
    label: str
    href: str
    requests: int
    errors: int
    p95_ms: float
    share: float


@dataclass(frozen=True)
class Ranking:
    key: str
    title: str
    noun: str
    rows: list[RankRow]
    other: str
    """What stands behind the rows, in words; empty: nothing."""


_RANGE: Final = "1h"
_RANKINGS: Final = (
    ("host", "Top hosts", "Host"),
    ("route", "Top paths", "Path"),
    ("process", "Top processes", "Executable"),
    ("vendor", "Third parties", "Vendor"),
)


@page(Permission.PULSE_TRAFFIC_READ)
def live(request: HttpRequest, here: Here) -> HttpResponseBase:
    """Requests over time, how slow, how broken, and who; every facet stands in the address."""
    if is_poll(request):
        every = read_range(request, default=_RANGE).refresh
        live = Shown(_live_main, every, frozenset({Permission.PULSE_ALERT_WRITE}))
        return poll(request, here, f"Live · {here.account.name}", live)
    return render(request, "pages/live.html", _live(request, here))


def _live_main(request: HttpRequest, here: Here) -> str:
    """The part of the page that is the same for all who have these rights."""
    words = {"request": request, "here": here, "csp_nonce": NONCE, **_live(request, here)}
    return render_to_string("pages/live_main.html", words)


def _live(request: HttpRequest, here: Here) -> dict[str, Any]:
    chosen = read_range(request, default=_RANGE)
    places = environments(here.scope)
    wanted = read_filter(request, chosen, places)
    found = traffic_page(here.scope, wanted)
    sums = found.totals
    status_chart = traffic_charts.status_chart(found.status, sums)
    latency_chart = traffic_charts.latency_chart(found.latency, sums)
    compared = read_comparison(request, chosen)
    context: dict[str, Any] = {
        "picker": range_picker(request, chosen),
        "comparisons": comparing.links(request, compared),
        "compared": compared,
        "alert_href": _alert_href(request, here, wanted),
        "facets": facets(request, places),
        "facet_hidden": facet_hidden(request),
        "chips": list(chips(request)),
        "totals": sums,
        "kept_since": found.kept_since,
        "requests_href": _requests_href(request, here),
        "errors_href": _requests_href(request, here, **{"f.status": "5xx"}),
        "rankings": [
            _ranking(request, here, found.rankings[names[0]], names) for names in _RANKINGS
        ],
        "status_chart": status_chart,
        "latency_chart": latency_chart,
        "trends": _trends(found.status, found.latency),
        "broken_down": _broken_down(request, here, wanted),
        "by": request.GET.get("by", ""),
        "bys": [(label, with_query(request, by=key)) for key, label in _PLACES],
        **_stats(sums, chosen),
    }
    if compared and sums.requests:
        context |= _compared(here, wanted, compared, sums, (status_chart, latency_chart))
    if not sums.requests:
        context |= _nothing(here, wanted, chosen)
    return context


_PLACES: Final = (("node", "Nodes"), ("container", "Containers"), ("pod", "Pods"), ("tag", "Tags"))
_DIMENSION_OF: Final = {"node": "hostname"}


def _broken_down(request: HttpRequest, here: Here, wanted: TrafficFilter) -> Ranking | None:
    """Where the requests were seen, if the address asks: nodes, containers or pods."""
    key = request.GET.get("by", "")
    if key not in dict(_PLACES):
        return None
    dimension = _DIMENSION_OF.get(key, key)
    found = analytics.rankings(here.scope, wanted, (dimension,))[dimension]
    title = dict(_PLACES)[key]
    return _ranking(request, here, found, (key, title, title[:-1]))


def _compared(
    here: Here,
    wanted: TrafficFilter,
    compared: Comparison,
    sums: Totals,
    charts: tuple[Chart, Chart],
) -> dict[str, Any]:
    earlier = compared.of(wanted)
    before = totals(here.scope, earlier)
    if not before.requests:
        return {"nothing_before": True}
    status, latency = charts
    every = ("2xx", "3xx", "4xx", "5xx", "none")
    by_status = status_over_time(here.scope, earlier)
    p95 = latency_over_time(here.scope, earlier)
    return {
        "before": before,
        "changes": {
            "requests": comparing.change(sums.requests, before.requests),
            "errors": comparing.change(sums.status_5xx, before.status_5xx),
            "p95": comparing.change(sums.p95_ms, before.p95_ms),
            "bytes": comparing.change(_bytes(sums), _bytes(before)),
        },
        "status_chart": comparing.with_before(status, "all, before", by_status, every),
        "latency_chart": comparing.with_before(latency, "p95, before", p95, ("p95",)),
    }


def _alert_href(request: HttpRequest, here: Here, wanted: TrafficFilter) -> str:
    """To a new rule with as much of this filter as a rule can hold."""
    if not here.may_write(Permission.PULSE_ALERT_WRITE):
        return ""
    asked = {rule: request.GET.get(f"f.{facet}", "") for rule, facet in alerting.FACETS.items()}
    asked["status_class"] = wanted.status_class
    if len(wanted.environments) == 1:
        asked["environment"] = str(wanted.environments[0])
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{here.url('alert-rule-create')}?{query}".rstrip("?")


def _stats(sums: Any, chosen: TimeRange) -> dict[str, Any]:
    return {
        "rate": formats.rate(sums.requests / chosen.span.total_seconds()),
        "error_share": sums.status_5xx / sums.requests if sums.requests else None,
        "errors_note": f"{formats.count(sums.status_5xx)} of {formats.count(sums.requests)}",
        "p50_note": f"half within {formats.milliseconds(sums.p50_ms)}",
        "bytes_total": sums.bytes_sent + sums.bytes_received,
        "bytes_note": f"{formats.size(sums.bytes_sent)} sent",
    }


def _trends(by_status: TimeSeries, latency: TimeSeries) -> dict[str, list[float | None]]:
    return {
        "requests": traffic_charts.trend(by_status),
        "errors": traffic_charts.trend(by_status, "5xx"),
        "p95": next(list(series.values) for series in latency.series if series.name == "p95"),
    }


def _requests_href(request: HttpRequest, here: Here, **changes: str) -> str:
    """The list of requests with this page's filter."""
    here_url = with_query(request, **changes)
    return here.url("requests") + here_url.removeprefix(request.path)


def _ranking(
    request: HttpRequest,
    here: Here,
    found: analytics.Ranking,
    names: tuple[str, str, str],
    limit: int = 10,
) -> Ranking:
    """One dimension's largest groups; each opens the live page narrowed to it."""
    key, title, noun = names
    rows = found.rows[:limit]
    hidden = (found.other_values or 0) + len(found.rows) - len(rows)
    behind = (found.other_requests or 0) + sum(row.requests for row in found.rows[limit:])
    most = max((row.requests for row in rows), default=0) or 1
    live_path = here.url("live")
    return Ranking(
        key,
        title,
        noun,
        [
            RankRow(
                label=row.value,
                href=live_path
                + with_query(request, **{f"f.{key}": row.value}).removeprefix(request.path),
                requests=row.requests,
                errors=row.errors,
                p95_ms=row.p95_ms,
                share=row.requests / most,
            )
            for row in rows
        ],
        f"{formats.count(hidden)} more with {formats.count(behind)} requests" if hidden else "",
    )


def _nothing(here: Here, wanted: TrafficFilter, chosen: TimeRange) -> dict[str, str]:
    """Why the page is empty, in words that lead on."""
    now = timezone.now()
    last = search_requests(
        here.scope,
        TrafficFilter(since=now - LAST_LOOK, until=now, environments=wanted.environments),
        limit=1,
    ).rows
    if not last:
        return {
            "empty_title": "No request yet",
            "empty_text": "As soon as an agent captures traffic, it appears here within seconds.",
            "empty_href": here.url("start"),
            "empty_link": "Start an agent",
        }
    label = chosen.label[0].lower() + chosen.label[1:]
    return {
        "empty_title": f"No request in the {label}"
        if chosen.preset
        else "No request in this range",
        "empty_text": f"The last one came at {formats.when(last[0].timestamp)}.",
    }


@page(Permission.IDENTITY_ACCOUNT_READ)
def overview(request: HttpRequest, here: Here) -> HttpResponseBase:
    """Is anything wrong now? Whoever may not read traffic goes on to usage."""
    if not here.may(Permission.PULSE_OVERVIEW_READ):
        return HttpResponseRedirect(here.url("usage"))
    chosen = read_range(request, default="24h")
    context: dict[str, Any] = {
        "picker": range_picker(request, chosen),
        "notices": _notices(here),
        "cost": _cost(here),
        "environments": environments(here.scope),
    }
    try:
        context |= _traffic(request, here, chosen)
    except StoreUnavailable as error:
        context |= {"degraded": error.message, "totals": None}
    return render(request, "pages/overview.html", context)


def _traffic(request: HttpRequest, here: Here, chosen: TimeRange) -> dict[str, Any]:
    found = traffic_page(here.scope, TrafficFilter(since=chosen.since, until=chosen.until))
    sums = found.totals
    before = totals(here.scope, TrafficFilter(since=chosen.since - chosen.span, until=chosen.since))
    return {
        "totals": sums,
        "changes": {
            "requests": comparing.change(sums.requests, before.requests),
            "errors": comparing.change(sums.status_5xx, before.status_5xx),
            "p95": comparing.change(sums.p95_ms, before.p95_ms),
            "bytes": comparing.change(_bytes(sums), _bytes(before)),
        },
        "trends": _trends(found.status, found.latency),
        "status_chart": traffic_charts.status_chart(found.status, sums),
        "hosts": _ranking(request, here, found.rankings["host"], _RANKINGS[0], 8),
        "new_vendors": new_since(here.scope, timezone.now() - NEW_VENDOR, 8),
        "known_vendors": sum(review_counts(here.scope).values()),
        **_stats(sums, chosen),
    }


def _bytes(sums: Any) -> int:
    return int(sums.bytes_sent + sums.bytes_received)


def _notices(here: Here) -> list[Notice]:
    rows = agent_rows(here) if here.may(Permission.FLEET_AGENT_READ) else []
    notices = []
    for health, tone, icon, words in (
        ("silent", "danger", "danger", "silent: a node that you do not see"),
        ("losing", "warn", "warn", "dropping events"),
        ("partly", "warn", "warn", "capturing only a part"),
    ):
        found = [row for row in rows if row.health == health]
        if found:
            names = ", ".join(row.agent.name for row in found[:3])
            notices.append(
                Notice(
                    tone,
                    icon,
                    f"{len(found)} of {len(rows)} agents {words} ({names}).",
                    f"{here.url('agents')}?f.health={health}",
                    "Show agents",
                )
            )
    wrong = [row for row in rows if row.clock]
    if wrong:
        names = ", ".join(f"{row.agent.name}: {row.clock}" for row in wrong[:3])
        words = f"{len(wrong)} of {len(rows)} agents run under a wrong clock ({names})."
        notices.append(
            Notice("warn", "clock", words, here.url("agent", wrong[0].id), "What that does")
        )
    drifted = [row for row in rows if row.drifted]
    if drifted:
        notices.append(
            Notice(
                "warn",
                "warn",
                f"{len(drifted)} agents run an older configuration.",
                here.url("agents"),
                "Show agents",
            )
        )
    bare = [p for p in environments(here.scope) if object_store_of(p.id) is None]
    if bare:
        names = ", ".join(place.name for place in bare[:3])
        notices.append(
            Notice(
                "info",
                "lock",
                f"No payload is kept in {names}: no object store.",
                here.url("environment", bare[0].id),
                "Set object store",
            )
        )
    return notices


def _cost(here: Here) -> str:
    """The month so far, where the reader may know and prices are known."""
    if here.actor.environments is not None or not here.may(Permission.BILLING_USAGE_READ):
        return ""
    found = estimate(here.scope)
    if found.total is None or found.currency is None:
        return ""
    return format_amount(found.total, found.currency)
