"""``page_traffic``: the server's time for the customer's traffic page over a million events.

A platform as an operator starts it, on a folder of its own. An agent's token sends the
events through the real door, the real loader brings them into the event store, and a signed
in person asks the real web process for the page: over loopback, one request at a time, from
sending it to its last byte. Ranges and filters vary; no two requests are the same.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.cookiejar import CookieJar
from itertools import product
from typing import Final
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import clickhouse_connect
import msgspec
import urllib3
import zstandard

from bench.corpora import event_batches
from bench.result import Result
from bench.whole import Owner, WholePlatform, whole_platform
from qcloud.kernel.ids import new_id
from wire.protocol import (
    BOOT_HEADER,
    EVENTS_CONTENT_TYPE,
    EVENTS_PATH,
    REGISTER_PATH,
    SEQUENCE_HEADER,
    RegisterRequest,
    RegisterResponse,
)

EVENTS: Final = 1_000_000
BATCH: Final = 5_000
ROUNDS: Final = 3
_LOAD_SECONDS: Final = 300.0
_DAY: Final = timedelta(days=1)
_SPANS: Final = (7 * _DAY, _DAY + timedelta(hours=2), _DAY / 2, _DAY / 24)
"""Back from the last event. The first two cover the million."""
_FILTERS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"f.env": "production"},
    {"f.status": "5xx"},
    {"f.status": "404"},
    {"f.method": "POST"},
    {"f.direction": "egress-external"},
    {"f.host": "api.stripe.com"},
    {"f.process": "/usr/bin/node"},
    {"f.path": "/v1/charges"},
    {"q": "checkout"},
)


def run() -> Iterable[Result]:
    """One result: the 95th percentile in milliseconds; ``n`` counts requests."""
    with whole_platform() as platform:
        owner = platform.owner()
        until = load(platform, owner)
        browser = Browser(platform, owner)
        rounds = [browser.times(_addresses(until, number)) for number in range(ROUNDS + 1)]
    # The first warms caches and opens connections.
    times = [one for found in rounds[1:] for one in found]
    p95 = statistics.quantiles(times, n=20, method="inclusive")[-1]
    yield Result("page_traffic", p95, "ms", None, None, len(times))


def load(platform: WholePlatform, owner: Owner, events: int = EVENTS) -> datetime:
    """Send as many of a day, wait until all can be found; returns a time behind the last."""
    now = datetime.now(UTC)
    sender = Sender(platform, owner.registration_token)
    for lines in event_batches(events, BATCH, start=now - _DAY * events / EVENTS):
        sender.send(lines)
    until_found(platform, events)
    return now + timedelta(minutes=10)


class Sender:
    """An agent as far as the door sees it: registered, one boot, batches by number."""

    def __init__(self, platform: WholePlatform, registration_token: str) -> None:
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", platform.ports.ingest)
        self._token, self._boot, self._number = self._register(registration_token), new_id(), 0
        self._compressor = zstandard.ZstdCompressor(level=3)

    def send(self, lines: bytes) -> None:
        """Returns when they are acknowledged. Raises ``RuntimeError``."""
        self._number += 1
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": EVENTS_CONTENT_TYPE,
            "Content-Encoding": "zstd",
            BOOT_HEADER: str(self._boot),
            SEQUENCE_HEADER: str(self._number),
        }
        _post(self._pool, EVENTS_PATH, self._compressor.compress(lines), headers)

    def _register(self, registration_token: str) -> str:
        body = msgspec.json.encode(RegisterRequest(instance_id=new_id(), name="bench"))
        bearer = {"Authorization": f"Bearer {registration_token}"}
        answer = _post(self._pool, REGISTER_PATH, body, bearer)
        return msgspec.json.decode(answer, type=RegisterResponse).agent_token


def _post(
    pool: urllib3.HTTPConnectionPool, path: str, body: bytes, headers: dict[str, str]
) -> bytes:
    answer = pool.request("POST", path, body=body, headers=headers)
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {answer.data.decode()}")
    return answer.data


def until_found(platform: WholePlatform, events: int) -> None:
    """Until every event is in the store and the engine has nothing left to merge."""
    client = clickhouse_connect.get_client(
        host="127.0.0.1",
        port=platform.ports.eventstore,
        username="qcloud",
        password=platform.folder.secrets()["eventstore"],
        database="qcloud",
    )
    sql = "SELECT (SELECT count() FROM requests), (SELECT count() FROM system.merges)"
    deadline = time.monotonic() + _LOAD_SECONDS
    while (found := client.query(sql).result_rows[0]) != (events, 0):
        if time.monotonic() > deadline or found[0] > events:
            raise RuntimeError(f"events and merges are {found}, {events} events were sent")
        time.sleep(0.5)
    client.close()


def _addresses(until: datetime, number: int) -> Iterator[str]:
    """Every range with every filter, each ``number`` seconds longer: no two are the same."""
    for place, (span, chosen) in enumerate(product(_SPANS, _FILTERS)):
        since = until - span - timedelta(seconds=number, milliseconds=place)
        yield urlencode({"from": since.isoformat(), "to": until.isoformat(), **chosen})


class Browser:
    """One kept connection, signed in as the customer's owner."""

    def __init__(self, platform: WholePlatform, owner: Owner) -> None:
        self._path = f"/c/{owner.account}/live"
        self._cookies = sign_in(platform.ports.web, owner)
        self._connection = HTTPConnection("127.0.0.1", platform.ports.web, timeout=60)

    def times(self, addresses: Iterable[str]) -> list[float]:
        """Milliseconds of each page. Raises ``RuntimeError`` for one that shows no traffic."""
        return [self._time(f"{self._path}?{query}") for query in addresses]

    def _time(self, address: str) -> float:
        began = time.perf_counter()
        self._connection.request("GET", address, headers={"Cookie": self._cookies})
        answer = self._connection.getresponse()
        page = answer.read()
        elapsed = time.perf_counter() - began
        if answer.status != 200 or b'id="by-status"' not in page:
            raise RuntimeError(f"{address}: {answer.status}, and no chart in it")
        return elapsed * 1_000


def sign_in(port: int, owner: Owner) -> str:
    jar = CookieJar()
    opener = build_opener(HTTPCookieProcessor(jar))
    url = f"http://127.0.0.1:{port}/sign-in"
    with opener.open(url) as answer:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', answer.read().decode())
    if token is None:
        raise RuntimeError("the sign-in page has no form")
    form = {
        "csrfmiddlewaretoken": token[1],
        "email": owner.email,
        "password": owner.password,
        "next": f"/c/{owner.account}/live",
    }
    opener.open(url, urlencode(form).encode()).close()
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)
