"""The agent at work: capture, link, spool and deliver until told to stop."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from agent.capture.source import Source
from agent.certificates.watch import CertificateWatch
from agent.config.current import Configuration
from agent.config.policy import Policy
from agent.config.source import Watcher
from agent.config.stack import StackPlan
from agent.connections import ConnectionReporter
from agent.counters import Counters
from agent.dns.audit import DnsAudit
from agent.door.pages import Pulse
from agent.link.exchange import Exchange
from agent.link.linker import InScope, Linker
from agent.logs import get_logger
from agent.status import Status, StatusFile
from agent.stores.base import Event
from agent.system import agent_version, resident_bytes
from agent.uplink.uplink import Uplink
from agent.uplink.way import Way
from wire.events import RequestEvent
from wire.protocol import HeartbeatRequest, ProbeState

POLL_MS: Final = 100
DRAIN_SECONDS: Final = 10.0
CONFIG_WAIT_SECONDS: Final = 3.0
"""How long the first configuration is waited for before capture begins without it."""

_GC_THRESHOLD: Final = 20_000
_log = get_logger()

OpenSource = Callable[[int], Source]
"""Bytes of one call to copy → source."""


class Runner:
    """Built by ``agent.assembly``; ``run`` on the main thread."""

    def __init__(
        self,
        *,
        open_source: OpenSource,
        reopen: bool,
        configuration: Configuration,
        watcher: Watcher | None,
        way: Way,
        counters: Counters,
        status_file: StatusFile,
        in_scope: InScope,
        refresh_scope: Callable[[], None],
        boot: UUID,
        memory_limit: int,
        certificates: CertificateWatch,
        pulse: Pulse | None = None,
    ) -> None:
        self._open_source = open_source
        self._reopen = reopen
        self._configuration = configuration
        self._watcher = watcher
        self._way = way
        self._counters = counters
        self._status_file = status_file
        self._in_scope = in_scope
        self._refresh_scope = refresh_scope
        self._boot = boot
        self._memory_limit = memory_limit
        self._pulse = pulse or Pulse()
        self._policy = configuration.running
        self._reporter = ConnectionReporter(self._report, agent=agent_version(), instance=str(boot))
        self._dns = DnsAudit(
            counters=counters, in_scope=in_scope, agent=agent_version(), instance=str(boot)
        )
        self._certificates = certificates
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

    def reload(self) -> None:
        """From a signal handler: read the configuration again."""
        if self._watcher is not None:
            self._watcher.reload()
        else:
            self._beat_soon()

    def run(self) -> int:
        """0 when all that was captured is delivered or safely on disk."""
        self._status_file.write(self.status())
        self._way.start(self._health)
        if self._watcher is not None:
            self._watcher.start()
        self._configuration.changed.wait(CONFIG_WAIT_SECONDS)
        self._use(self._configuration.take() or self._configuration.running)
        source = self._open(self._policy.call_limit)
        linker = Linker(
            source,
            self._emit,
            settings=self._policy.link,
            counters=self._counters,
            in_scope=self._in_scope,
            memory_limit=self._memory_limit,
            observer=self._reporter if self._watcher is not None else None,
        )
        self._dns.use(self._policy, source)
        self._settle()
        ended = self._loop(source, linker)
        return self._leave(linker, ended=ended)

    def _report(self, event: Event) -> None:
        self._policy.emit(event)

    def _use(self, policy: Policy) -> None:
        self._policy = policy
        self._reporter.active = policy.reports_connections
        self._certificates.use(policy)

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
        self._beat_soon()
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
                if self._dns.active:
                    self._audit()
                for store in self._policy.event_stores:
                    store.tick()
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

    def _audit(self) -> None:
        try:
            self._dns.poll()
        except Exception:  # noqa: BLE001  a fault of ours costs a few lookups
            self._counters.drop("event", "dns-fault")
            _log.exception("DNS messages could not be followed; please report this")

    def _tick(self, source: Source, linker: Linker) -> Source:
        self._pulse.beat()
        linker.tick(time.monotonic_ns())
        self._connections = linker.open_connections
        self._refresh_scope()
        self._note_lost(source)
        self._probes = source.probes()
        self._reporter.tick()
        if self._way.uplink is not None:
            # Also when the configuration names it no longer: its last events are to be written.
            self._way.uplink.tick()
        self._dns.tick()
        self._certificates.tick()
        policy = self._configuration.take()
        if policy is not None:
            self._use(policy)
            linker.configure(policy.link)
            self._beat_soon()
            if self._reopen and policy.call_limit != self._call_limit:
                source = self._replace(source, linker, policy.call_limit)
            self._dns.use(policy, source)
            self._probes = source.probes()
        if self._configuration.retiring:
            self._configuration.release(linker.plans())
        self._status_file.write(self.status())
        return source

    def _beat_soon(self) -> None:
        if self._way.uplink is not None:
            self._way.uplink.beat_soon()

    def _replace(self, source: Source, linker: Linker, call_limit: int) -> Source:
        """Capture anew, with another limit; connections go on, older than the new source."""
        for chunk in source.poll(0):
            try:
                linker.feed(chunk)
            except Exception:  # noqa: BLE001  as in the loop
                self._fault(linker, chunk.connection)
        self._audit()
        linker.shutdown(time.monotonic_ns())
        self._note_lost(source)
        source.close()
        self._lost_before = {}
        source = self._open(call_limit)
        linker.use(source)
        return source

    def _emit(self, event: RequestEvent, exchange: Exchange) -> None:
        self._exchanges += 1
        plan = exchange.plan
        if isinstance(plan, StackPlan):
            plan.finish(event, exchange)
        else:
            self._policy.report(event)

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
        self._dns.shutdown()
        self._certificates.stop()
        self._connections = 0
        deadline = time.monotonic() + DRAIN_SECONDS
        if self._watcher is not None:
            self._watcher.stop(0.1)
        uplink = self._way.uplink
        written = uplink.flush(DRAIN_SECONDS / 2) if uplink is not None else True
        stored = self._configuration.close(max(deadline - time.monotonic(), 0.1))
        delivered = self._deliver(deadline, ended=ended) if uplink is not None else stored
        if uplink is not None:
            uplink.close(0.1)
        self._state = "stopped"
        self._status_file.write(self.status())
        waiting = uplink.spool.waiting[1] if uplink is not None else 0
        _log.info("stopped", exchanges=self._exchanges, delivered=delivered, waiting=waiting)
        return 0 if written and (delivered or not ended) else 1

    def _deliver(self, deadline: float, *, ended: bool) -> bool:
        """A recording is delivered to its end; live traffic as far as the time allows."""
        uplink = self._way.uplink
        if uplink is None:
            return True

        def waiting() -> bool:
            self._status_file.write(self.status())
            return ended and not self._stop

        return uplink.deliver(deadline, waiting)

    # -- telling -------------------------------------------------------------------

    def _health(self) -> HeartbeatRequest:
        uplink = self._way.uplink
        return HeartbeatRequest(
            boot_id=self._boot,
            status="ok" if all(probe.active for probe in self._probes) else "degraded",
            object_store=self._policy.stores.kind,
            uptime_seconds=round(time.monotonic() - self._began, 1),
            exchanges=self._exchanges,
            dropped=self._counters.drops(),
            spool_bytes=uplink.spool.size if uplink is not None else 0,
            spool_limit_bytes=uplink.spool.limit if uplink is not None else 0,
            memory_bytes=resident_bytes(),
            probes=self._probes,
            config_digest=self._policy.digest,
        )

    def status(self) -> Status:
        """What the status file says now."""
        times = os.times()
        reload = self._configuration.state
        status = Status(
            state=self._state,
            pid=os.getpid(),
            boot_id=str(self._boot),
            replaying=self._policy.link.replayed,
            uptime_seconds=round(time.monotonic() - self._began, 1),
            cpu_seconds=round(times.user + times.system, 3),
            memory_bytes=resident_bytes(),
            captured_chunks=self._chunks,
            captured_bytes=self._bytes,
            open_connections=self._connections,
            exchanges=self._exchanges,
            events_spooled=self._counters.get("events_spooled"),
            events_acknowledged=self._counters.get("events_acknowledged"),
            object_store=self._policy.stores.kind,
            objects_stored=self._counters.get("objects_stored"),
            objects_waiting_bytes=self._policy.stores.held(),
            dropped=self._counters.drops(),
            counts=self._counters.counts(),
            probes=self._probes,
            config_digest=self._policy.digest,
            config_origin=reload.origin,
            config_reloads=reload.reloads,
            config_refused=reload.refused,
            config_problem=reload.problem,
        )
        if self._way.uplink is not None:
            _add_uplink(status, self._way.uplink)
        return status


def _add_uplink(status: Status, uplink: Uplink) -> None:
    identity = uplink.session.identity
    status.agent_id = str(identity.agent_id or "")
    status.registered = uplink.session.registered.is_set()
    status.account = identity.account
    status.environment = identity.environment
    status.events_waiting = uplink.spool.waiting[1]
    status.spool_bytes = uplink.spool.size
    status.spool_limit_bytes = uplink.spool.limit
