"""The kernel as it is, real programs, loopback only."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.capture.doctor import examine
from agent.capture.kernel import KernelSource
from agent.capture.settings import CaptureSettings
from agent.capture.source import Chunk, Connection, Flow, Kind, Role
from tests.agent.capture.puppet import COMMAND, Puppet
from tests.agent.capture.servers import certificate, connect_proxy, python_server
from tests.real import require_real


class Recorder:
    """Reads a source and answers by what was in the bytes, never by who came first."""

    def __init__(self, source: KernelSource) -> None:
        self.source = source
        self.chunks: list[Chunk] = []
        self.facts: dict[int, Connection] = {}
        self._lost_before = source.lost()

    def lost(self) -> dict[str, int]:
        """Since this recorder began."""
        return {
            reason: count - self._lost_before[reason]
            for reason, count in self.source.lost().items()
        }

    def read(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._take(int(left * 1000) + 1)

    def until(self, met: Callable[[], bool], seconds: float = 5.0) -> None:
        """Read until the condition is met; a time-out is a failure."""
        deadline = time.monotonic() + seconds
        while not met():
            left = deadline - time.monotonic()
            assert left > 0, f"not seen within {seconds} s: {self.chunks[-5:]}"
            self._take(min(200, int(left * 1000) + 1))

    def _take(self, timeout_ms: int) -> None:
        for chunk in self.source.poll(timeout_ms):
            self.chunks.append(chunk)
            found = self.source.connection(chunk.connection)
            if found is not None:
                self.facts[chunk.connection] = found

    def stream(self, key: int, flow: Flow) -> bytes:
        return b"".join(
            chunk.data
            for chunk in self.chunks
            if chunk.connection == key and chunk.flow == flow and chunk.kind == Kind.DATA
        )

    def keys_with(self, marker: bytes, role: Role) -> list[int]:
        """Connections of that role whose bytes hold the marker, in order of appearance."""
        return [
            key
            for key, facts in self.facts.items()
            if facts.role == role
            and (marker in self.stream(key, Flow.SENT) or marker in self.stream(key, Flow.RECEIVED))
        ]

    def keys_at(self, port: int) -> set[int]:
        """Connections with that port at either end; others on this host may talk as well."""
        return {
            key
            for key, facts in self.facts.items()
            if port in (facts.local_port, facts.remote_port)
        }

    def key_with(self, marker: bytes, role: Role) -> int:
        keys = self.keys_with(marker, role)
        assert len(keys) == 1, (marker, role, keys)
        return keys[0]

    def wait_for(self, marker: bytes, role: Role) -> int:
        self.until(lambda: bool(self.keys_with(marker, role)))
        return self.key_with(marker, role)

    def closed(self, key: int) -> bool:
        return any(chunk.connection == key and chunk.kind == Kind.CLOSE for chunk in self.chunks)

    def wait_closed(self, key: int) -> None:
        self.until(lambda: self.closed(key))


@pytest.fixture(scope="session")
def shared() -> Iterator[KernelSource]:
    """Taking probes away takes a second, so that most tests use one source after the other."""
    require_real("ebpf", not examine(), "; ".join(map(str, examine())))
    source = KernelSource.open(CaptureSettings())
    yield source
    source.close()


@pytest.fixture
def record(shared: KernelSource) -> Iterator[Callable[..., Recorder]]:
    """``record()`` begins to read; ``record(fresh=True)`` or settings start capture anew."""
    opened: list[KernelSource] = []

    def start(*, fresh: bool = False, **settings: object) -> Recorder:
        if not fresh and not settings:
            shared.poll(0)
            return Recorder(shared)
        source = KernelSource.open(CaptureSettings(**settings))  # type: ignore[arg-type]
        opened.append(source)
        return Recorder(source)

    yield start
    for source in opened:
        source.close()


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost and 127.0.0.1 with its key, in one file."""
    return certificate(tmp_path_factory.mktemp("tls") / "server.pem")


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a program that is killed at the end of the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **options: object) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(command, **options)  # type: ignore[call-overload]
        running.append(child)
        return child  # type: ignore[no-any-return]

    yield start
    for child in running:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe:
                pipe.close()


@pytest.fixture
def puppet(spawn: Callable[..., subprocess.Popen[bytes]]) -> Callable[..., Puppet]:
    """``puppet(*wrapper, **options)`` starts one, behind a wrapper command if there is one."""

    def start(*wrapper: str, **options: object) -> Puppet:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return Puppet(spawn(*wrapper, *COMMAND, **pipes, **options))

    return start


@pytest.fixture
def pair(puppet: Callable[..., Puppet]) -> tuple[Puppet, Puppet]:
    """A client and a server, joined by one TCP connection that both call ``s``."""
    client, server = puppet(), puppet()
    client.connect(server.listen())
    server.accept()
    return client, server


@pytest.fixture
def https_port(spawn: Callable[..., subprocess.Popen[bytes]], pem: Path) -> int:
    return _started(spawn(*python_server(pem=pem), stdout=subprocess.PIPE))


@pytest.fixture
def http_port(spawn: Callable[..., subprocess.Popen[bytes]]) -> int:
    return _started(spawn(*python_server(), stdout=subprocess.PIPE))


@pytest.fixture
def proxy_port(spawn: Callable[..., subprocess.Popen[bytes]]) -> int:
    return _started(spawn(*connect_proxy(), stdout=subprocess.PIPE))


def _started(server: subprocess.Popen[bytes]) -> int:
    assert server.stdout is not None
    return int(server.stdout.readline())


@pytest.fixture
def free_port() -> int:
    """For programs that cannot choose one themselves."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nobody listens on {port}")
