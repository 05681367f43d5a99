"""HTTPS of real programs, seen as plaintext at both ends."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from agent.capture.source import Flow, Kind, Role
from tests.agent.capture.conftest import Recorder

Record = Callable[..., Recorder]


def curl(*arguments: str) -> bytes:
    return subprocess.run(["curl", "-sk", *arguments], check=True, capture_output=True).stdout


def test_curl_to_python_is_seen_at_both_ends(record: Record, https_port: int) -> None:
    recorder = record()
    answer = curl(f"https://127.0.0.1:{https_port}/first?a=1")
    client = recorder.wait_for(b"answer to /first", Role.CLIENT)
    server = recorder.wait_for(b"answer to /first", Role.SERVER)
    recorder.wait_closed(client)
    recorder.wait_closed(server)

    assert recorder.stream(client, Flow.SENT).startswith(b"GET /first?a=1 HTTP/1.1\r\n")
    assert recorder.stream(client, Flow.RECEIVED).endswith(b"\r\n\r\n" + answer)
    assert recorder.stream(server, Flow.RECEIVED) == recorder.stream(client, Flow.SENT)
    assert recorder.stream(server, Flow.SENT) == recorder.stream(client, Flow.RECEIVED)
    assert recorder.keys_at(https_port) == {client, server}


def test_facts_of_a_client_that_has_already_exited(record: Record, https_port: int) -> None:
    recorder = record()
    curl(f"https://127.0.0.1:{https_port}/gone")
    facts = recorder.facts[recorder.wait_for(b"/gone", Role.CLIENT)]

    assert facts.exe == "/usr/bin/curl"
    assert facts.comm == "curl"
    assert (facts.uid, facts.user) == (0, "root")
    assert facts.tls
    assert (facts.local_ip, facts.remote_ip, facts.remote_port) == (
        "127.0.0.1",
        "127.0.0.1",
        https_port,
    )
    server = recorder.facts[recorder.key_with(b"/gone", Role.SERVER)]
    assert (server.local_port, server.remote_port) == (https_port, facts.local_port)
    assert server.pid != facts.pid


def test_keep_alive_is_one_connection(record: Record, https_port: int) -> None:
    recorder = record()
    base = f"https://127.0.0.1:{https_port}"
    curl(*(f"{base}/turn-{number}" for number in range(5)))
    client = recorder.wait_for(b"answer to /turn-4", Role.CLIENT)
    recorder.wait_closed(client)

    sent = recorder.stream(client, Flow.SENT)
    assert [sent.count(b"GET /turn-%d " % number) for number in range(5)] == [1] * 5
    assert len(recorder.keys_with(b"/turn-", Role.CLIENT)) == 1
    assert len(recorder.keys_with(b"/turn-", Role.SERVER)) == 1


def test_times_grow_along_a_connection(record: Record, https_port: int) -> None:
    recorder = record()
    curl(*(f"https://127.0.0.1:{https_port}/time-{number}" for number in range(3)))
    client = recorder.wait_for(b"answer to /time-2", Role.CLIENT)
    recorder.wait_closed(client)

    mine = [chunk for chunk in recorder.chunks if chunk.connection == client]
    times = [chunk.monotonic_ns for chunk in mine]
    assert times == sorted(times)
    assert [chunk.kind for chunk in mine].count(Kind.CLOSE) == 1
    assert mine[-1].kind == Kind.CLOSE


def test_https_through_a_proxy_s_tunnel(record: Record, https_port: int, proxy_port: int) -> None:
    """The same socket is plain for ``CONNECT`` and TLS from then on: two connections."""
    recorder = record()
    url = f"https://127.0.0.1:{https_port}/tunnelled"
    curl("--proxy", f"http://127.0.0.1:{proxy_port}", url)
    inner = recorder.wait_for(b"answer to /tunnelled", Role.CLIENT)
    outer = recorder.key_with(b"CONNECT 127.0.0.1:%d" % https_port, Role.CLIENT)
    recorder.wait_closed(inner)

    assert inner != outer
    assert recorder.closed(outer)
    assert (recorder.facts[inner].tls, recorder.facts[outer].tls) == (True, False)
    assert recorder.facts[inner].remote_port == proxy_port
    assert recorder.stream(inner, Flow.SENT).startswith(b"GET /tunnelled HTTP/1.1\r\n")
    assert recorder.stream(outer, Flow.RECEIVED).startswith(b"HTTP/1.1 200 Connection established")
    assert recorder.stream(outer, Flow.SENT).count(b"\r\n\r\n") == 1
    assert recorder.key_with(b"answer to /tunnelled", Role.SERVER)
