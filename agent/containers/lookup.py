"""Containers by id, kept fresh on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.containers.base import Container, Runtime, RuntimeUnavailable
from agent.containers.containerd import Containerd
from agent.containers.docker import Docker
from agent.counters import Counters
from agent.logs import get_logger

EVERY_SECONDS: Final = 30.0
"""Between two lists, when nobody asks for a container that is not in the last one."""
AGAIN_SECONDS: Final = 1.0
"""At least so long between two lists."""
WAIT_SECONDS: Final = 0.1
"""How long the first connection of a new container may wait for its name."""
IMPATIENT_SECONDS: Final = 30.0
"""After a wait in vain nobody waits for so long: the runtime is slow, or hangs."""
KEPT: Final = 10_000
"""Containers, those that have ended among them: their last connections have names too."""

DOCKER_SOCKETS: Final = ("/var/run/docker.sock", "/run/podman/podman.sock")
CRI_SOCKETS: Final = (
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
)

_log = get_logger()


class Containers:
    """``find`` on the capture thread; it waits once a container, and not while a runtime hangs."""

    def __init__(
        self, runtimes: Sequence[Runtime], counters: Counters, *, wait: float = WAIT_SECONDS
    ) -> None:
        self._runtimes = runtimes
        self._counters = counters
        self._wait = wait
        self._known: dict[str, Container] = {}
        self._missing: dict[str, float] = {}
        self._lists = threading.Condition()
        self._number = 0
        self._patient_from = 0.0
        self._wanted = threading.Event()
        self._stopping = False
        self._said: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="containers", daemon=True)

    def start(self) -> None:
        if self._runtimes:
            self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def find(self, container_id: str) -> Container | None:
        known = self._known.get(container_id)
        if known is not None or not self._runtimes or not self._thread.is_alive():
            return known
        now = time.monotonic()
        if now < self._missing.get(container_id, 0.0):
            return None
        if len(self._missing) > KEPT:
            self._missing.clear()
        self._missing[container_id] = now + AGAIN_SECONDS
        with self._lists:
            number = self._number
            self._wanted.set()
            if now >= self._patient_from and not self._lists.wait_for(
                # The list under way may have begun before the container did.
                lambda: container_id in self._known or self._number > number + 1,
                self._wait,
            ):
                self._patient_from = now + IMPATIENT_SECONDS
        return self._known.get(container_id)

    def refresh(self) -> None:
        """Ask every runtime now."""
        for runtime in self._runtimes:
            try:
                found = runtime.containers()
            except RuntimeUnavailable as error:
                self._counters.add("containers.unavailable")
                self._say(runtime.socket, str(error))
                continue
            self._say(runtime.socket, "")
            for container in found:
                # Put anew, so that those seen last are last in the order of leaving.
                self._known.pop(container.id, None)
                self._known[container.id] = container
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        with self._lists:
            self._number += 1
            self._lists.notify_all()

    def _run(self) -> None:
        while not self._stopping:
            self._wanted.clear()
            self.refresh()
            if self._wanted.wait(EVERY_SECONDS):
                time.sleep(0.01)  # containers start in flocks: one list for all of them

    def _say(self, where: str, problem: str) -> None:
        """Once, and again when it changes."""
        if self._said.get(where, "") != problem:
            self._said[where] = problem
            if problem:
                _log.warning("container runtime not available", socket=where, reason=problem)


def runtimes(docker: str = "", cri: str = "") -> list[Runtime]:
    """By the sockets given, else those of the usual ones that are there. ``none``: not any."""
    found: list[Runtime] = [Docker(path) for path in _sockets(docker, DOCKER_SOCKETS)]
    found += [Containerd(path) for path in _sockets(cri, CRI_SOCKETS)]
    return found


def _sockets(given: str, usual: Sequence[str]) -> list[str]:
    if given == "none":
        return []
    if given:
        return [given.removeprefix("unix://")]
    return [path for path in usual if Path(path).is_socket()]
