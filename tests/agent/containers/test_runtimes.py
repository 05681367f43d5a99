"""Runtimes on unix sockets: Docker's HTTP, and CRI by a real gRPC server."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import grpc
import pytest

from agent.containers.base import Container, RuntimeUnavailable
from agent.containers.containerd import Containerd
from agent.containers.cri import Cri
from agent.containers.docker import Docker
from agent.containers.grpc import call
from agent.containers.lookup import Containers, runtimes
from agent.containers.protobuf import MalformedError, Message
from agent.counters import Counters

ID = "5e" * 32
DOCKER = [
    {"Id": ID, "Names": ["/web"], "Image": "shop/web:1.2", "Labels": {"team": "blue"}},
    {"Id": "6f" * 32, "Names": ["/k8s_app"], "Image": "app",
     "Labels": {"io.kubernetes.pod.name": "app-1", "io.kubernetes.pod.namespace": "prod",
                "io.kubernetes.container.name": "app"}},
    {"Id": "70" * 32, "Names": None, "Image": "", "Labels": None},
]  # fmt: skip


# -- servers ---------------------------------------------------------------------------


@contextmanager
def docker_at(path: Path, answer: Callable[[], tuple[int, bytes]]) -> Iterator[list[str]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = answer()
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """The test looks at ``asked``."""

    with ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield asked
        server.shutdown()
        thread.join()


def field(number: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def mapping(number: int, values: dict[str, str]) -> bytes:
    return b"".join(field(number, field(1, key) + field(2, one)) for key, one in values.items())


def sandboxes(count: int = 1) -> bytes:
    one = (
        field(1, "pod-id") + field(2, field(1, "web-7d9") + field(2, "uid") + field(3, "shop"))
        + varint(3 << 3) + varint(0) + varint(4 << 3) + varint(1_700_000_000_000_000_000)
        + mapping(5, {"app": "web"}) + mapping(6, {"owner": "team blue"})
    )  # fmt: skip
    return field(1, one) * count


def containers() -> bytes:
    one = (
        field(1, ID) + field(2, "pod-id") + field(3, field(1, "main") + varint(2 << 3) + varint(4))
        + field(4, field(1, "sha256:0123") + field(18, "registry.example/web:1.2"))
        + field(5, "sha256:0123") + varint(6 << 3) + varint(1)
        + mapping(8, {"io.kubernetes.container.name": "main", "tier": "front"})
    )  # fmt: skip
    return field(1, one)


@contextmanager
def cri_at(path: Path, **answers: Callable[[], bytes]) -> Iterator[None]:
    known = {"ListPodSandbox": sandboxes, "ListContainers": containers} | answers
    server = grpc.server(ThreadPoolExecutor(2))
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(lambda _request, _context, make=make: make())
        for name, make in known.items()
    }
    service = grpc.method_handlers_generic_handler("runtime.v1.RuntimeService", handlers)
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    yield
    server.stop(None).wait()


# -- Docker ----------------------------------------------------------------------------


def test_docker(tmp_path: Path) -> None:
    with docker_at(tmp_path / "d", lambda: (200, json.dumps(DOCKER).encode())) as asked:
        web, app, bare = Docker(str(tmp_path / "d")).containers()
    assert asked == ["/containers/json"]
    assert web == Container(id=ID, name="web", image="shop/web:1.2", labels={"team": "blue"})
    assert (app.name, app.pod_name, app.pod_namespace) == ("app", "app-1", "prod")
    assert bare == Container(id="70" * 32)


@pytest.mark.parametrize("answer", [(500, b"[]"), (200, b"{}"), (200, b"not json"), (200, b"[1]")])
def test_what_is_not_docker(tmp_path: Path, answer: tuple[int, bytes]) -> None:
    with docker_at(tmp_path / "d", lambda: answer), pytest.raises(RuntimeUnavailable):
        Docker(str(tmp_path / "d")).containers()


# -- CRI -------------------------------------------------------------------------------


def test_cri(tmp_path: Path) -> None:
    with cri_at(tmp_path / "c"):
        found = Cri(str(tmp_path / "c")).containers()
    assert found == [
        Container(
            id=ID, name="main", image="registry.example/web:1.2",
            labels={"io.kubernetes.container.name": "main", "tier": "front"},
            pod_name="web-7d9", pod_namespace="shop", pod_labels={"app": "web"},
            pod_annotations={"owner": "team blue"},
        )
    ]  # fmt: skip


def test_an_answer_of_many_frames(tmp_path: Path) -> None:
    """Larger than any window or frame that either side begins with."""
    with cri_at(tmp_path / "c", ListPodSandbox=lambda: sandboxes(30_000)):
        assert len(Cri(str(tmp_path / "c"))._list("ListPodSandbox")) == 30_000


def test_what_does_not_serve_the_method(tmp_path: Path) -> None:
    with cri_at(tmp_path / "c"), pytest.raises(RuntimeUnavailable, match="does not serve"):
        call(str(tmp_path / "c"), "/runtime.v1.RuntimeService/Nothing", b"")


def test_an_answer_that_is_no_message(tmp_path: Path) -> None:
    broken = cri_at(tmp_path / "c", ListPodSandbox=lambda: b"\x0a\xff\x01short")
    with broken, pytest.raises(RuntimeUnavailable, match="does not speak CRI"):
        Cri(str(tmp_path / "c")).containers()


@pytest.mark.parametrize("kind", [Docker, Cri])
def test_a_socket_that_hangs_is_left_in_time(tmp_path: Path, kind: type[Docker | Cri]) -> None:
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(tmp_path / "h"))
        hanging.listen()
        began = time.monotonic()
        with pytest.raises(RuntimeUnavailable):
            kind(str(tmp_path / "h"), timeout=0.2).containers()
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("kind", [Docker, Cri])
def test_a_socket_that_is_not_there(tmp_path: Path, kind: type[Docker | Cri]) -> None:
    with pytest.raises(RuntimeUnavailable, match="No such file"):
        kind(str(tmp_path / "none")).containers()


@pytest.mark.parametrize(
    "data", [b"\x0a", b"\x0a\x05abc", b"\x80" * 11, b"\x09\0\0", b"\x0b", b"\x0d\0"]
)
def test_malformed_messages(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Message(data)


def test_fields_of_other_kinds_are_skipped() -> None:
    data = b"\x10\x96\x01" + b"\x19" + bytes(8) + b"\x25" + struct.pack("<f", 1.0) + field(5, "x")
    message = Message(data)
    assert message.text(5) == "x"
    assert message.text(2) == ""


# -- the lookup ------------------------------------------------------------------------


class Runtime:
    """Says what it is told to, after ``delay`` seconds."""

    socket = "/run/test.sock"

    def __init__(self) -> None:
        self.known: list[Container] = []
        self.delay = 0.0
        self.asked = 0
        self.failing = False

    def containers(self) -> list[Container]:
        self.asked += 1
        time.sleep(self.delay)
        if self.failing:
            raise RuntimeUnavailable("away")
        return list(self.known)


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def lookup(runtime: Runtime) -> Iterator[Containers]:
    lookup = Containers([runtime], Counters(), wait=1.0)
    lookup.start()
    yield lookup
    lookup.stop()


def test_a_container_is_found_by_the_first_connection(runtime: Runtime, lookup: Containers) -> None:
    time.sleep(0.1)
    runtime.known = [Container(id=ID, name="new")]
    found = lookup.find(ID)
    assert found is not None
    assert found.name == "new"
    asked = runtime.asked
    runtime.known = []
    assert lookup.find(ID) == found, "its last connections have its name as well"
    assert runtime.asked == asked


def test_one_that_no_runtime_knows_is_asked_for_once_a_second(
    runtime: Runtime, lookup: Containers
) -> None:
    time.sleep(0.1)
    began = time.monotonic()
    for _ in range(1000):
        assert lookup.find("unknown") is None
    assert time.monotonic() - began < 1.5
    assert runtime.asked <= 4


def test_a_runtime_that_is_slow_holds_capture_for_a_moment_only(runtime: Runtime) -> None:
    runtime.delay = 5
    lookup = Containers([runtime], Counters(), wait=0.05)
    lookup.start()
    began = time.monotonic()
    assert lookup.find(ID) is None
    assert lookup.find(ID) is None
    assert time.monotonic() - began < 0.5


def test_a_runtime_that_is_away_is_counted_and_leaves_the_others(runtime: Runtime) -> None:
    runtime.failing = True
    other = Runtime()
    other.known = [Container(id=ID, name="there")]
    counters = Counters()
    lookup = Containers([runtime, other], counters)
    lookup.refresh()
    assert lookup._known == {ID: other.known[0]}
    assert counters.counts() == {"containers.unavailable": 1}


def test_those_seen_longest_ago_leave_first(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.containers.lookup.KEPT", 3)
    lookup = Containers([runtime], Counters())
    runtime.known = [Container(id=name) for name in "abc"]
    lookup.refresh()
    runtime.known = [Container(id=name) for name in "ad"]
    lookup.refresh()
    assert list(lookup._known) == ["c", "a", "d"]


def test_sockets_are_chosen(tmp_path: Path) -> None:
    assert runtimes("none", "none") == []
    docker, cri = runtimes(f"unix://{tmp_path}/d", str(tmp_path / "c"))
    assert (type(docker), docker.socket) == (Docker, f"{tmp_path}/d")
    assert (type(cri), cri.socket) == (Containerd, f"{tmp_path}/c")
