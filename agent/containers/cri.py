"""Kubernetes' Container Runtime Interface: containerd, CRI-O, cri-dockerd.

https://github.com/kubernetes/cri-api/blob/v0.33.1/pkg/apis/runtime/v1/api.proto
"""

from __future__ import annotations

from typing import Final

from agent.containers.base import (
    CONTAINER_NAME,
    POD_NAME,
    POD_NAMESPACE,
    TIMEOUT_SECONDS,
    Container,
    RuntimeUnavailable,
)
from agent.containers.grpc import call
from agent.containers.protobuf import MalformedError, Message

_SERVICE: Final = "/runtime.v1.RuntimeService"


class Cri:
    def __init__(self, path: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self.socket = path
        self._timeout = timeout

    def containers(self) -> list[Container]:
        nobody = Message(b"")
        try:
            pods = {pod.text(1): pod for pod in self._list("ListPodSandbox")}
            return [_container(one, pods.get(one.text(2), nobody))
                    for one in self._list("ListContainers")]  # fmt: skip
        except MalformedError as error:
            raise RuntimeUnavailable(f"{self.socket} does not speak CRI: {error}") from error

    def _list(self, method: str) -> list[Message]:
        """Raises ``MalformedError``."""
        answer = call(self.socket, f"{_SERVICE}/{method}", b"", timeout=self._timeout)
        return Message(answer).messages(1)


def _container(container: Message, pod: Message) -> Container:
    """``Container``: id 1, metadata 3, image 4, image_ref 5, labels 8, annotations 9.
    ``PodSandbox``: id 1, metadata 2 (name 1, namespace 3), labels 5, annotations 6.
    """
    labels = container.mapping(8)
    about = pod.message(2)
    return Container(
        id=container.text(1),
        name=container.message(3).text(1) or labels.get(CONTAINER_NAME, ""),
        image=container.message(4).text(18) or container.message(4).text(1) or container.text(5),
        labels=labels,
        pod_name=about.text(1) or labels.get(POD_NAME, ""),
        pod_namespace=about.text(3) or labels.get(POD_NAMESPACE, ""),
        pod_labels=pod.mapping(5),
        pod_annotations=pod.mapping(6),
    )
