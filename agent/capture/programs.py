"""Loads the kernel programs, each family apart: one that is refused leaves the others alive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from agent.capture.errors import BpfError
from agent.capture.layout import PID_KEY, pack_address, pack_settings
from agent.capture.libbpf import Link, Map, Object
from agent.capture.ring import ring_size
from agent.capture.settings import CaptureSettings
from wire.protocol import ProbeState

_SIZED_BY_CONNECTIONS = ("connections", "sockets", "ssl_sockets")


class Programs:
    """The shared maps and the families that could be loaded."""

    def __init__(self, paths: Mapping[str, Path], settings: CaptureSettings) -> None:
        self._paths = paths
        self._settings = settings
        self.ring_bytes = ring_size(settings.ring_bytes)
        self._objects: list[Object] = []
        self._links: list[Link] = []
        self.states: dict[str, ProbeState] = {}
        base = self._open("base")
        base.resize("events", self.ring_bytes)
        for name in _SIZED_BY_CONNECTIONS:
            base.resize(name, settings.max_connections)
        base.load()
        self._maps = {name: base.map(name) for name in base.map_names() if "." not in name}
        self._exclude()

    def map(self, name: str) -> Map:
        return self._maps[name]

    def _open(self, name: str, *, plain_http: bool = False) -> Object:
        opened = Object(self._paths[name])
        self._objects.append(opened)
        opened.constants(pack_settings(self._settings, self.ring_bytes, plain_http=plain_http))
        return opened

    def _exclude(self) -> None:
        for pid in self._settings.excluded_pids:
            self.map("excluded_pids").put(PID_KEY.pack(pid), b"\1")
        for address, port in self._settings.excluded_endpoints:
            for key in pack_address(address, port):
                self.map("excluded_endpoints").put(key, b"\1")

    def load(self, name: str, *, plain_http: bool = False) -> Object:
        """One file's programs, on the shared maps. Raises ``BpfError``."""
        opened = self._open(name, plain_http=plain_http)
        for map_name in opened.map_names():
            if map_name in self._maps:
                opened.share(map_name, self._maps[map_name].fd)
        opened.load()
        return opened

    def unload(self, loaded: Object) -> None:
        """A file that ``load`` has loaded; its links are closed already."""
        self._objects.remove(loaded)
        loaded.close()

    def start(self, name: str, program: str, *, plain_http: bool = False) -> None:
        """Load a file and put its one program at the hook that it names."""
        loaded = self.load(name, plain_http=plain_http)
        self._links.append(loaded.attach(program))

    def attempt(self, family: str, action: Callable[[], object]) -> bool:
        """Run ``action`` for a family and note its state; never raises ``BpfError``."""
        try:
            action()
        except BpfError as error:
            self.states[family] = ProbeState(family=family, active=False, reason=str(error))
            return False
        self.states[family] = ProbeState(family=family, active=True, attached=1)
        return True

    def close(self) -> None:
        for link in self._links:
            link.close()
        for opened in self._objects:
            opened.close()
        self._links.clear()
        self._objects.clear()
