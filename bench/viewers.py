"""``viewers_1000``: what a thousand people cost who leave the live page open.

A platform as an operator starts it, with a day's traffic in one account. A thousand signed-in
viewers, each with a session and a connection of its own, ask as their pages do: every five
seconds for the main part, ten different addresses among them. Measured is the processor time of
all of the platform's processes for each second of the clock, one core being 1, long enough that
every viewer comes back through the whole door meanwhile. Every answer is read and looked at.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

from bench.pages import load
from bench.result import Result
from bench.whole import Owner, WholePlatform, whole_platform
from qcloud.platform.environment import environment

VIEWERS: Final = 1_000
EVERY: Final = 5.0
"""Seconds; the page's own ``data-live``."""
WARM: Final = 20.0
MEASURED: Final = 90.0
EVENTS: Final = 300_000
_ADDRESSES: Final = (
    "", "?from=now-15m", "?from=now-6h", "?f.status=5xx", "?f.status=404", "?f.method=POST",
    "?f.direction=egress-external", "?f.host=api.stripe.com", "?f.process=/usr/bin/node",
    "?from=now-6h&f.status=5xx",
)  # fmt: skip
_SIGN_IN: Final = """
import json, sys
import django
django.setup()
from identity.models import User
from identity.sessions import SessionStore, Stage
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped
with unscoped("bench"):
    user = User.objects.get(email=sys.argv[1])
keys = []
for _ in range(int(sys.argv[2])):
    store = SessionStore(portal="c")
    store.begin(user, portal="c", stage=Stage.FULL, factor="totp", proved_at=now())
    keys.append(store.session_key)
print(json.dumps(keys))
"""


def run() -> Iterable[Result]:
    """Cores; ``n`` counts answers."""
    with whole_platform() as platform:
        owner = platform.owner()
        load(platform, owner, EVENTS)
        keys = _sessions(platform, owner)
        cores, answers = asyncio.run(_watch(platform, owner, keys))
    yield Result("viewers_1000", cores, "cores", None, None, answers)


def _sessions(platform: WholePlatform, owner: Owner) -> list[str]:
    """As after signing in, without a thousand times the work of checking a password."""
    done = subprocess.run(
        [sys.executable, "-c", _SIGN_IN, owner.email, str(VIEWERS)],
        env={**os.environ, **environment(platform.folder, platform.ports)},
        cwd=Path(__file__).resolve().parent.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    keys: list[str] = json.loads(done.stdout.splitlines()[-1])
    return keys


async def _watch(platform: WholePlatform, owner: Owner, keys: list[str]) -> tuple[float, int]:
    chance = random.Random(7)
    begin = time.monotonic() + 1
    end = begin + WARM + MEASURED
    viewers = [
        _Viewer(platform.ports.web, owner.account, key, _ADDRESSES[number % len(_ADDRESSES)])
        for number, key in enumerate(keys)
    ]
    tasks = [
        asyncio.create_task(viewer.look(begin + chance.random() * EVERY, end)) for viewer in viewers
    ]
    await asyncio.sleep(begin + WARM - time.monotonic())
    before, seen, since = _cpu(platform.pid), sum(v.answers for v in viewers), time.monotonic()
    late = sum(v.late for v in viewers)
    await asyncio.sleep(end - time.monotonic())
    spent, clock = _cpu(platform.pid) - before, time.monotonic() - since
    answers = sum(v.answers for v in viewers) - seen
    late = sum(v.late for v in viewers) - late
    await asyncio.gather(*tasks)
    wanted = VIEWERS * clock / EVERY
    if answers < 0.95 * wanted:
        raise RuntimeError(f"{answers} answers, the viewers wanted {wanted:.0f}: too slow")
    sys.stdout.write(f"# {answers} answers in {clock:.0f} s, {late} later than a second\n")
    return spent / clock, answers


class _Viewer:
    """One open page."""

    def __init__(self, port: int, account: str, key: str, query: str) -> None:
        self._port = port
        self._request = (
            f"GET /c/{account}/live{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Cookie: qcloud-session-c={key}\r\nX-QCloud-Poll: 1\r\nHX-Request: true\r\n"
            "HX-Request-Type: partial\r\nHX-Target: main#main\r\n\r\n"
        ).encode()
        self.answers = self.late = 0

    async def look(self, first: float, end: float) -> None:
        """Ask every five seconds. Raises ``RuntimeError`` for an answer that shows no traffic."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        due = first
        while due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(_length(head))
            if b" 200 " not in head[:20] or b'id="by-status"' not in body:
                raise RuntimeError(f"no chart in the answer: {head.decode()}")
            self.answers += 1
            self.late += time.monotonic() - began > 1
            due = max(due + EVERY, time.monotonic())
        writer.close()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise RuntimeError(f"an answer without its length: {head.decode()}")


def _cpu(pid: int) -> float:
    """Of a process and all below it, ended ones too."""
    total = 0.0
    for process in (parent := psutil.Process(pid), *parent.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total
