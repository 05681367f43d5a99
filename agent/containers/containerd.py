"""containerd's own interface: containers outside Kubernetes, in each of its namespaces.

https://github.com/containerd/containerd/tree/v1.7.27/api/services (``namespaces/v1``,
``containers/v1``): the same from 1.0 to 2.x.
"""

from __future__ import annotations

import re
from typing import Final

from agent.containers.base import (
    CONTAINER_NAME,
    POD_NAME,
    POD_NAMESPACE,
    TIMEOUT_SECONDS,
    Container,
    NotServed,
    RuntimeUnavailable,
)
from agent.containers.cri import Cri
from agent.containers.grpc import call
from agent.containers.protobuf import MalformedError, Message

NAMESPACES: Final = "/containerd.services.namespaces.v1.Namespaces/List"
CONTAINERS: Final = "/containerd.services.containers.v1.Containers/List"
_HEADER: Final = "containerd-namespace"
_DOCKERS: Final = "moby"
"""Docker's: there containers have neither name nor image, which its own socket tells."""
_KUBERNETES: Final = "k8s.io"
_NAMES: Final = ("nerdctl/name", CONTAINER_NAME)
"""Labels that name a container, as those who start it agree."""
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9._-]{1,76}\Z")
"""As containerd takes them; what is sent in a header must be nothing else."""
_ID: Final = re.compile(r"[0-9a-f]{64}\Z")


class Containerd:
    """A socket that speaks CRI, containerd's own interface, or both."""

    def __init__(self, path: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self.socket = path
        self._timeout = timeout
        self._cri = Cri(path, timeout=timeout)

    def containers(self) -> list[Container]:
        pods: list[Container] | None = None
        try:
            pods = self._cri.containers()
        except NotServed as error:
            refused = error
        try:
            return [*self._own(but=_KUBERNETES if pods is not None else ""), *(pods or [])]
        except NotServed:
            if pods is None:
                raise refused from None  # neither: the name that more people know
            return pods

    def _own(self, but: str) -> list[Container]:
        found = []
        try:
            for namespace in self._list(NAMESPACES, ""):
                name = namespace.text(1)
                if name not in {_DOCKERS, but} and _NAMESPACE.match(name):
                    found += [_container(one) for one in self._list(CONTAINERS, name)]
        except MalformedError as error:
            raise RuntimeUnavailable(f"{self.socket} is no containerd: {error}") from error
        return found

    def _list(self, method: str, namespace: str) -> list[Message]:
        """Raises ``MalformedError``."""
        about = {_HEADER: namespace} if namespace else {}
        answer = call(self.socket, method, b"", timeout=self._timeout, headers=about)
        return Message(answer).messages(1)


def _container(one: Message) -> Container:
    """``Container``: id 1, labels 2, image 3."""
    container_id, labels = one.text(1), one.mapping(2)
    named = next((labels[label] for label in _NAMES if labels.get(label)), "")
    return Container(
        id=container_id,
        name=named or ("" if _ID.match(container_id) else container_id),
        image=one.text(3),
        labels=labels,
        pod_name=labels.get(POD_NAME, ""),
        pod_namespace=labels.get(POD_NAMESPACE, ""),
    )
