"""``dns_audit``: what a lookup costs the agent when it is audited, in microseconds of its thread.

A lookup is what glibc makes of a name: two questions in one call, two answers, on a socket of
its own, with the kernel's record of who it is. From the record's bytes to the event as a line
for the platform; the kernel's half is paid by the process that asks, and is ``dns_target``: what
a system call of a process costs more while the program is there. Off, there is no program.
Processor time; the median of the rounds.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Final, cast

from agent.capture.kernel import KernelSource
from agent.capture.settings import CaptureSettings
from agent.capture.source import Connection, DnsMessage, Flow, Role, Source
from agent.config.policy import Policy, Surroundings
from agent.counters import Counters
from agent.dns.audit import DnsAudit
from agent.link.settings import LinkSettings
from agent.metrics import Registry
from agent.stores.base import Event, Shape, StoreContext
from agent.who import nobody
from bench.result import Result
from wire.config import parse_config
from wire.events import Event as PlatformEvent
from wire.events import encode_line

LOOKUPS: Final = 4_000
ROUNDS: Final = 9
CALLS: Final = 200_000
CONFIG: Final = b"version: 2\ntap: {audit_include_dns: true}\n"
_NAME: Final = b"\x03api\x06stripe\x03com\0"
_ADDRESS: Final = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\1\2\3"


class Lines:
    """The platform's end: what is emitted becomes a line, as the spool gets it."""

    id = kind = "bench"
    shape: Shape = "pulse"

    def __init__(self) -> None:
        self.count = 0

    def start(self) -> None:
        """Nothing to start."""

    def emit(self, event: Event) -> None:
        if isinstance(event, PlatformEvent) and encode_line(event):
            self.count += 1

    def tick(self) -> None:
        """Nothing waits."""

    def close(self, timeout: float) -> bool:
        return timeout > 0


class Messages:
    """The DNS half of a source."""

    def __init__(self) -> None:
        self.waiting: list[DnsMessage] = []

    def audit_dns(self, *, wanted: bool) -> None:
        """It is on."""

    def dns(self) -> list[DnsMessage]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def forget_dns(self, socket: int) -> None:
        """Nothing is kept."""


def run() -> Iterable[Result]:
    """``dns_audit`` (µs a lookup), then ``dns_target`` (ns a system call); ``n``: rounds."""
    rounds = [_audited() for _ in range(ROUNDS)]
    yield Result("dns_audit", statistics.median(rounds), "us/lookup", None, None, ROUNDS)
    if os.geteuid() == 0:
        yield _target()


def _audited() -> float:
    told, source = Lines(), Messages()
    audit = DnsAudit(counters=Counters(), in_scope=lambda _: True, agent="0", instance="0")
    # The half of a source that the audit asks for.
    audit.use(_policy(told), cast("Source", source))
    messages = list(_messages())
    began = time.thread_time()
    for at in range(0, len(messages), 40):
        source.waiting = messages[at : at + 40]
        audit.poll()
    used = time.thread_time() - began
    if told.count != 2 * LOOKUPS:
        raise AssertionError(f"{told.count} events of {2 * LOOKUPS}")
    return used / LOOKUPS * 1e6


def _policy(told: Lines) -> Policy:
    around = Surroundings(
        base=LinkSettings(hostname="node"), stores=StoreContext(Counters(), {}),
        metrics=Registry(), who_is=nobody, tags={}, uplink=told,
    )  # fmt: skip
    return Policy(parse_config(CONFIG).config, "", around)


def _messages() -> Iterator[DnsMessage]:
    for number in range(LOOKUPS):
        facts = Connection(
            number, 4_242, Role.UNKNOWN, False, "10.0.0.1", 40_000, "10.0.0.2", 53, 1,
            "/usr/bin/curl", "curl", 1_000, "ana", "",
        )  # fmt: skip
        for flow, tail in ((Flow.SENT, b""), (Flow.RECEIVED, _ADDRESS)):
            for kind in (1, 28):
                flags = b"\x81\x80" if tail else b"\1\0"
                count = b"\0\1" if tail else b"\0\0"
                data = (number & 0xFFFF).to_bytes(2) + flags + b"\0\1" + count + b"\0\0\0\0"
                data += _NAME + kind.to_bytes(2) + b"\0\1" + tail
                moment = time.monotonic_ns()
                yield DnsMessage(number, facts, True, flow, moment, len(data), data)


def _target() -> Result:
    """The same loop of small writes, with the program and without it, in turn."""
    source = KernelSource.open(CaptureSettings())
    plain, watched = [], []
    try:
        for _ in range(ROUNDS):
            source.audit_dns(wanted=False)
            plain.append(_calls())
            source.audit_dns(wanted=True)
            if not any(probe.family == "dns" and probe.active for probe in source.probes()):
                raise AssertionError("the program could not be loaded")
            watched.append(_calls())
    finally:
        source.close()
    off, on = statistics.median(plain), statistics.median(watched)
    return Result("dns_target", on - off, "ns/call", off, on / off, ROUNDS)


def _calls() -> float:
    """Nanoseconds of one write to a connected stream socket, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.dns"], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def _write() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    began = time.process_time_ns()
    for _ in range(CALLS // 10):
        for _ in range(5):
            ours.send(b"x")
        for _ in range(5):
            theirs.recv(1)
    sys.stdout.write(f"{(time.process_time_ns() - began) / CALLS}\n")


if __name__ == "__main__":
    _write()
