"""The agent at work: capture, link, spool and deliver until told to stop."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog

from agent.capture.source import Source
from agent.configuration import Configuration
from agent.counters import Counters
from agent.link.exchange import Exchange
from agent.link.linker import InScope, Linker
from agent.link.transaction import transaction_of
from agent.objects.worker import ObjectWorker
from agent.spool.spool import Spool
from agent.spool.writer import SpoolWriter
from agent.status import Status, StatusFile
from agent.system import resident_bytes
from agent.uplink.control import Control
from agent.uplink.sender import Sender
from agent.uplink.session import Session
from wire.events import RequestEvent, encode_line
from wire.objects import encode_transaction, object_digest
from wire.protocol import HeartbeatRequest, ProbeState

POLL_MS: Final = 100
DRAIN_SECONDS: Final = 10.0
CONFIG_WAIT_SECONDS: Final = 3.0
"""How long the first configuration is waited for before capture begins without it."""

_GC_THRESHOLD: Final = 20_000
_log = structlog.get_logger()

OpenSource = Callable[[int], Source]
"""Bytes of one call to copy → source."""


class Runner:
    """Built by ``agent.cli``; ``run`` on the main thread."""

    def __init__(
        self,
        *,
        open_source: OpenSource,
        reopen: bool,
        configuration: Configuration,
        session: Session,
        spool: Spool,
        counters: Counters,
        status_file: StatusFile,
        in_scope: InScope,
        refresh_scope: Callable[[], None],
        boot: UUID,
        memory_limit: int,
    ) -> None:
        self._open_source = open_source
        self._reopen = reopen
        self._configuration = configuration
        self._session = session
        self._spool = spool
        self._counters = counters
        self._status_file = status_file
        self._in_scope = in_scope
        self._refresh_scope = refresh_scope
        self._boot = boot
        self._memory_limit = memory_limit
        self._writer = SpoolWriter(spool, counters)
        self._objects = ObjectWorker(counters)
        self._sender = Sender(spool, session, counters)
        self._control = Control(session, self._health)
        self._state = "starting"
        self._began = time.monotonic()
        self._stop = False
        self._chunks = 0
        self._bytes = 0
        self._exchanges = 0
        self._call_limit = 0
        self._lost_before: dict[str, int] = {}
        self._probes: list[ProbeState] = []
        self._connections = 0

    def stop(self) -> None:
        """From a signal handler: finish what is at hand and leave."""
        self._stop = True

    def run(self) -> int:
        """0 when all that was captured is delivered or safely on disk."""
        self._status_file.write(self.status())
        self._writer.start()
        self._objects.start()
        self._control.start()
        self._sender.start()
        self._configuration.changed.wait(CONFIG_WAIT_SECONDS)
        running = self._configuration.take() or self._configuration.running
        self._objects.use(running.store)
        source = self._open(running.call_limit)
        linker = Linker(
            source,
            self._emit,
            settings=running.link,
            counters=self._counters,
            in_scope=self._in_scope,
            memory_limit=self._memory_limit,
        )
        self._settle()
        ended = self._loop(source, linker)
        return self._leave(linker, ended=ended)

    # -- the loop ------------------------------------------------------------------

    def _open(self, call_limit: int) -> Source:
        self._call_limit = call_limit
        source = self._open_source(call_limit)
        self._probes = source.probes()
        return source

    def _settle(self) -> None:
        """Start-up's objects stay for ever: the collector need not visit them again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        self._state = "running"
        self._control.beat_soon()
        _log.info("running", boot=str(self._boot), probes=[probe.family for probe in self._probes
                                                           if probe.active])  # fmt: skip

    def _loop(self, source: Source, linker: Linker) -> bool:
        """``True`` when the source has ended by itself."""
        next_tick = time.monotonic()
        feed = linker.feed
        try:
            while not self._stop:
                for chunk in source.poll(POLL_MS):
                    self._chunks += 1
                    self._bytes += chunk.length
                    try:
                        feed(chunk)
                    except Exception:  # noqa: BLE001  a fault of ours costs one connection
                        self._fault(linker, chunk.connection)
                self._writer.tick()
                if time.monotonic() >= next_tick:
                    next_tick = time.monotonic() + 1.0
                    source = self._tick(source, linker)
        except EOFError:
            return True
        finally:
            self._note_lost(source)
            source.close()
        return False

    def _fault(self, linker: Linker, key: int) -> None:
        """Whatever the traffic was, the other connections are still to be seen."""
        self._counters.drop("chunk", "fault")
        _log.exception("a connection could not be followed; please report this")
        linker.abandon(key)

    def _tick(self, source: Source, linker: Linker) -> Source:
        linker.tick(time.monotonic_ns())
        self._connections = linker.open_connections
        self._refresh_scope()
        self._note_lost(source)
        self._probes = source.probes()
        running = self._configuration.take()
        if running is not None:
            self._objects.use(running.store)
            linker.configure(running.link)
            self._control.beat_soon()
            if self._reopen and running.call_limit != self._call_limit:
                source = self._replace(source, linker, running.call_limit)
        self._status_file.write(self.status())
        return source

    def _replace(self, source: Source, linker: Linker, call_limit: int) -> Source:
        """Capture anew, with another limit; connections go on, older than the new source."""
        for chunk in source.poll(0):
            linker.feed(chunk)
        linker.shutdown(time.monotonic_ns())
        self._note_lost(source)
        source.close()
        self._lost_before = {}
        source = self._open(call_limit)
        linker.use(source)
        return source

    def _emit(self, event: RequestEvent, exchange: Exchange) -> None:
        self._exchanges += 1
        if exchange.request_head:
            data = encode_transaction(transaction_of(exchange, event))
            digest = object_digest(data)
            if self._objects.offer(digest, data):
                event.object_digest = digest
        self._writer.add(encode_line(event))

    def _note_lost(self, source: Source) -> None:
        lost = source.lost()
        for reason, count in lost.items():
            new = count - self._lost_before.get(reason, 0)
            if new > 0:
                self._counters.drop("chunk", reason, new)
        self._lost_before = dict(lost)

    # -- leaving -------------------------------------------------------------------

    def _leave(self, linker: Linker, *, ended: bool) -> int:
        self._state = "draining"
        self._status_file.write(self.status())
        linker.shutdown(time.monotonic_ns())
        self._connections = 0
        deadline = time.monotonic() + DRAIN_SECONDS
        written = self._writer.close(DRAIN_SECONDS / 2)
        self._objects.close(max(deadline - time.monotonic(), 0.1))
        delivered = self._deliver(deadline, ended=ended)
        self._control.stop(0.1)
        self._state = "stopped"
        self._status_file.write(self.status())
        _log.info("stopped", exchanges=self._exchanges, delivered=delivered,
                  waiting=self._spool.waiting[1])  # fmt: skip
        return 0 if written and (delivered or not ended) else 1

    def _deliver(self, deadline: float, *, ended: bool) -> bool:
        """A recording is delivered to its end; live traffic as far as the time allows."""
        while ended and not self._stop and self._spool.waiting[0]:
            self._status_file.write(self.status())
            time.sleep(0.2)
        return self._sender.drain(max(deadline - time.monotonic(), 0.5))

    # -- telling -------------------------------------------------------------------

    def _health(self) -> HeartbeatRequest:
        return HeartbeatRequest(
            boot_id=self._boot,
            status="ok" if all(probe.active for probe in self._probes) else "degraded",
            object_store=self._objects.kind,
            uptime_seconds=round(time.monotonic() - self._began, 1),
            exchanges=self._exchanges,
            dropped=self._counters.drops(),
            spool_bytes=self._spool.size,
            spool_limit_bytes=self._spool.limit,
            memory_bytes=resident_bytes(),
            probes=self._probes,
            config_digest=self._configuration.running.digest,
        )

    def status(self) -> Status:
        """What the status file says now."""
        identity = self._session.identity
        times = os.times()
        return Status(
            state=self._state,
            pid=os.getpid(),
            boot_id=str(self._boot),
            agent_id=str(identity.agent_id or ""),
            registered=self._session.registered.is_set(),
            replaying=self._configuration.running.link.replayed,
            account=identity.account,
            environment=identity.environment,
            uptime_seconds=round(time.monotonic() - self._began, 1),
            cpu_seconds=round(times.user + times.system, 3),
            memory_bytes=resident_bytes(),
            captured_chunks=self._chunks,
            captured_bytes=self._bytes,
            open_connections=self._connections,
            exchanges=self._exchanges,
            events_spooled=self._counters.get("events_spooled"),
            events_acknowledged=self._counters.get("events_acknowledged"),
            events_waiting=self._spool.waiting[1],
            spool_bytes=self._spool.size,
            spool_limit_bytes=self._spool.limit,
            object_store=self._objects.kind,
            objects_stored=self._counters.get("objects_stored"),
            dropped=self._counters.drops(),
            counts=self._counters.counts(),
            probes=self._probes,
            config_digest=self._configuration.running.digest,
        )
