"""Standard output: whole lines in order, and nobody waits for whoever does not read."""

from __future__ import annotations

import os
import time
from functools import partial

from agent.stores.console import Console


def test_lines_come_whole_and_in_order() -> None:
    reading, writing = os.pipe()
    console = Console(writing)
    sent = [f"{number:06}".encode() * 40 for number in range(2_000)]
    received = b""
    for line in sent:
        assert console.write(line)
    while received.count(b"\n") < len(sent):
        received += os.read(reading, 1 << 16)
    assert received.splitlines() == sent
    assert console.drain(5.0)
    os.close(writing)
    os.close(reading)


def test_a_reader_that_stops_costs_lines_and_no_time() -> None:
    reading, writing = os.pipe()
    console = Console(writing, queue_bytes=100_000)
    began = time.monotonic()
    taken = [console.write(b"x" * 999) for _ in range(1_000)]
    assert time.monotonic() - began < 2.0
    assert taken[0]
    assert not taken[-1]
    assert 90 <= sum(taken) <= 300
    assert not console.drain(0.05)
    got = 0
    while got < sum(taken) * 1_000:
        got += len(os.read(reading, 1 << 16))
    assert console.drain(5.0)
    assert console.write(b"again")
    assert os.read(reading, 100) == b"again\n"
    os.close(writing)
    os.close(reading)


def test_a_reader_that_is_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    console = Console(writing)
    assert console.write(b"x")
    deadline = time.monotonic() + 5
    while console.write(b"x"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.close(writing)


def test_what_was_taken_and_cannot_be_written_is_told() -> None:
    reading, writing = os.pipe()
    console = Console(writing)
    assert console.write(b"x" * 100)
    assert console.drain(5.0)
    os.close(reading)
    lost: list[int] = []
    taken = [n for n in range(50) if console.write(b"x" * 99, partial(lost.append, n))]
    assert taken
    assert console.drain(5.0)
    assert lost == taken
    os.close(writing)
