"""Reloads under load: ``python -m tests.agent.config.many_reloads [--reloads 10000]``.

One thread brings configurations as fast as they are taken, the other plays exchanges and
takes them between two chunks, as the agent does. Every exchange is counted, and what is
kept of it must be what the configuration that it began under says.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from agent.capture.source import Chunk, Flow, Kind
from agent.config.stack import StackPlan
from agent.link.exchange import Exchange
from agent.system import resident_bytes
from tests.agent.config.inside import Inside, Through, answer, ask, stack
from tests.agent.traffic import MS, client
from wire.events import RequestEvent

CONNECTIONS = 20
LEVELS = ("none", "summary", "headers", "full")


class Seen(NamedTuple):
    exchanges: int
    lost: int
    wrong: list[str]
    threads: int
    grown_bytes: int


class Counted(Through):
    """Notes what was kept beside what should have been."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.count = 0
        self.wrong: list[str] = []

    def _emit(self, event: RequestEvent, exchange: Exchange) -> None:
        super()._emit(event, exchange)
        self.count += 1
        plan = exchange.plan
        assert isinstance(plan, StackPlan)
        level = plan.policy.config.capture.level
        kept = (bool(exchange.request_head), bool(exchange.response_body))
        if kept != (level in {"headers", "full"}, level == "full"):
            self.wrong.append(f"{level}: {kept}")


def many_reloads(folder: Path, *, reloads: int) -> Seen:
    texts = [
        stack(f"{{type: http_capture, config: {{level: {level}}}}}").replace("/other", f"/o{n}")
        for level, n in itertools.product(LEVELS, range(3))
    ]
    inside = Inside(folder, texts[0])
    connections = [client(key) for key in range(1, CONNECTIONS + 1)]
    listener = Counted(inside.policy, connections)
    inside.listener = listener
    done = threading.Event()
    taken = threading.Semaphore(1)
    before, threads_before = resident_bytes(), _threads()

    def bring() -> None:
        nonlocal before
        for number in range(reloads):
            taken.acquire()
            if number == reloads // 4:
                before = resident_bytes()  # what fills once is full: caches, the queue of objects
            document = "version: 2\n" + texts[number % len(texts)]
            inside.configuration.apply_text(document.replace("{folder}", str(folder)).encode())
        done.set()

    bringing = threading.Thread(target=bring)
    bringing.start()
    asked = 0
    while not done.is_set():
        asked += _round(inside, listener, taken)
        policy = inside.configuration.take()
        if policy is not None:
            listener.linker.configure(policy.link)
            taken.release()
        inside.configuration.release(listener.linker.plans())
        inside.told.events.clear()
    bringing.join()
    listener.linker.shutdown(listener.now)
    threads = _threads() - threads_before
    grown = resident_bytes() - before
    # How much a slow disk has still to store is not what is asked here.
    inside.configuration.close(60.0)
    return Seen(asked, asked - listener.count, listener.wrong, threads, grown)


def _threads() -> int:
    """Once the stores of former configurations are closed."""
    deadline = time.monotonic() + 30
    while any(one.name == "close-stores" for one in threading.enumerate()):
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return threading.active_count()


def _round(inside: Inside, listener: Counted, taken: threading.Semaphore) -> int:
    """One exchange on each connection; a configuration may come between ask and answer."""
    for key in range(1, CONNECTIONS + 1):
        _feed(listener, key, Flow.SENT, ask(f"/{key}"))
    policy = inside.configuration.take()
    if policy is not None:
        listener.linker.configure(policy.link)
        taken.release()
    for key in range(1, CONNECTIONS + 1):
        _feed(listener, key, Flow.RECEIVED, answer(200, b"x" * 100))
    return CONNECTIONS


def _feed(listener: Counted, key: int, flow: Flow, data: bytes) -> None:
    listener.now += MS
    listener.linker.feed(Chunk(Kind.DATA, key, flow, listener.now, len(data), data))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.agent.config.many_reloads")
    parser.add_argument("--reloads", type=int, default=10_000)
    with tempfile.TemporaryDirectory() as folder:
        seen = many_reloads(Path(folder), reloads=parser.parse_args().reloads)
    sys.stdout.write(f"{seen}\n")
    return 1 if seen.lost or seen.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
