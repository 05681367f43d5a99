"""All components on one page, for whoever builds pages. Only with ``QCLOUD_DEBUG``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.door import public
from portal.kit import formats
from portal.kit.charts import Chart, Series
from portal.kit.payload import payload_view
from portal.kit.ranges import range_picker, read_range
from portal.kit.steps import Step
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, options, table
from portal.kit.tabs import Tab


@dataclass(frozen=True)
class _Sample:
    id: str
    method: str
    path: str
    status: int
    milliseconds: float


_SAMPLES = [
    _Sample(
        str(i),
        ("GET", "POST", "PUT")[i % 3],
        f"/v1/orders/{i}",
        (200, 201, 404, 503)[i % 4],
        i * 7.3,
    )
    for i in range(120)
]
_TONES = {2: ("ok", "check"), 4: ("warn", "warn"), 5: ("danger", "danger")}


def _status(row: _Sample) -> Cell:
    tone, icon = _TONES[row.status // 100]
    return Cell(str(row.status), tone=tone, icon=icon)


_SPEC: TableSpec[_Sample] = TableSpec(
    name="samples",
    noun="samples",
    sort="id",
    columns=(
        Column(
            "path", "Path", lambda r: r.path, lambda r: Cell(r.path, href="#", code=True, clip=True)
        ),
        Column("method", "Method", lambda r: r.method),
        Column("status", "Status", lambda r: r.status, _status),
        Column(
            "ms",
            "Duration",
            lambda r: r.milliseconds,
            lambda r: Cell(formats.milliseconds(r.milliseconds)),
            number=True,
        ),
    ),
    choices=(Choice("method", "Method", options(r.method for r in _SAMPLES)),),
    page_size=8,
)


@public("a page of samples without anybody's data; its address exists in debug mode only")
@require_safe
def gallery(request: HttpRequest) -> HttpResponseBase:
    shown = table(
        request, _SPEC, fetch_from(_SAMPLES, _SPEC, method=lambda row, value: row.method == value)
    )
    if isinstance(shown, HttpResponseBase):
        return shown
    context = {
        "table": shown,
        "picker": range_picker(request, read_range(request)),
        "stacked": _chart("sample-stacked", stacked=True),
        "lines": _chart("sample-lines", stacked=False),
        "tabs": [Tab("Headers", "#", current=True), Tab("Body", "#"), Tab("Issues", "#", count=3)],
        "steps": _STEPS,
        "trend": [float(v % 7) for v in range(24)],
        "payload": payload_view(
            b'{"id": 7, "note": "<script>alert(1)</script>", "of": [1, null]}', "tree", 0
        ),
        "hex": payload_view(bytes(range(64)), "hex", 0),
    }
    return render(request, "pages/gallery.html", context)


_STEPS = [
    Step("The agent registered", "demo-node, version 0.1.0", "ok"),
    Step("The connection failed", "401 from 10.0.0.7: the token was revoked.", "danger"),
    Step(
        "Waiting for the first request",
        "Nothing yet. Send one yourself:",
        "now",
        "curl https://example.org/",
    ),
    Step("Done", "You see your first request.", ""),
]


def _chart(name: str, *, stacked: bool) -> Chart:
    now = timezone.now().replace(second=0, microsecond=0)
    times = tuple(now - timedelta(minutes=60 - i) for i in range(60))
    wave = [abs(math.sin(i / 6)) for i in range(60)]
    series: tuple[Series, ...]
    if stacked:
        series = (
            Series("5xx", "status-5xx", tuple(v * 12 for v in wave)),
            Series("4xx", "status-4xx", tuple(v * 20 for v in wave)),
            Series("3xx", "status-3xx", tuple(30.0 for _ in wave)),
            Series("2xx", "status-2xx", tuple(200 + v * 90 for v in wave)),
        )
    else:
        series = tuple(
            Series(label, f"series-{i + 1}", tuple((v + 0.4) * k for v in wave))
            for i, (label, k) in enumerate((("p50", 20.0), ("p95", 80.0), ("p99", 240.0)))
        )
    return Chart(
        id=name,
        title="Requests by status" if stacked else "Latency",
        sentence="A sample that rises and falls.",
        unit="req/s" if stacked else "ms",
        times=times,
        series=series,
        step=60,
        stacked=stacked,
        now=int(timezone.now().timestamp()),
    )
