"""Request events that look like a small company's traffic, from a fixed seed.

Hosts, paths and processes follow a Zipf-like law, latencies a log-normal one, and a few
percent of exchanges fail. Lines average about 530 bytes, the size that the performance
anchors were measured with.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final

SEED: Final = 20_261_121
START: Final = datetime(2026, 11, 20, tzinfo=UTC)

_EXTERNAL: Final = (
    (
        "api.stripe.com",
        ("/v1/charges", "/v1/customers/{n}", "/v1/payment_intents/{n}/confirm"),
    ),
    ("api.openai.com", ("/v1/chat/completions", "/v1/embeddings")),
    ("s3.eu-central-1.amazonaws.com", ("/invoices/{n}.pdf", "/uploads/{n}")),
    ("api.github.com", ("/repos/acme/shop/commits", "/repos/acme/shop/pulls/{n}")),
    ("hooks.slack.com", ("/services/T024/B19/{n}",)),
    ("api.sendgrid.com", ("/v3/mail/send",)),
    ("api.twilio.com", ("/2010-04-01/Accounts/AC{n}/Messages.json",)),
    ("login.microsoftonline.com", ("/common/oauth2/v2.0/token",)),
    ("o447951.ingest.sentry.io", ("/api/5429215/envelope/",)),
    ("maps.googleapis.com", ("/maps/api/geocode/json",)),
)
_INTERNAL: Final = (
    ("orders.svc.cluster.local", ("/orders/{n}", "/orders/{n}/items", "/health")),
    ("users.svc.cluster.local", ("/users/{n}", "/users/{n}/sessions", "/health")),
    ("search.svc.cluster.local", ("/query", "/suggest")),
)
_OWN: Final = (
    "shop.example.com",
    ("/", "/products/{n}", "/cart", "/checkout", "/api/v1/stock/{n}"),
)
_PROCESSES: Final = (
    ("/usr/bin/python3.11", ',"user":"app","containerName":"shop"'),
    ("/usr/bin/node", ',"user":"app","containerName":"front"'),
    ("/usr/sbin/nginx", ',"user":"www-data","containerName":"edge"'),
    ("/usr/bin/curl", ',"user":"root","containerName":"cron"'),
)
_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH")
_METHOD_WEIGHTS: Final = (72, 20, 4, 2, 2)
_STATUSES: Final = (200, 201, 204, 302, 304, 400, 401, 404, 429, 500, 502, 503)
_STATUS_WEIGHTS: Final = (780, 60, 30, 20, 20, 15, 10, 35, 8, 12, 6, 4)
_OPTIONAL: Final = (
    "",
    '"agent":"python-requests/2.32.3",',
    '"agent":"axios/1.7.2","contentType":"application/json",',
    '"contentType":"text/html",',
)
_MEAN_GAP_US: Final = 86_400


def event_lines(
    count: int, *, seed: int = SEED, start: datetime = START, gap_us: int = _MEAN_GAP_US
) -> Iterator[bytes]:
    """``count`` lines of ``wire.events``, newline included, in order of time.

    The same arguments give the same bytes. ``gap_us`` microseconds lie between two on average;
    as it is a million events span about a day.
    """
    rng = random.Random(seed)
    shapes = _shapes(rng)
    picks = rng.choices(range(len(shapes)), k=count)
    statuses = rng.choices(_STATUSES, _STATUS_WEIGHTS, k=count)
    connection = uuid.UUID(int=0)
    moment = start
    for index in range(count):
        moment += timedelta(microseconds=rng.randrange(1, 2 * gap_us))
        if index % 8 == 0:
            connection = _uuid7(rng, moment)
        yield _line(rng, moment, connection, statuses[index], shapes[picks[index]])


def event_batches(
    count: int,
    batch: int,
    *,
    seed: int = SEED,
    start: datetime = START,
    gap_us: int = _MEAN_GAP_US,
) -> Iterator[bytes]:
    """The corpus of ``event_lines`` joined into bodies of ``batch`` lines."""
    lines: list[bytes] = []
    for line in event_lines(count, seed=seed, start=start, gap_us=gap_us):
        lines.append(line)
        if len(lines) == batch:
            yield b"".join(lines)
            lines = []
    if lines:
        yield b"".join(lines)


def _line(
    rng: random.Random,
    moment: datetime,
    connection: uuid.UUID,
    status: int,
    shape: tuple[str, str],
) -> bytes:
    prefix, suffix = shape
    number = rng.randrange(1, 5_000)
    duration = int(rng.lognormvariate(10.2, 1.1))
    sent, received = rng.randrange(180, 2_400), int(rng.lognormvariate(7.5, 1.3))
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return (
        f'{{"type":"request","timestamp":"{stamp}","requestId":"{_uuid7(rng, moment)}",'
        f'"connectionId":"{connection}",{prefix.replace("{n}", str(number))}'
        f'"status":{status},"durationUs":{duration},"bytesSent":{sent},"bytesReceived":{received},'
        f'"sourcePort":{rng.randrange(32_768, 60_999)},{suffix}}}\n'
    ).encode()


def _uuid7(rng: random.Random, moment: datetime) -> uuid.UUID:
    milliseconds = int(moment.timestamp() * 1000)
    value = milliseconds << 80 | 7 << 76 | rng.getrandbits(12) << 64 | 2 << 62 | rng.getrandbits(62)
    return uuid.UUID(int=value)


def _shapes(rng: random.Random) -> list[tuple[str, str]]:
    """Four thousand kinds of exchange: the parts of a line that repeat."""
    places: list[tuple[str, str, tuple[str, ...]]] = []
    places += [("egress-external", host, paths) for host, paths in _EXTERNAL]
    places += [("egress-internal", host, paths) for host, paths in _INTERNAL]
    places += [("ingress", *_OWN)] * 4
    weights = [1 / rank for rank in range(1, len(places) + 1)]
    cumulative = list(accumulate(weights))
    return [_shape(rng, *rng.choices(places, cum_weights=cumulative)[0]) for _ in range(4_000)]


def _shape(
    rng: random.Random, direction: str, host: str, paths: tuple[str, ...]
) -> tuple[str, str]:
    exe, container = rng.choice(_PROCESSES)
    method = rng.choices(_METHODS, _METHOD_WEIGHTS)[0]
    node = rng.randrange(1, 5)
    source, destination = (
        f"10.4.{node}.{rng.randrange(2, 250)}",
        f"10.9.0.{rng.randrange(2, 250)}",
    )
    if direction == "egress-external":
        destination = f"{rng.randrange(11, 200)}.{rng.randrange(255)}.7.{rng.randrange(2, 250)}"
    prefix = (
        f'"direction":"{direction}","scheme":"https","method":"{method}","host":"{host}",'
        f'"path":"{rng.choice(paths)}",{rng.choice(_OPTIONAL)}'
    )
    suffix = (
        f'"tlsProbe":"openssl","sourceIp":"{source}","destinationIp":"{destination}",'
        f'"destinationPort":443,"hostname":"node-{node}","processId":{rng.randrange(300, 9_000)},'
        f'"exe":"{exe}"{rng.choice(("", container))}'
    )
    return prefix, suffix
