"""Docker's and Podman's HTTP on a unix socket.

https://docs.docker.com/reference/api/engine/version/v1.44/#tag/Container/operation/ContainerList
"""

from __future__ import annotations

import http.client
import socket

import msgspec

from agent.containers.base import (
    CONTAINER_NAME,
    MAX_ANSWER_BYTES,
    POD_NAME,
    POD_NAMESPACE,
    TIMEOUT_SECONDS,
    Container,
    RuntimeUnavailable,
)


class _Listed(msgspec.Struct):
    Id: str
    Names: list[str] | None = None
    Image: str = ""
    Labels: dict[str, str] | None = None


class Docker:
    """One question a call, on a connection of its own."""

    def __init__(self, path: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self.socket = path
        self._timeout = timeout

    def containers(self) -> list[Container]:
        try:
            listed = msgspec.json.decode(self._get("/containers/json"), type=list[_Listed])
        except msgspec.DecodeError as error:
            raise RuntimeUnavailable(f"{self.socket} does not answer as Docker: {error}") from error
        return [_container(one) for one in listed]

    def _get(self, path: str) -> bytes:
        connection = _UnixConnection(self.socket, self._timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            data = answer.read(MAX_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise RuntimeUnavailable(f"{self.socket}: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeUnavailable(f"{self.socket} answers {answer.status}")
        return data


def _container(listed: _Listed) -> Container:
    labels = listed.Labels or {}
    names = [name.lstrip("/") for name in listed.Names or []]
    return Container(
        id=listed.Id,
        name=labels.get(CONTAINER_NAME) or next(iter(names), ""),
        image=listed.Image,
        labels=labels,
        pod_name=labels.get(POD_NAME, ""),
        pod_namespace=labels.get(POD_NAMESPACE, ""),
    )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
