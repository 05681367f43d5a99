"""Many short programs at once: every request once at each end, none lost, none twice."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.capture.source import Flow, Role
from tests.agent.capture.conftest import Recorder
from tests.agent.capture.puppet import PYTHON, Puppet
from tests.agent.capture.test_plain import REQUEST

Record = Callable[..., Recorder]

_CLIENT = """
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
for url in sys.argv[1:]:
    urllib.request.urlopen(url, context=context).read()
"""
CURLS, PYTHONS, URLS_A_PYTHON = 120, 6, 10


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def commands(base: str) -> list[list[str]]:
    curls = [["curl", "-sk", f"{base}/each/curl-{n}"] for n in range(CURLS)]
    pythons = [
        [PYTHON, "-c", _CLIENT, *(f"{base}/each/py-{n}-{turn}" for turn in range(URLS_A_PYTHON))]
        for n in range(PYTHONS)
    ]
    return curls + pythons


def paths(recorder: Recorder, role: Role, pattern: bytes) -> Counter[bytes]:
    flow = Flow.SENT if (role == Role.CLIENT) == pattern.startswith(b"GET") else Flow.RECEIVED
    found: Counter[bytes] = Counter()
    for key, facts in recorder.facts.items():
        if facts.role == role:
            found.update(re.findall(pattern, recorder.stream(key, flow)))
    return found


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_every_request_once(record: Record, scheme: str, request: pytest.FixtureRequest) -> None:
    port = request.getfixturevalue(f"{scheme}_port")
    recorder = record()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, commands(f"{scheme}://127.0.0.1:{port}")))
    recorder.read(0.5)

    expected = {b"curl-%d" % n for n in range(CURLS)} | {
        b"py-%d-%d" % (n, turn) for n in range(PYTHONS) for turn in range(URLS_A_PYTHON)
    }
    once = Counter(dict.fromkeys(expected, 1))
    for role in (Role.CLIENT, Role.SERVER):
        assert paths(recorder, role, rb"GET /each/(\S+) HTTP") == once
        assert paths(recorder, role, rb"answer to /each/([-\w]+)") == once
    assert set(recorder.lost().values()) == {0}


def test_two_agents_side_by_side(record: Record, https_port: int) -> None:
    one, two = record(), record(fresh=True)
    run(["curl", "-sk", f"https://127.0.0.1:{https_port}/both"])
    for recorder in (one, two):
        key = recorder.wait_for(b"answer to /both", Role.CLIENT)
        assert recorder.stream(key, Flow.SENT).count(b"GET /both ") == 1


def test_what_a_full_ring_drops_is_counted(record: Record, pair: tuple[Puppet, Puppet]) -> None:
    client, server = pair
    recorder = record(ring_bytes=65536)
    server.drain()
    client.do(f"for _ in range(2000): s.sendall({REQUEST % b'flood'!r})")
    assert recorder.lost()["ring_full"] > 1000
    recorder.read(0.2)
    client.do(f"s.sendall({REQUEST % b'later'!r})")
    recorder.wait_for(b"/later", Role.CLIENT)


def test_a_killed_process_ends_its_connections(record: Record, pair: tuple[Puppet, Puppet]) -> None:
    client, server = pair
    recorder = record()
    client.do(f"s.sendall({REQUEST % b'killed'!r})")
    server.do("s.recv(4096)")
    key = recorder.wait_for(b"/killed", Role.CLIENT)
    other = recorder.wait_for(b"/killed", Role.SERVER)
    client.do("threading.Timer(0.05, os._exit, [1]).start()")
    recorder.wait_closed(key)
    assert not recorder.closed(other)
    server.do("s.recv(4096); s.close()")
    recorder.wait_closed(other)
