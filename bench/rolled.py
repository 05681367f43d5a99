"""``dashboards_10m``, ``dashboards_50m``, ``drilldown``: the analytics functions over one account.

A real event store and a real PostgreSQL on a folder of their own. The corpus is made inside
the engine from a fixed seed, straight into ``requests`` and in its columns; the rollups are
counted by the function that the worker calls. Measured is ``traffic_page`` as a page calls
it, from the scope to its last number, HTML excluded; one at a time, no two the same. Every
number is then compared with the slow count over the requests themselves.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from bench.result import Result
from bench.servers import Platform, platform_on_disk

if TYPE_CHECKING:
    from pulse.store.filters import TrafficFilter

PER_DAY: Final = 1_000_000
START: Final = datetime(2026, 9, 1, tzinfo=UTC)
_AT_ONCE: Final = 500_000
_ACCOUNT: Final = UUID(int=7)
_LATE: Final = 3
"""Quarters that stay dirty, as quarters do while loads arrive."""
ROUNDS: Final = 2
DRILLS: Final = 20

# One event every 86.4 ms. 300 endpoints, the frequent ones much more frequent; each belongs to
# one environment, process, host and method. Latencies log-normal, statuses mostly good.
_CORPUS: Final = """
INSERT INTO requests (account_id, environment_id, agent_id, timestamp, request_id, connection_id,
    direction, scheme, method, host, path, route, status, duration_us, content_type, agent,
    bytes_sent, bytes_received, tls_probe, source_ip, source_port, destination_ip,
    destination_port, hostname, process_id, exe, user, vendor, load_id, received_at)
WITH
    number + {first:UInt64} AS i,
    cityHash64(i, 1) AS a, cityHash64(i, 2) AS b, cityHash64(i, 3) AS c,
    toUInt32(300 * pow((a % 1000000) / 1000000.0, 3)) AS endpoint,
    cityHash64(endpoint, 9) AS e,
    fromUnixTimestamp64Micro({start:Int64} + toInt64(i) * 86400 + toInt64(b % 80000), 'UTC') AS at,
    ['api.stripe.com', 'api.openai.com', 's3.eu-central-1.amazonaws.com', 'api.github.com',
     'hooks.slack.com', 'api.sendgrid.com', 'orders.svc', 'users.svc', 'search.svc',
     'shop.example.com', 'shop.example.com', 'cart.svc'] AS hosts,
    hosts[1 + e % 12] AS host_name,
    sqrt(-2 * log((intDiv(c, 256) % 1000000 + 1) / 1000001.0))
        * cos(6.283185307 * (intDiv(b, 256) % 1000000) / 1000000.0) AS normal
SELECT
    toUUID('00000000-0000-0000-0000-000000000007'),
    toUUID(if(e % 5 = 0, '00000000-0000-0000-0000-00000000000a',
              '00000000-0000-0000-0000-000000000009')),
    toUUID('00000000-0000-0000-0000-000000000001'),
    at,
    reinterpret(bitOr(bitShiftLeft(toUInt128(bitOr(bitShiftLeft(
        toUInt64(toUnixTimestamp64Milli(at)), 16), 28672 + a % 4096)), 64),
        toUInt128(bitOr(bitShiftLeft(toUInt64(2), 62), bitShiftRight(c, 2)))), 'UUID'),
    reinterpret(bitOr(bitShiftLeft(toUInt128(bitOr(bitShiftLeft(
        toUInt64(toUnixTimestamp64Milli(at) - (i % 8) * 86), 16), 28672)), 64),
        toUInt128(cityHash64(intDiv(i, 8), 4))), 'UUID'),
    multiIf(e % 12 < 6, 'egress-external', e % 12 < 9, 'egress-internal', 'ingress'),
    'https', ['GET', 'GET', 'GET', 'POST', 'POST', 'PUT', 'DELETE'][1 + intDiv(e, 12) % 7],
    host_name, concat('/r', toString(endpoint % 40), '/', toString(c % 5000)),
    concat('/r', toString(endpoint % 40), '/{id}'),
    if(c % 16 < 12, 200,
       [201, 204, 302, 304, 400, 401, 404, 404, 429, 500, 502, 503][1 + intDiv(c, 1048576) % 12]),
    toUInt64(exp(10.2 + 1.1 * normal)),
    if(e % 3 = 0, 'application/json', 'text/html'), if(e % 2 = 0, 'axios/1.7.2', ''),
    180 + b % 2220, 100 + a % 20000, 'openssl',
    toIPv6(concat('10.4.', toString(1 + e % 4), '.', toString(2 + intDiv(e, 7) % 200))),
    32768 + b % 28000, toIPv6(concat('10.9.0.', toString(2 + intDiv(e, 11) % 200))), 443,
    concat('node-', toString(1 + e % 4)), 300 + intDiv(e, 13) % 8000,
    ['/usr/bin/python3.11', '/usr/bin/node', '/usr/sbin/nginx',
     '/usr/bin/curl'][1 + intDiv(e, 100) % 4],
    'app', if(e % 12 < 6, host_name, ''),
    toUUID('00000000-0000-0000-0000-000000000055'), toDateTime64(at, 3, 'UTC')
FROM numbers({count:UInt64})
"""
_FILTERS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"environments": (UUID(int=9),)},
    {"host": "api.stripe.com"},
    {"status_class": "5xx"},
    {"status": 404},
    {"method": "POST"},
    {"direction": "egress-external"},
    {"process": "/usr/bin/node"},
    {"route": "/r7/{id}"},
    {"host": "shop.example.com", "status_class": "4xx"},
)


def run() -> Iterable[Result]:
    """One result a size: the 95th percentile in milliseconds; ``n`` counts questions."""
    yield from _size("dashboards_10m", 10, drill=True)


def fifty() -> Iterable[Result]:
    yield from _size("dashboards_50m", 50, drill=False)


def _size(name: str, days: int, *, drill: bool) -> Iterator[Result]:
    with platform_on_disk() as platform:
        _adopt(platform)
        build(platform, days)
        dashboards = list(_dashboards(days))
        first = _times(platform, dashboards)  # warms caches
        print(f"# {name}: asked for the first time p95 {_p95(first):.0f} ms")
        times = [t for _ in range(ROUNDS) for t in _times(platform, dashboards)]
        compare(platform, dashboards)
        yield Result(name, _p95(times), "ms", None, None, len(times))
        if drill:
            drills = list(_drills(days))
            _times(platform, drills)
            times = _times(platform, drills)
            compare(platform, drills)
            yield Result("drilldown", _p95(times), "ms", None, None, len(times))


def _adopt(platform: Platform) -> None:
    """Make us a process of the platform's: the manifest is read as the portal does."""
    os.environ |= platform.environment
    import django

    django.setup()


def build(platform: Platform, days: int) -> None:
    """The corpus and its rollups; the last quarters of it are left dirty."""
    from pulse.rollups import rebuild_touched, touch
    from qcloud.kernel.ids import new_id
    from qcloud.kernel.scope import unscoped

    began = time.monotonic()
    client = platform.store.client()
    for first in range(0, days * PER_DAY, _AT_ONCE):
        parameters = {
            "first": first,
            "count": min(_AT_ONCE, days * PER_DAY - first),
            "start": int(START.timestamp()) * 1_000_000,
        }
        client.command(_CORPUS, parameters=parameters)
    inserted = time.monotonic()
    until = START + timedelta(days=days)
    count = days * 96
    with unscoped("bench"):
        touch(new_id(), {_ACCOUNT: [START + timedelta(minutes=15 * i) for i in range(count)]})
    rebuild_touched(store=platform.store)
    with unscoped("bench"):
        touch(new_id(), {_ACCOUNT: [until - timedelta(minutes=15 * (i + 1)) for i in range(_LATE)]})
    print(
        f"# {days} M events: inserted in {inserted - began:.0f} s,"
        f" rollups counted in {time.monotonic() - inserted:.0f} s"
    )


def _dashboards(days: int) -> Iterator[TrafficFilter]:
    """Every range with every filter; none of them begins where another does."""
    from pulse.store.filters import TrafficFilter

    until = START + timedelta(days=days)
    spans = (timedelta(days=days), timedelta(days=7), timedelta(days=1), timedelta(hours=6))
    for place, (span, narrowing) in enumerate(product(spans, _FILTERS)):
        shift = timedelta(seconds=37 * place, microseconds=place)
        yield TrafficFilter(since=until - span + shift, until=until, **narrowing)


def _drills(days: int) -> Iterator[TrafficFilter]:
    """One hour somewhere, in buckets of half a minute: the requests themselves are counted."""
    from pulse.store.filters import TrafficFilter

    for place in range(DRILLS):
        since = START + timedelta(hours=(place * 53) % (days * 24 - 2), seconds=place)
        narrowing = _FILTERS[place % len(_FILTERS)]
        yield TrafficFilter(since=since, until=since + timedelta(hours=1), **narrowing)


def _times(platform: Platform, questions: list[TrafficFilter]) -> list[float]:
    from pulse.analytics import traffic_page

    times = []
    for chosen in questions:
        began = time.perf_counter()
        found = traffic_page(_scope(), chosen, store=platform.store)
        times.append((time.perf_counter() - began) * 1_000)
        if not found.totals.requests:
            raise RuntimeError(f"{chosen}: nothing was found")
    return times


def compare(platform: Platform, questions: Iterable[TrafficFilter]) -> None:
    """Raises ``RuntimeError`` at the first number that the requests alone do not give."""
    from pulse.analytics import traffic_page
    from pulse.analytics.page import TOPS
    from pulse.analytics.series import (
        Scan,
        latency_series,
        requests_series,
        status_series,
        totals_of,
    )
    from pulse.analytics.steps import steps_for
    from pulse.analytics.top import top_row
    from pulse.store import series
    from pulse.store.tops import tops

    for chosen in questions:
        steps = steps_for(chosen.since, chosen.until)
        found = traffic_page(_scope(), chosen, store=platform.store)
        slow = Scan(steps, *series.series(_scope(), chosen, steps.step_us, store=platform.store))
        ranked = tops(_scope(), chosen, TOPS, 10, store=platform.store)
        pairs = (
            (found.totals, totals_of(slow)),
            (found.requests, requests_series(slow)),
            (found.latency, latency_series(slow)),
            (found.status, status_series(slow)),
            *((found.rankings[n].rows, tuple(map(top_row, ranked[n]))) for n in TOPS),
        )
        for ours, theirs in pairs:
            if ours != theirs:
                raise RuntimeError(f"{chosen}: {ours} is not {theirs}")


def _scope() -> Any:
    from qcloud.kernel.scope import Scope, Tier

    return Scope(_ACCOUNT, f"/{_ACCOUNT.hex}/", Tier.CUSTOMER)


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20, method="inclusive")[-1]
