"""Control groups as runtimes name them, versions 1 and 2, with both drivers."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.capture.facts import container_in
from agent.capture.source import Connection, Role
from agent.containers.cgroup import pod_uid
from agent.containers.lookup import Containers
from agent.counters import Counters
from agent.who import NOBODY, OnNode

ID = "9f0c1b7e" * 8
POD = "0a1b2c3d-1111-2222-3333-444455556666"
SLICED = POD.replace("-", "_")
GROUPS = {
    "docker, v2, systemd": f"0::/system.slice/docker-{ID}.scope",
    "docker, v1, cgroupfs": f"12:pids:/docker/{ID}\n11:memory:/docker/{ID}\n0::/\n",
    "containerd, v2, systemd": "0::/kubepods.slice/kubepods-burstable.slice/"
    f"kubepods-burstable-pod{SLICED}.slice/cri-containerd-{ID}.scope",
    "containerd, v1, cgroupfs": f"4:cpu:/kubepods/besteffort/pod{POD}/{ID}\n",
    "cri-o": f"0::/kubepods.slice/kubepods-pod{SLICED}.slice/crio-{ID}.scope/container",
    "podman": f"0::/machine.slice/libpod-{ID}.scope/container",
    "ecs": f"1:name=systemd:/ecs/task-1/{ID}",
    "docker in docker": f"0::/docker/{'a' * 64}/docker/{ID}",
    "kind": f"0::/docker/{'b' * 64}/kubelet.slice/kubelet-kubepods.slice/"
    f"kubelet-kubepods-pod{SLICED}.slice/cri-containerd-{ID}.scope",
}
NO_GROUPS = {
    "a service": "0::/system.slice/nginx.service",
    "a session": "0::/user.slice/user-1000.slice/session-3.scope",
    "a short hash": "0::/docker/abcdef012345",
}


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_the_innermost_container(group: str) -> None:
    assert container_in(group) == ID


@pytest.mark.parametrize("group", NO_GROUPS.values(), ids=NO_GROUPS)
def test_outside_of_containers(group: str) -> None:
    assert container_in(group) == ""
    assert pod_uid(group) == ""


@pytest.mark.parametrize(
    ("name", "uid"),
    [("containerd, v2, systemd", POD), ("containerd, v1, cgroupfs", POD), ("cri-o", POD),
     ("kind", POD), ("docker, v2, systemd", ""), ("podman", "")],
)  # fmt: skip
def test_the_pod(name: str, uid: str) -> None:
    assert pod_uid(GROUPS[name]) == uid


# -- without any runtime ---------------------------------------------------------------


def connection(container_id: str = ID) -> Connection:
    return Connection(1, 77, Role.CLIENT, True, "10.0.0.1", 1, "10.0.0.2", 2, 0,
                      "/app", "app", 0, "root", container_id)  # fmt: skip


def proc(folder: Path, group: str, environment: dict[str, str], namespace: str = "") -> Path:
    process = folder / "77"
    secrets = process / "root/var/run/secrets/kubernetes.io/serviceaccount"
    secrets.mkdir(parents=True)
    (process / "cgroup").write_text(group)
    lines = [f"{name}={value}" for name, value in environment.items()]
    (process / "environ").write_bytes("\0".join(lines).encode())
    if namespace:
        (secrets / "namespace").write_text(namespace)
    return folder


def who(folder: Path) -> OnNode:
    return OnNode(Containers([], Counters()), folder)


def test_a_pod_tells_its_name_by_its_host_name(tmp_path: Path) -> None:
    folder = proc(tmp_path, GROUPS["cri-o"], {"HOSTNAME": "web-7d9", "SECRET": "x"}, "shop\n")
    found = who(folder)(connection(), frozenset({"TEAM"}))
    assert (found.pod_name, found.pod_namespace) == ("web-7d9", "shop")
    assert found.environment == {}, "nothing but what was asked for is kept"


def test_the_downward_interface_comes_first(tmp_path: Path) -> None:
    given = {"HOSTNAME": "node-1", "POD_NAME": "web-1", "POD_NAMESPACE": "prod", "TEAM": "blue"}
    folder = proc(tmp_path, GROUPS["kind"], given, "shop")
    found = who(folder)(connection(), frozenset({"TEAM"}))
    assert (found.pod_name, found.pod_namespace) == ("web-1", "prod")
    assert found.environment == {"TEAM": "blue"}


def test_a_container_outside_kubernetes_has_no_pod(tmp_path: Path) -> None:
    folder = proc(tmp_path, GROUPS["docker, v2, systemd"], {"HOSTNAME": "abc"}, "shop")
    found = who(folder)(connection(), frozenset())
    assert (found.pod_name, found.pod_namespace, found.container_name) == ("", "", "")


def test_a_process_outside_containers(tmp_path: Path) -> None:
    folder = proc(tmp_path, NO_GROUPS["a service"], {"HOSTNAME": "abc", "TEAM": "red"})
    assert who(folder)(connection(""), frozenset()) is NOBODY
    assert who(folder)(connection(""), frozenset({"TEAM"})).environment == {"TEAM": "red"}


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    found = who(tmp_path)(connection(), frozenset({"TEAM"}))
    assert (found.pod_name, found.environment) == ("", {})
