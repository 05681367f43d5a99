"""Who a connection belongs to, beyond what the kernel tells: container, pod, environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from agent.capture.source import Connection

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


def from_proc(connection: Connection, variables: frozenset[str]) -> Who:
    """Only the environment, from ``/proc``."""
    if not variables:
        return NOBODY
    return Who(environment=process_environment(connection.pid, variables))


def process_environment(pid: int, variables: frozenset[str]) -> dict[str, str]:
    """Those of ``variables`` that a process was started with; none when it is gone."""
    try:
        with Path(f"/proc/{pid}/environ").open("rb") as file:
            data = file.read(MAX_ENVIRONMENT)
    except OSError:
        return {}
    pairs = (entry.partition("=") for entry in data.decode("utf-8", "replace").split("\0"))
    return {name: value for name, _, value in pairs if name in variables}
