"""The kernel as a source of chunks."""

from __future__ import annotations

import os
import struct
import time
from typing import Self

from agent.capture.build import objects
from agent.capture.dns import DnsTap
from agent.capture.doctor import explain
from agent.capture.errors import BpfError, CaptureUnavailable
from agent.capture.facts import connection_of
from agent.capture.layout import (
    CONNECTION_KEY,
    DROP_REASONS,
    KIND_CLOSE,
    KIND_DATA,
    KIND_DNS,
    KIND_DNS_SOCKET,
    KIND_LIBRARY,
    KIND_OPEN,
    PID_KEY,
    RECORD_IN_RING,
    Opened,
    unpack_dns,
    unpack_library,
    unpack_opened,
)
from agent.capture.libbpf import cpus
from agent.capture.libraries import Libraries
from agent.capture.programs import Programs
from agent.capture.ring import BUSY, DISCARDED, HEADER_SIZE, LENGTH, Ring
from agent.capture.settings import CaptureSettings
from agent.capture.source import Chunk, Connection, DnsMessage, Flow, Kind
from wire.protocol import ProbeState

_FLOWS = (Flow.RECEIVED, Flow.SENT)
_BYTES_AT = RECORD_IN_RING.size
"""Where a chunk's bytes begin after its place in the ring."""


class KernelSource:
    """Chunks of all HTTP connections in scope. Needs root; see :mod:`agent.capture.doctor`.

    For one consuming thread. ``exclude_pid``, ``lost`` and ``probes`` may be called from any.
    """

    def __init__(self, programs: Programs, settings: CaptureSettings) -> None:
        self._programs = programs
        self._flush = settings.flush_ms / 1000
        self._limit = settings.max_connections
        self._ring = Ring(programs.map("events").fd, programs.ring_bytes)
        self._next_drain = 0.0
        self._serial = 0
        self._keys: dict[int, int] = {}
        self._facts: dict[int, tuple[Connection, int, int]] = {}
        self._unknown = 0
        self._libraries: Libraries | None = None
        self._dns = DnsTap(programs)

    @classmethod
    def open(cls, settings: CaptureSettings) -> Self:
        """Compile if need be, load, attach.

        Raises ``CaptureUnavailable`` when nothing at all can be captured here.
        """
        try:
            programs = Programs(objects(settings.build_dir), settings)
        except (BpfError, OSError) as error:
            raise CaptureUnavailable(explain(error)) from error
        source = cls(programs, settings)
        source.exclude_pid(os.getpid())
        source._start(settings)
        if not any(state.active for state in source.probes()):
            reasons = "; ".join(state.reason for state in source.probes())
            source.close()
            raise CaptureUnavailable(explain(BpfError(reasons)))
        return source

    def _start(self, settings: CaptureSettings) -> None:
        programs = self._programs
        if settings.plain_http:
            plain = programs.attempt("socket", lambda: self._watch_sockets(plain_http=True))
        else:
            plain = False
            programs.states["socket"] = ProbeState(
                family="socket", active=False, reason="switched off by plain_http"
            )
        # The same program without its plain half still names the sockets of TLS calls.
        if "openssl" not in settings.tls_probes:
            programs.states["openssl"] = ProbeState(
                family="openssl", active=False, reason="switched off by --tls-probes"
            )
        elif plain or programs.attempt("descriptor", lambda: self._watch_sockets(plain_http=False)):
            programs.attempt("openssl", lambda: self._probe_tls(settings))
        else:
            programs.states["openssl"] = ProbeState(
                family="openssl", active=False, reason=programs.states["descriptor"].reason
            )
        programs.attempt("lifecycle", lambda: programs.start("lifecycle", "socket_state"))

    def _watch_sockets(self, *, plain_http: bool) -> None:
        self._programs.start("sockets", "system_call", plain_http=plain_http)

    def _probe_tls(self, settings: CaptureSettings) -> None:
        loaded = self._programs.load("tls")
        self._libraries = Libraries(loaded, self._programs.map("libraries"))
        self._libraries.attach_all(settings.libraries)

    def poll(self, timeout_ms: int) -> list[Chunk]:
        """Fetches in batches, at most every ``flush_ms``, unless much waits."""
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            now = time.monotonic()
            pause = min(self._next_drain, deadline) - now
            if pause > 0:
                self._ring.wait(pause)
            chunks = self._drain()
            now = time.monotonic()
            self._next_drain = now + self._flush
            if chunks or now >= deadline:
                return chunks

    def _drain(self) -> list[Chunk]:
        """What waits in the ring.

        The one loop that runs for every chunk: no calls that can be spared, names bound once.
        """
        chunks: list[Chunk] = []
        ring, keys, append = self._ring, self._keys, chunks.append
        data, base, mask = ring.data, ring.offset, ring.mask
        unpack, make = RECORD_IN_RING.unpack_from, tuple.__new__
        kind_data, (received, sent) = Kind.DATA, _FLOWS
        position, end = ring.span()
        try:
            while position < end:
                start = base + (position & mask)
                word, identity, moment, total, captured, kind, flow = unpack(data, start)
                if word & BUSY:
                    break
                size = word & LENGTH
                position += (size + HEADER_SIZE + 7) & ~7
                if kind != KIND_DATA or word & DISCARDED:
                    if not word & DISCARDED:
                        record = data[start + HEADER_SIZE : start + HEADER_SIZE + size]
                        self._told(kind, identity, moment, record, chunks)
                    continue
                key = keys.get(identity)
                if key is None:
                    self._unknown += 1
                    continue
                start += _BYTES_AT
                body = data[start : start + captured]
                way = sent if flow else received
                append(make(Chunk, (kind_data, key, way, moment, total, body)))
        finally:
            ring.release(position)
        return chunks

    def _told(
        self, kind: int, identity: int, moment: int, record: bytes, chunks: list[Chunk]
    ) -> None:
        """Records that are no bytes of a connection."""
        ended: int | None = None
        if kind == KIND_OPEN:
            ended = self._opened(identity, unpack_opened(record))
        elif kind == KIND_CLOSE:
            ended = self._keys.pop(identity, None)
        elif kind == KIND_DNS:
            self._dns.told(unpack_dns(record))
        elif kind == KIND_DNS_SOCKET:
            self._dns.opened(identity, unpack_opened(record))
        elif kind == KIND_LIBRARY and self._libraries is not None:
            self._libraries.attach_mapped(unpack_library(record))
        if ended is not None:
            chunks.append(Chunk(Kind.CLOSE, ended, Flow.RECEIVED, moment, 0, b""))

    def _opened(self, identity: int, opened: Opened) -> int | None:
        """Returns the key of a living connection that had to make room."""
        if identity in self._keys:
            return None
        self._serial += 1
        self._keys[identity] = self._serial
        facts = connection_of(self._serial, opened)
        self._facts[self._serial] = (facts, identity, opened.socket)
        if len(self._facts) <= self._limit:
            return None
        oldest = next(iter(self._facts))
        alive = self._keys.get(self._facts[oldest][1]) == oldest
        self.forget(oldest)
        return oldest if alive else None

    def connection(self, key: int) -> Connection | None:
        found = self._facts.get(key)
        return found[0] if found else None

    def forget(self, key: int) -> None:
        """A connection that lives on is told anew, with another key, at its next message."""
        found = self._facts.pop(key, None)
        if found is None:
            return
        connection, identity, socket = found
        if self._keys.get(identity) == key:
            del self._keys[identity]
            kernel_key = CONNECTION_KEY.pack(socket, connection.pid)
            self._programs.map("connections").remove(kernel_key)

    def audit_dns(self, *, wanted: bool) -> None:
        self._dns.switch(wanted=wanted)

    def dns(self) -> list[DnsMessage]:
        return self._dns.take()

    def forget_dns(self, socket: int) -> None:
        self._dns.forget(socket)

    def exclude_pid(self, pid: int) -> None:
        """Look at nothing that this process does, from now on."""
        self._programs.map("excluded_pids").put(PID_KEY.pack(pid), b"\1")

    def include_pid(self, pid: int) -> None:
        self._programs.map("excluded_pids").remove(PID_KEY.pack(pid))

    def lost(self) -> dict[str, int]:
        slots = struct.Struct(f"={cpus()}Q")
        counts = {}
        for index, reason in enumerate(DROP_REASONS):
            value = self._programs.map("drops").get(PID_KEY.pack(index), slots.size)
            counts[reason] = sum(slots.unpack(value)) if value else 0
        counts["unknown_connection"] = self._unknown
        counts["dns_incomplete"] = self._dns.incomplete
        return counts

    def probes(self) -> list[ProbeState]:
        states = dict(self._programs.states)
        if self._libraries is not None and states["openssl"].active:
            states["openssl"] = _library_state(self._libraries)
        return list(states.values())

    def close(self) -> None:
        if self._libraries is not None:
            self._libraries.close()
        self._dns.close()
        self._ring.close()
        self._programs.close()


def _library_state(libraries: Libraries) -> ProbeState:
    failures = "; ".join(libraries.failures.values())
    return ProbeState(family="openssl", active=True, attached=libraries.attached, reason=failures)
