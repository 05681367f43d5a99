"""containerd as it is: its own interface and CRI on one socket."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from agent.containers.base import Container, NotServed, RuntimeUnavailable
from agent.containers.containerd import Containerd
from agent.containers.cri import Cri
from agent.containers.lookup import Containers
from agent.counters import Counters
from tests.agent.containers.test_runtimes import cri_at, field, mapping
from tests.real import require_real

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "real-services"
WEB, JOB, POD = "5e" * 32, "6f" * 32, "70" * 32
CONFIG = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [{disabled}, "io.containerd.internal.v1.opt"]
[grpc]
  address = "{folder}/c.sock"
"""


class Daemon:
    """One containerd, with nothing that runs: what it knows is what is asked for."""

    def __init__(self, folder: Path, *, cri: bool) -> None:
        told = subprocess.run([str(SCRIPT), "--path", "containerd"], capture_output=True, text=True,
                              check=True)  # fmt: skip
        self._bin = Path(told.stdout.strip())
        require_real("containerd", self._bin.exists(), "scripts/real-services unpacks it")
        require_real("containerd", os.geteuid() == 0, "it needs root")
        self.socket = folder / "c.sock"
        disabled = '"io.containerd.grpc.v1.cri"' if not cri else '"io.containerd.x.v1.none"'
        config = folder / "config.toml"
        config.write_text(CONFIG.format(folder=folder, disabled=disabled))
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [str(self._bin), "--config", str(config)], stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + 30
        while not self._listens():
            assert self._process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def create(self, namespace: str, name: str, **labels: str) -> None:
        words = [f"--label={key.replace('__', '/').replace('_', '.')}={value}"
                 for key, value in labels.items()]  # fmt: skip
        subprocess.run(
            [str(self._bin.parent / "ctr"), "-a", str(self.socket), "-n", namespace, "containers",
             "create", "--rootfs", *words, "/", name, "sleep", "1"],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


@pytest.fixture(params=[True, False], ids=["with CRI", "without CRI"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    running = Daemon(tmp_path, cri=request.param)
    yield running
    running.close()


def by_id(found: list[Container]) -> dict[str, Container]:
    assert len({one.id for one in found}) == len(found)
    return {one.id: one for one in found}


def test_containers_of_every_namespace(daemon: Daemon) -> None:
    runtime = Containerd(str(daemon.socket), timeout=10)
    assert runtime.containers() == []
    daemon.create("default", WEB, nerdctl__name="web", team="blue")
    daemon.create("batch", JOB)
    daemon.create("batch", "nightly")
    daemon.create("moby", "80" * 32)
    found = by_id(runtime.containers())
    assert set(found) == {WEB, JOB, "nightly"}, "Docker's are told by Docker"
    assert found[WEB] == Container(
        id=WEB, name="web", labels={"nerdctl/name": "web", "team": "blue"}
    )
    assert (found[JOB].name, found["nightly"].name) == ("", "nightly")


def test_pods_without_cri_have_their_labels(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, cri=False)
    try:
        daemon.create("k8s.io", POD, io_kubernetes_pod_name="web-1",
                      io_kubernetes_pod_namespace="shop",
                      io_kubernetes_container_name="main")  # fmt: skip
        found = by_id(Containerd(str(daemon.socket), timeout=10).containers())[POD]
        with pytest.raises(NotServed, match="does not serve /runtime"):
            Cri(str(daemon.socket)).containers()
    finally:
        daemon.close()
    assert (found.pod_name, found.pod_namespace, found.name) == ("web-1", "shop", "main")


def test_the_first_connection_of_a_container_has_its_name(daemon: Daemon) -> None:
    counters = Counters()
    lookup = Containers([Containerd(str(daemon.socket), timeout=10)], counters, wait=5.0)
    lookup.start()
    try:
        daemon.create("default", WEB, nerdctl__name="web")
        found = lookup.find(WEB)
    finally:
        lookup.stop()
    assert found is not None
    assert found.name == "web"
    assert counters.counts() == {}


def test_a_daemon_that_is_gone(daemon: Daemon) -> None:
    runtime = Containerd(str(daemon.socket))
    daemon.close()
    with pytest.raises(RuntimeUnavailable):
        runtime.containers()


# -- others on the same kind of socket -------------------------------------------------


def test_what_serves_cri_alone_is_asked_nothing_else_in_vain(tmp_path: Path) -> None:
    """CRI-O."""
    path = tmp_path / "crio.sock"
    with cri_at(path):
        assert [one.pod_name for one in Containerd(str(path)).containers()] == ["web-7d9"]


@contextmanager
def native_at(path: Path, listed: Callable[[str], bytes], *namespaces: str) -> Iterator[None]:
    """containerd's two methods by a real gRPC server; ``listed``: namespace → answer."""

    def containers(_request: bytes, context: grpc.ServicerContext) -> bytes:
        return listed(dict(context.invocation_metadata())["containerd-namespace"])

    names = b"".join(field(1, field(1, name)) for name in namespaces or ("one", "two"))
    server = grpc.server(ThreadPoolExecutor(2))
    services = {
        "containerd.services.namespaces.v1.Namespaces":
            lambda _request, _context: names,
        "containerd.services.containers.v1.Containers": containers,
    }  # fmt: skip
    for name, method in services.items():
        handler = grpc.unary_unary_rpc_method_handler(method)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"List": handler}),)
        )
    server.add_insecure_port(f"unix:{path}")
    server.start()
    yield
    server.stop(None).wait()


def test_images_and_namespaces_are_asked_for_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"

    def listed(namespace: str) -> bytes:
        image = f"registry.example/{namespace}:1"
        return field(1, field(1, f"c-{namespace}") + mapping(2, {"k": namespace}) + field(3, image))

    with native_at(path, listed):
        found = Containerd(str(path)).containers()
    assert [(one.name, one.image, one.labels) for one in found] == [
        ("c-one", "registry.example/one:1", {"k": "one"}),
        ("c-two", "registry.example/two:1", {"k": "two"}),
    ]


def test_an_answer_that_is_none_leaves_the_runtime_out(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with (
        native_at(path, lambda _: b"\x0a\x7f"),
        pytest.raises(RuntimeUnavailable, match="is no containerd"),
    ):
        Containerd(str(path)).containers()


@pytest.mark.parametrize("hidden", [field(2, b"\x0a\x7f"), field(8, b"\xff"), field(3, b"\x0f")])
def test_nonsense_inside_a_container_is_told_as_one(tmp_path: Path, hidden: bytes) -> None:
    """The thread that asks lives on."""
    one = field(1, field(1, WEB) + hidden)
    with native_at(tmp_path / "n.sock", lambda _: one):
        lookup = Containers([Containerd(str(tmp_path / "n.sock"))], Counters())
        lookup.refresh()
    with cri_at(tmp_path / "c.sock", ListContainers=lambda: one):
        other = Containers([Cri(str(tmp_path / "c.sock"))], Counters())
        other.refresh()
    assert lookup._number == other._number == 1


def test_a_namespace_that_would_break_the_header_is_left_out(tmp_path: Path) -> None:
    path, asked = tmp_path / "c.sock", []

    def listed(namespace: str) -> bytes:
        asked.append(namespace)
        return b""

    with native_at(path, listed, "x" * 200, "a\nb", "good"):
        assert Containerd(str(path)).containers() == []
    assert asked == ["good"]
