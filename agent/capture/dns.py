"""DNS messages as the kernel tells them: who, to whom, and the whole datagram."""

from __future__ import annotations

from typing import Final

from agent.capture.facts import connection_of
from agent.capture.layout import DNS_KEY, DnsRecord, Opened
from agent.capture.libbpf import Link, Map, Object
from agent.capture.programs import Programs
from agent.capture.source import Connection, DnsMessage, Flow

MAX_SOCKETS: Final = 8_192
"""As many as the kernel side remembers; the longest known is forgotten."""
_MAX_WAITING: Final = 20_000
_MAX_PARTIAL: Final = 256
_TGID: Final = 0x7FFFFFFF
FAMILY: Final = "dns"


class DnsTap:
    """Its program is in the kernel only between ``switch(wanted=True)`` and ``False``."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._loaded: Object | None = None
        self._link: Link | None = None
        self._known: Map | None = None
        self._serial = 0
        self._keys: dict[int, int] = {}
        self._facts: dict[int, tuple[int, Connection]] = {}
        self._partial: dict[tuple[int, int], list[DnsRecord]] = {}
        self._waiting: list[DnsMessage] = []
        self.incomplete = 0
        """Messages of which a part, or whose sender, was lost on the way here."""

    def switch(self, *, wanted: bool) -> None:
        if not wanted:
            self.close()
            self._programs.states.pop(FAMILY, None)
        elif self._link is None:
            self._programs.attempt(FAMILY, self._start)

    def _start(self) -> None:
        self._loaded = self._programs.load(FAMILY)
        self._known = self._loaded.map("dns_sockets")
        self._link = self._loaded.attach("dns_call")

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
        if self._loaded is not None:
            self._programs.unload(self._loaded)
        self._link = self._loaded = self._known = None
        self._keys.clear()
        self._facts.clear()
        self._partial.clear()

    # -- from the ring -------------------------------------------------------------

    def opened(self, identity: int, opened: Opened) -> None:
        self._serial += 1
        self._keys[identity] = self._serial
        self._facts[self._serial] = (identity, connection_of(self._serial, opened))
        if len(self._facts) > MAX_SOCKETS:
            self.forget(next(iter(self._facts)))

    def told(self, record: DnsRecord) -> None:
        key = self._keys.get(record.identity)
        if key is None or len(self._waiting) >= _MAX_WAITING:
            self.incomplete += 1
            return
        if record.udp:
            whole = self._join(record)
            if whole is None:
                return
            record = whole
        self._waiting.append(self._message(key, record))

    def _join(self, record: DnsRecord) -> DnsRecord | None:
        """The datagram when its last part has come; its parts share a moment."""
        name = (record.identity, record.monotonic_ns)
        parts = self._partial.pop(name, [])
        if record.last and not parts:
            return record
        parts.append(record)
        if not record.last:
            if len(self._partial) >= _MAX_PARTIAL:
                self._partial.pop(next(iter(self._partial)))
                self.incomplete += 1
            self._partial[name] = parts
            return None
        return record._replace(
            length=sum(part.length for part in parts), data=b"".join(part.data for part in parts)
        )

    def _message(self, key: int, record: DnsRecord) -> DnsMessage:
        connection = self._facts[key][1]
        if record.remote_port:
            connection = connection._replace(
                remote_ip=record.remote_ip, remote_port=record.remote_port
            )
        flow = Flow.SENT if record.sent else Flow.RECEIVED
        return DnsMessage(
            key, connection, record.udp, flow, record.monotonic_ns, record.length, record.data
        )

    # -- for the consumer ----------------------------------------------------------

    def take(self) -> list[DnsMessage]:
        if not self._waiting:
            return []
        waiting, self._waiting = self._waiting, []
        return waiting

    def forget(self, socket: int) -> None:
        """A socket that lives on is told anew, with another number, at its next message."""
        found = self._facts.pop(socket, None)
        if found is None:
            return
        identity = found[0]
        if self._keys.get(identity) == socket:
            del self._keys[identity]
            if self._known is not None:
                self._known.remove(DNS_KEY.pack(identity >> 32, identity & _TGID))
