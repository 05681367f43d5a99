"""Who a connection belongs to, beyond what the kernel tells: container, pod, environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from agent.capture.source import Connection
from agent.containers.cgroup import POD_VARIABLES, pod_by_environment
from agent.containers.lookup import Containers

MAX_ENVIRONMENT: Final = 256 * 1024
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Who(msgspec.Struct, kw_only=True, frozen=True):
    """Everything may be empty: not in a container, or not known."""

    container_name: str = ""
    container_image: str = ""
    container_labels: dict[str, str] = msgspec.field(default_factory=dict)
    pod_name: str = ""
    pod_namespace: str = ""
    pod_labels: dict[str, str] = msgspec.field(default_factory=dict)
    pod_annotations: dict[str, str] = msgspec.field(default_factory=dict)
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    """Of the process, as it was started; only the variables that the configuration names."""


NOBODY: Final = Who()


class WhoIs(Protocol):
    """Asked on the capture thread when a connection is seen first; must not block."""

    def __call__(self, connection: Connection, variables: frozenset[str]) -> Who: ...


def nobody(connection: Connection, variables: frozenset[str]) -> Who:
    """For recordings: their processes are not of this machine, or long gone."""
    del connection, variables
    return NOBODY


class OnNode:
    """For live traffic: the runtimes' word, or what the process's surroundings tell."""

    def __init__(self, containers: Containers, proc: Path = Path("/proc")) -> None:
        self._containers = containers
        self._proc = proc

    def __call__(self, connection: Connection, variables: frozenset[str]) -> Who:
        inside = connection.container_id
        if not inside:
            environment = self._environment(connection.pid, variables)
            return Who(environment=environment) if environment else NOBODY
        found = self._containers.find(inside)
        read = variables if found is not None else variables | POD_VARIABLES
        environment = self._environment(connection.pid, read)
        if found is None:
            found = pod_by_environment(inside, self._proc / str(connection.pid), environment)
        return Who(
            container_name=found.name,
            container_image=found.image,
            container_labels=found.labels,
            pod_name=found.pod_name,
            pod_namespace=found.pod_namespace,
            pod_labels=found.pod_labels,
            pod_annotations=found.pod_annotations,
            environment={name: environment[name] for name in variables if name in environment},
        )

    def _environment(self, pid: int, variables: frozenset[str]) -> dict[str, str]:
        return process_environment(pid, variables, self._proc) if variables else {}


def process_environment(
    pid: int, variables: frozenset[str], proc: Path = Path("/proc")
) -> dict[str, str]:
    """Those of ``variables`` that a process was started with; none when it is gone."""
    try:
        with (proc / str(pid) / "environ").open("rb") as file:
            data = file.read(MAX_ENVIRONMENT)
    except OSError:
        return {}
    pairs = (entry.partition("=") for entry in data.decode("utf-8", "replace").split("\0"))
    return {name: value for name, _, value in pairs if name in variables}
