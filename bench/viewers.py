"""``viewers_1000``: what a thousand people cost who leave the live page open.

A platform as an operator starts it: twenty accounts with a day's traffic each, to which more comes
all the time, and fifty people in each, of several roles. Every one has a session, a connection and
a page of its own open, which asks for its main part as a browser does: as often as the page says,
with the headers that a browser sends; there is no ETag to send back, since nothing of an answer is
kept. What people look at is what ``_VIEWS`` says. One signed in by the form; the others' sessions
were made as signing in makes them.

Measured is the processor time of all of the platform's processes, whatever they did, for each
second of the clock, 1 being one core: the median of ``WINDOWS`` windows, after a warm-up from the
end of which on as many come back through the whole door as always will. The load generator is no
process of the platform. The baseline is the same platform, with the same traffic coming in, before
anybody looks. Every answer is read whole and looked at. Other work on the machine makes waits
longer, and processor time only as far as cores and caches are shared.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psutil
import urllib3

from bench.corpora import SEED, event_batches, event_lines
from bench.pages import Sender, sign_in, until_found
from bench.result import Result
from bench.whole import WholePlatform, whole_platform
from qcloud.platform.environment import environment

ACCOUNTS: Final = 20
PEOPLE: Final = 50
"""In each account."""
ARRIVE: Final = 30.0
"""Seconds in which the pages are opened."""
WARM: Final = 70.0
"""After that: the first passes have ended, as many in a second as from now on."""
WINDOWS: Final = 5
WINDOW: Final = 15.0
DAY_OF_EVENTS: Final = 20_000
"""In each account."""
COMING: Final = 25
"""Events of each account, every ``_BATCH`` seconds."""
_VIEWS: Final = (
    ("", 30),
    ("?from=now-15m", 8),
    ("?f.status=5xx", 6),
    ("?from=now-6h", 4),
    ("?f.host=api.stripe.com", 2),
)
"""What people of an account look at, and how many of the fifty."""
_BATCH: Final = 5.0
_LATE: Final = 1.0
_OLD: Final = 3.0
"""Seconds beyond its time that an answer may have been made before, on average."""
_NOW: Final = re.compile(rb'data-now="(\d+)"')
_LIVE: Final = re.compile(rb'data-live="(\d+)"')
_HEADERS: Final = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/142.0.0.0 Safari/537.36\r\nAccept: text/html\r\n"
    "Accept-Language: en-US,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    "Connection: keep-alive\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n"
    "Sec-Fetch-Dest: empty\r\nX-QCloud-Poll: 1\r\nHX-Request: true\r\n"
    "HX-Request-Type: partial\r\nHX-Source: main#main\r\nHX-Target: main#main\r\n"
)


@dataclass(frozen=True)
class Account:
    """One whose people look on."""

    slug: str
    cookies: list[str]
    sender: Sender


def run() -> Iterable[Result]:
    """Cores; ``n`` counts answers."""
    with whole_platform() as platform:
        accounts = audience(platform)
        found = asyncio.run(_watch(platform, accounts))
    sys.stdout.write("".join(f"# {line}\n" for line in found.words()))
    cores, idle = statistics.median(map(_total, found.windows)), _total(found.idle)
    yield Result("viewers_1000", cores, "cores", idle, cores / idle, found.answers)


def audience(platform: WholePlatform) -> list[Account]:
    """Accounts with a day of traffic and people who have signed in. Raises ``RuntimeError``."""
    owner = platform.owner()
    done = subprocess.run(
        [sys.executable, "-m", "bench.audience", str(ACCOUNTS), str(PEOPLE)],
        env={**os.environ, **environment(platform.folder, platform.ports)},
        cwd=Path(__file__).resolve().parent.parent,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    accounts = []
    for number, one in enumerate(json.loads(done.stdout.splitlines()[-1])):
        cookies = [f"qcloud-session-c={key}" for key in one["sessions"]]
        sender = Sender(platform, one["token"])
        accounts.append(Account(one["slug"], cookies, sender))
        gap = timedelta(days=1) / DAY_OF_EVENTS
        for lines in event_batches(
            DAY_OF_EVENTS,
            5_000,
            seed=SEED + number,
            start=datetime.now(UTC) - timedelta(days=1),
            gap_us=int(gap.total_seconds() * 1e6),
        ):
            sender.send(lines)
    accounts[0].cookies[0] = sign_in(platform.ports.web, owner)
    until_found(platform, ACCOUNTS * DAY_OF_EVENTS)
    return accounts


Seconds = dict[str, float]
"""By process of the platform: processor time."""


@dataclass(frozen=True)
class Found:
    idle: Seconds
    """Of one second."""
    windows: list[Seconds]
    """Of one second, each."""
    answers: int
    late: int
    bytes_each: float
    age: float
    """Seconds, of the average answer."""

    def words(self) -> Iterable[str]:
        """What stands behind the figure."""
        cores = " ".join(f"{_total(window):.3f}" for window in self.windows)
        yield f"cores in {len(self.windows)} windows of {WINDOW:.0f} s: {cores}"
        for name in sorted(self.idle, key=lambda name: -self._median(name)):
            yield f"{name}: {self._median(name):.3f}, {self.idle[name]:.3f} before anybody looked"
        views = len(_VIEWS) * ACCOUNTS
        yield f"{ACCOUNTS * PEOPLE} people, {ACCOUNTS} accounts, {views} addresses"
        yield f"{self.bytes_each:.0f} bytes an answer, made {self.age:.1f} s before on average"
        yield f"{self.late} of {self.answers} answers later than 1 s"

    def _median(self, name: str) -> float:
        return statistics.median(window[name] for window in self.windows)


async def _watch(platform: WholePlatform, accounts: list[Account]) -> Found:
    stop = asyncio.Event()
    coming = asyncio.create_task(_traffic(accounts, stop))
    await asyncio.sleep(2 * _BATCH)  # connections of the first batches
    idle = await _measured(platform, WINDOW)
    chance, begin = random.Random(SEED), time.monotonic() + 1
    viewers = _viewers(platform.ports.web, accounts)
    tasks = [
        asyncio.create_task(viewer.look(begin + chance.random() * ARRIVE, stop))
        for viewer in viewers
    ]
    await _unless_one_fails(tasks, ARRIVE + WARM)
    before = _counted(viewers)
    windows = []
    for _ in range(WINDOWS):
        windows.append(await _measured(platform, WINDOW))
        await _unless_one_fails(tasks, 0)
    after = _counted(viewers)
    stop.set()
    await asyncio.gather(coming, *tasks)
    gone = after - before
    answers = gone["answers"]
    wanted = sum(WINDOWS * WINDOW / viewer.every for viewer in viewers)
    age = gone["age"] / 1_000 / max(1, answers)
    found = Found(idle, windows, answers, gone["late"], gone["bytes"] / max(1, answers), age)
    every = statistics.mean(viewer.every for viewer in viewers)
    if answers < 0.95 * wanted or age > every + _OLD:
        said = "\n".join(found.words())
        raise RuntimeError(f"{answers} of {wanted:.0f} answers, or old ones: too slow\n{said}")
    return found


async def _unless_one_fails(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Wait so long. Raises what the first of the tasks raises."""
    ended, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in ended:
        task.result()


async def _traffic(accounts: list[Account], stop: asyncio.Event) -> None:
    """Some more for each account, one after another."""
    turn = 0
    due = time.monotonic()
    while not stop.is_set():
        account = accounts[turn % len(accounts)]
        start = datetime.now(UTC) - timedelta(seconds=_BATCH)
        gap = int(_BATCH * 1e6 / COMING)
        lines = b"".join(event_lines(COMING, seed=turn, start=start, gap_us=gap))
        await asyncio.to_thread(account.sender.send, lines)
        turn += 1
        due += _BATCH / len(accounts)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def _viewers(port: int, accounts: list[Account]) -> list[_Viewer]:
    wanted = [query for query, people in _VIEWS for _ in range(people)]
    every = {query: _interval(port, accounts[0], query) for query, _ in _VIEWS}
    # Roles go round by fives: over twenty accounts each view has people of each.
    return [
        _Viewer(port, account.slug, cookie, query, every[query])
        for place, account in enumerate(accounts)
        for number, cookie in enumerate(account.cookies)
        for query in [wanted[(number * 7 + place) % len(wanted)]]
    ]


def _interval(port: int, account: Account, query: str) -> float:
    """Seconds after which the page that somebody opened asks again."""
    headers = {"Cookie": account.cookies[0]}
    page = urllib3.request(
        "GET", f"http://127.0.0.1:{port}/c/{account.slug}/live{query}", headers=headers
    )
    found = _LIVE.search(page.data)
    if page.status != 200 or found is None:
        raise RuntimeError(f"live{query}: {page.status}, and no live page in it")
    return float(found[1])


class _Viewer:
    """One open page."""

    def __init__(self, port: int, account: str, cookies: str, query: str, every: float) -> None:
        self._port, self.every = port, every
        address, site = f"/c/{account}/live{query}", f"127.0.0.1:{port}"
        self._request = (
            f"GET {address} HTTP/1.1\r\nHost: {site}\r\n{_HEADERS}"
            f"Referer: http://{site}{address}\r\nHX-Current-URL: http://{site}{address}\r\n"
            f"Cookie: {cookies}\r\n\r\n"
        ).encode()
        self.counted: Counter[str] = Counter()
        self._kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def look(self, first: float, stop: asyncio.Event) -> None:
        """Ask again and again. Raises ``RuntimeError`` for an answer that shows no traffic."""
        due = first
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, due - time.monotonic()))
                break
            began = time.monotonic()
            head, body = await self._ask()
            if b" 200 " not in head[:20] or b'id="by-status"' not in body:
                raise RuntimeError(f"no chart in the answer: {head.decode()}")
            late = time.monotonic() - began > _LATE
            size, age = len(head) + len(body), time.time() - _made_at(body)
            self.counted.update(answers=1, late=late, bytes=size, age=int(age * 1_000))
            due += self.every
            while due < time.monotonic():  # a page that still waits lets its turn pass
                due += self.every
        if self._kept is not None:
            self._kept[1].close()

    async def _ask(self) -> tuple[bytes, bytes]:
        """On the kept connection; on another one where the server has closed that meanwhile."""
        for _ in range(2):
            kept = self._kept or await asyncio.open_connection(
                "127.0.0.1", self._port, limit=1 << 20
            )
            reader, writer = self._kept = kept
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                writer.write(self._request)
                head = await reader.readuntil(b"\r\n\r\n")
                return head, await reader.readexactly(_length(head))
            writer.close()
            self._kept = None
            self.counted.update(opened_again=1)
        raise RuntimeError("the connection was closed without an answer, twice")


def _made_at(body: bytes) -> float:
    """Seconds since 1970: the moment up to which the charts go."""
    found = _NOW.search(body)
    if found is None:
        raise RuntimeError("an answer that does not say when it was made")
    return float(found[1])


def _counted(viewers: list[_Viewer]) -> Counter[str]:
    return sum((viewer.counted for viewer in viewers), Counter())


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise RuntimeError(f"an answer without its length: {head.decode()}")


def _total(seconds: Seconds) -> float:
    return sum(seconds.values())


async def _measured(platform: WholePlatform, seconds: float) -> Seconds:
    before, began = _cpu(platform.pid), time.monotonic()
    await asyncio.sleep(seconds)
    after, clock = _cpu(platform.pid), time.monotonic() - began
    return {name: (spent - before.get(name, 0.0)) / clock for name, spent in after.items()}


def _cpu(pid: int) -> Seconds:
    """Of a process and all below it, ended ones too, by the first generation below it."""
    supervisor = psutil.Process(pid)
    spent = {"supervisor": _own(supervisor)}
    for child in supervisor.children():
        name = _name(child)
        spent[name] = spent.get(name, 0.0) + _own(child)
        for below in child.children(recursive=True):
            spent[name] += _own(below)
    return spent


def _own(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.NoSuchProcess:  # its parent has it among its ended children next time
        return 0.0


def _name(process: psutil.Process) -> str:
    return process.environ().get("QCLOUD_PROCESS") or Path(process.cmdline()[0]).name
