"""A container as a runtime describes it."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

TIMEOUT_SECONDS: Final = 2.0
"""Of one question to a runtime."""
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024

POD_NAME: Final = "io.kubernetes.pod.name"
POD_NAMESPACE: Final = "io.kubernetes.pod.namespace"
CONTAINER_NAME: Final = "io.kubernetes.container.name"


class RuntimeUnavailable(Exception):
    """A runtime does not answer, or not as it should; the message says which and why."""


class NotServed(RuntimeUnavailable):
    """Whoever answers there does not know what was asked."""


class Container(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str = ""
    image: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    pod_name: str = ""
    pod_namespace: str = ""
    pod_labels: dict[str, str] = msgspec.field(default_factory=dict)
    pod_annotations: dict[str, str] = msgspec.field(default_factory=dict)


class Runtime(Protocol):
    socket: str

    def containers(self) -> list[Container]:
        """Those that run now. Raises ``RuntimeUnavailable``."""
        ...
