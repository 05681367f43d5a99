"""Servers that never end, drip, redirect or compress: none of them holds a thread of ours."""

from __future__ import annotations

import fcntl
import gzip
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agent.config.source import SourceError, UrlSource
from agent.stores.base import StoreError
from agent.stores.s3.ambient import Ambient
from agent.stores.s3.transport import Transport
from agent.uplink.client import Client, UnreachableError

Answer = Callable[[BaseHTTPRequestHandler], None]


class Bad:
    """Answers every request as ``answer`` says."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _: None
        self.over = threading.Event()
        bad = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.close_connection = True
                try:
                    bad.answer(self)
                except OSError:
                    return

            do_POST = do_PUT = do_GET  # noqa: N815  the library names them

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def drips(self, handler: BaseHTTPRequestHandler) -> None:
        """A byte now and then, each within any time-out of a socket."""
        handler.send_response_only(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not self.over.wait(0.05):
            handler.wfile.write(b"x")

    def never_ends(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(200)
        handler.end_headers()
        while not self.over.is_set():
            handler.wfile.write(b"# " + b"x" * 65_534)

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def bad() -> Iterator[Bad]:
    server = Bad()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.config.source.BODY_SECONDS", 0.4)
    monkeypatch.setattr("agent.stores.s3.ambient.READ_SECONDS", 0.4)


def within(seconds: float, call: Callable[[], object], error: type[Exception], words: str) -> None:
    began = time.monotonic()
    with pytest.raises(error, match=words):
        call()
    assert time.monotonic() - began < seconds


def test_one_that_drips(bad: Bad) -> None:
    bad.answer = bad.drips
    client = Client(bad.url, read_seconds=0.4)
    within(5, lambda: client.call("GET", "/", token="t"), UnreachableError, "bytes of the answer")
    transport = Transport(read_seconds=0.4)
    within(5, lambda: transport.send("GET", bad.url, {}), StoreError, "bytes of the answer")
    within(5, UrlSource(bad.url).read, SourceError, "bytes of the answer")
    node = Ambient({"AWS_EC2_METADATA_SERVICE_ENDPOINT": bad.url}, "eu-test-1")
    within(5, node, StoreError, "bytes of the answer")


def test_one_that_never_ends(bad: Bad) -> None:
    bad.answer = bad.never_ends
    text = UrlSource(bad.url).read()
    assert text is not None
    assert len(text) == 1024 * 1024 + 1, "one more than is allowed: the parser says what is wrong"
    transport = Transport(read_seconds=5)
    within(10, lambda: transport.send("GET", bad.url, {}), StoreError, "more than 65536 bytes")
    client = Client(bad.url, read_seconds=5)
    answer = client.call("GET", "/", token="t")
    assert len(answer.body) == 4 * 1024 * 1024


def test_a_configuration_that_redirects(bad: Bad) -> None:
    def moved(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(302)
        handler.send_header("Location", "http://169.254.169.254/latest/meta-data/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    bad.answer = moved
    within(5, UrlSource(bad.url).read, SourceError, "redirects are not followed; if it is right")


@pytest.mark.parametrize("size", [100, 40_000])
def test_an_answer_that_a_proxy_compressed(bad: Bad, size: int) -> None:
    def compressed(handler: BaseHTTPRequestHandler) -> None:
        data = gzip.compress(b"v" * size)
        handler.send_response_only(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    bad.answer = compressed
    client = Client(bad.url, read_seconds=5)
    for _ in range(2):
        assert client.call("GET", "/", token="t").body == b"v" * size
    assert UrlSource(bad.url).read() == b"v" * size


def test_a_bomb_that_is_compressed_costs_what_is_allowed(bad: Bad) -> None:
    def bomb(handler: BaseHTTPRequestHandler) -> None:
        data = gzip.compress(bytes(256 * 1024 * 1024), compresslevel=1)
        handler.send_response_only(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    bad.answer = bomb
    code = (
        "from pathlib import Path; from agent.uplink.client import Client;"
        f"answer = Client({bad.url!r}, read_seconds=20).call('GET', '/', token='t');"
        "status = Path('/proc/self/status').read_text().split();"
        "print(len(answer.body), int(status[status.index('VmHWM:') + 1]) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    size, memory = map(int, done.stdout.split())
    assert size == 4 * 1024 * 1024
    assert memory < 80


def test_half_an_answer_is_none(bad: Bad) -> None:
    def half(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"version: 2")

    bad.answer = half
    within(5, UrlSource(bad.url).read, SourceError, "10 bytes read")
    client = Client(bad.url, read_seconds=5)
    within(5, lambda: client.call("GET", "/", token="t"), UnreachableError, "10 bytes read")


# -- standard error --------------------------------------------------------------------


def test_a_reader_of_the_log_that_stops_does_not_stop_the_agent() -> None:
    code = (
        "import time; from agent.logs import behind_a_queue, get_logger; behind_a_queue();"
        "began = time.monotonic();"
        "[get_logger().error('x' * 200, number=number) for number in range(20_000)];"
        "print(time.monotonic() - began, flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
    assert float(process.stdout.readline()) < 10
    assert process.wait(10) == 0, "leaving waits a second, and no longer"
    lines = process.stderr.read().splitlines()
    assert b'"number": 0,' in lines[0]
    process.stdout.close()
    process.stderr.close()


def test_what_was_said_last_is_read_before_the_end() -> None:
    code = (
        "from agent.logs import behind_a_queue, get_logger; behind_a_queue();"
        "[get_logger().error('said', number=number) for number in range(500)]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("said") == 500
