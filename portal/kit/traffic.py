"""The filter of traffic pages as it stands in an address, and its facets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.http import HttpRequest

from fleet.selectors import EnvironmentInfo
from portal.kit.ranges import TimeRange
from portal.kit.urls import hidden_fields, with_query
from pulse.analytics import TrafficFilter

DIRECTIONS: Final = (
    ("ingress", "received"),
    ("egress-internal", "to internal"),
    ("egress-external", "to third parties"),
)
STATUSES: Final = (
    ("2xx", "2xx success"),
    ("3xx", "3xx redirect"),
    ("4xx", "4xx client error"),
    ("5xx", "5xx server error"),
    ("none", "no response"),
)
METHODS: Final = tuple((m, m) for m in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"))
LABELS: Final = {
    "env": "Environment",
    "status": "Status",
    "method": "Method",
    "direction": "Direction",
    "host": "Host",
    "path": "Path",
    "route": "Paths like",
    "process": "Process",
    "vendor": "Vendor",
    "node": "Node",
    "container": "Container",
    "pod": "Pod",
    "tag": "Tag",
    "header": "Header",
    "digest": "Digest",
}


CLICKED: Final = ("host", "route", "path", "process", "vendor", "node", "container", "pod",
                  "tag", "header", "digest")  # fmt: skip
"""Facets with any number of values: chosen by a click, taken off by their chip."""


@dataclass(frozen=True)
class Facet:
    key: str
    label: str
    options: tuple[tuple[str, str], ...]
    value: str


def read_filter(
    request: HttpRequest, chosen: TimeRange, places: list[EnvironmentInfo], *, text: bool = True
) -> TrafficFilter:
    """The filter of this address. What no facet knows narrows to nothing rather than to all.

    ``text=False`` leaves ``q`` to the page, which searches in what it shows.
    """
    wanted = {name: request.GET.get(f"f.{name}", "")[:1024] for name in LABELS}
    slugs = {slug for slug in wanted["env"].split(",") if slug}
    status = wanted["status"]
    return TrafficFilter(
        since=chosen.since,
        until=chosen.until,
        environments=tuple(p.id for p in places if p.slug in slugs) or _none_of(slugs),
        host=wanted["host"],
        path=wanted["path"],
        route=wanted["route"],
        method=wanted["method"],
        status=int(status) if status.isascii() and status.isdigit() and len(status) < 4 else None,
        status_class=status if status in dict(STATUSES) else "",
        process=wanted["process"],
        direction=wanted["direction"] if wanted["direction"] in dict(DIRECTIONS) else "",
        vendor=wanted["vendor"],
        node=wanted["node"],
        container=wanted["container"],
        pod=wanted["pod"],
        tag=wanted["tag"].strip(),
        header=wanted["header"].strip(),
        digest=wanted["digest"].strip().lower(),
        query=request.GET.get("q", "").strip()[:200] if text else "",
    )


def _none_of(slugs: set[str]) -> tuple[UUID, ...]:
    """An unknown environment matches nothing; no environment asked for matches all."""
    return (UUID(int=0),) if slugs else ()


def facets(request: HttpRequest, places: list[EnvironmentInfo]) -> list[Facet]:
    """The facets with few values; the others are chosen by a click in a ranking."""
    options = {
        "env": tuple((p.slug, p.name) for p in places),
        "direction": DIRECTIONS,
        "status": STATUSES,
        "method": METHODS,
    }
    return [
        Facet(key, LABELS[key], values, request.GET.get(f"f.{key}", ""))
        for key, values in options.items()
    ]


def facet_hidden(request: HttpRequest) -> list[tuple[str, str]]:
    return hidden_fields(request, without={"f.env", "f.direction", "f.status", "f.method"})


_TYPED: Final = (
    ("host", "api.example.com"), ("path", "/users/4711"), ("process", "/usr/bin/curl"),
    ("pod", "namespace/name"), ("tag", "team:shop, or team"), ("header", "x-request-id: 4711"),
    ("digest", "40 hexadecimal digits"),
)  # fmt: skip


@dataclass(frozen=True)
class Typed:
    """A facet with any number of values, to type one."""

    key: str
    label: str
    value: str
    example: str


def typed(request: HttpRequest) -> list[Typed]:
    return [
        Typed(key, LABELS[key], request.GET.get(f"f.{key}", "")[:1024], example)
        for key, example in _TYPED
    ]


def typed_hidden(request: HttpRequest) -> list[tuple[str, str]]:
    """The rest of the address, for the form of ``typed``."""
    return hidden_fields(request, without={f"f.{key}" for key, _ in _TYPED} | {"after", "peek"})


def chips(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """The filters that have no select of their own, each with the address without it."""
    text = request.GET.get("q", "")
    if text:
        yield f"contains “{text[:80]}”", with_query(request, q=None)
    for key in CLICKED:
        value = request.GET.get(f"f.{key}", "")
        if value:
            yield f"{LABELS[key]}: {value[:120]}", with_query(request, **{f"f.{key}": None})
    status = request.GET.get("f.status", "")
    if status and status not in dict(STATUSES):
        yield f"Status: {status[:10]}", with_query(request, **{"f.status": None})
