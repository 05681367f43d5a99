"""One account's flood, and how long another's small batch takes meanwhile."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
import zstandard

from qcloud.kernel.ids import new_id
from tests.pulse.lines import event, lines
from tests.pulse.serving import served_door
from wire.protocol import BOOT_HEADER, EVENTS_PATH, SEQUENCE_HEADER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SENDERS = 10
SLOW = 40
SMALL = 40
EXTRA_SECONDS = 1.5
"""What a flood may add to the slowest small batch on two busy cores: measured, some hundredths;
without shares of parsing and writing, five seconds."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with served_door(tmp_path) as address:
        yield address


def headers(token: str, boot: str, number: int) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token}",
        "Content-Encoding": "zstd",
        BOOT_HEADER: boot,
        SEQUENCE_HEADER: str(number),
    }


class Flood(threading.Thread):
    """Huge batches that go the slow way, one after the other."""

    body = b""

    def __init__(self, url: str, stop: threading.Event, answers: Counter[int]) -> None:
        super().__init__(daemon=True)
        self._url, self._stopping, self._answers = url, stop, answers

    def run(self) -> None:
        http = urllib3.PoolManager(retries=False, timeout=60)
        boot, number = str(new_id()), 0
        while not self._stopping.is_set():
            number += 1
            answer = http.request(
                "POST", self._url + EVENTS_PATH, body=self.body,
                headers=headers("flood", boot, number),
            )  # fmt: skip
            self._answers[answer.status] += 1


def small_batches(url: str, count: int) -> list[float]:
    """Seconds that each takes."""
    http = urllib3.PoolManager(retries=False, timeout=60)
    body, boot = zstandard.compress(lines(event(), event())), str(new_id())
    found = []
    for number in range(1, count + 1):
        began = time.perf_counter()
        answer = http.request(
            "POST", url + EVENTS_PATH, body=body, headers=headers("owner", boot, number)
        )
        assert answer.status == 200, answer.data
        found.append(time.perf_counter() - began)
    return found


def slow_bodies(url: str, count: int) -> list[socket.socket]:
    """Requests whose body never ends."""
    found = []
    for number in range(count):
        opened = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        head = "".join(f"{k}: {v}\r\n" for k, v in headers("flood", str(new_id()), 1).items())
        text = (
            f"POST {EVENTS_PATH} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 9999\r\n\r\n{number}"
        )
        opened.sendall(text.encode())
        found.append(opened)
    return found


def test_a_flood_delays_no_other_account(url: str) -> None:
    # An unknown field with a null makes each line go the exact way.
    line = lines(event(path="/flood"))[:-2] + b',"x":null}\n'
    Flood.body = zstandard.compress(line * 40_000)
    calm = small_batches(url, SMALL)
    stop, answers = threading.Event(), Counter[int]()
    floods = [Flood(url, stop, answers) for _ in range(SENDERS)]
    hanging = slow_bodies(url, SLOW // 2)
    for flood in floods:
        flood.start()
    time.sleep(2)
    stormy = small_batches(url, SMALL)
    stop.set()
    for opened in hanging:
        opened.close()
    for flood in floods:
        flood.join(90)
    said = (statistics.median(calm), statistics.median(stormy), max(stormy), dict(answers))
    assert answers[200] > 0, said
    assert set(answers) <= {200, 400, 429, 503}
    assert statistics.median(stormy) < statistics.median(calm) + EXTRA_SECONDS / 5, said
    assert max(stormy) < max(calm) + EXTRA_SECONDS, said
