"""Who asks for which names: messages in, events out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from agent.capture.source import Connection, DnsMessage, Source
from agent.connections import EVERY_SECONDS, address_of, local_endpoint
from agent.counters import Counters
from agent.dns.event import LookupSubject, lookup_event, lookup_part
from agent.dns.pairs import Lookup, Pairs
from agent.dns.settings import DnsPolicy
from agent.link.clock import WallClock
from agent.link.event import direction_of, event_template, is_loopback
from agent.link.settings import About
from wire.dns import DnsPart
from wire.events import Direction, LookupOutcome, RequestEvent
from wire.qtap import ConnectionEvent, Endpoint, Meta, System

DNS_PORT: Final = 53
FIRST_SECONDS: Final = 0.4
"""From the first news of a connection to its report: what it learns meanwhile goes along."""
IDLE_SECONDS: Final = 10.0
"""A connection that said nothing for so long has ended: nobody tells of a UDP socket's end."""
MAX_CONNECTIONS: Final = 4_096
"""Followed at the same time; beyond, the longest silent is reported as ended."""
MAX_PARTS: Final = 100
"""Lookups of one report; when there are more it goes out at once."""

_COUNTED: Final = {outcome: f"dns.{outcome}" for outcome in LookupOutcome}

InScope = Callable[[Connection], bool]
_Key = tuple[int, str, int]


class _Link:
    """One socket and one other end."""

    __slots__ = ("about", "created", "last", "part", "parts", "received", "reported", "sent",
                 "socket", "template", "udp", "waits_since")  # fmt: skip

    def __init__(
        self,
        message: DnsMessage,
        template: RequestEvent,
        about: About,
        *,
        now: float,
        created: datetime,
    ) -> None:
        self.socket = message.socket
        self.udp = message.udp
        self.template = template
        self.about = about
        self.created = created
        self.last = now
        self.part = 0
        self.parts: list[DnsPart] = []
        self.waits_since: float | None = None
        """When the oldest of ``parts`` came."""
        self.reported = now
        self.sent = 0
        self.received = 0


class DnsAudit:
    """Lives on the capture thread. ``use`` first."""

    def __init__(self, *, counters: Counters, in_scope: InScope, agent: str, instance: str) -> None:
        self._counters = counters
        self._in_scope = in_scope
        self._about = (agent, instance)
        self._policy: DnsPolicy | None = None
        self._source: Source | None = None
        self._clock = WallClock()
        self._pairs = Pairs(counters, self._done)
        self._links: dict[_Key, _Link | None] = {}
        """``None``: left alone. In the order of their last message."""
        self._sockets: dict[int, set[_Key]] = {}
        self._due: deque[_Link] = deque()
        """Those with something to report, the longest waiting first."""
        self.active = False

    def use(self, policy: DnsPolicy, source: Source) -> None:
        """Another configuration or source: capture is switched, former judgements are dropped."""
        wanted = policy.audits_dns
        if self._policy is not None and (not wanted or source is not self._source):
            self.shutdown()
        self._policy = policy
        if source is not self._source or wanted != self.active:
            source.audit_dns(wanted=wanted)
        self._source = source
        self.active = wanted
        for key in list(self._links):
            self._judge_again(key)

    def poll(self) -> None:
        """What came with the source's last ``poll``."""
        if not self.active or self._source is None:
            return
        now = time.monotonic()
        for message in self._source.dns():
            link = self._link(message, now)
            if link is None:
                continue
            link.last = now
            if message.flow:
                link.sent += message.length
            else:
                link.received += message.length
            self._pairs.feed(message)
        self._report_due(time.monotonic())

    def tick(self) -> None:
        """About every second: time-outs, and connections that have ended."""
        if not self.active:
            return
        self._clock.sync()
        self._pairs.tick(time.monotonic_ns())
        now = time.monotonic()
        for key, link in list(self._links.items()):
            if link is None or self._pairs.busy(link.socket):
                continue
            if now - link.last >= IDLE_SECONDS:
                self._end(key)
            elif now - link.reported >= EVERY_SECONDS and link.part:
                self._report(link, finalized=False)

    def shutdown(self) -> None:
        """Report what is known; queries under way are counted as unfinished."""
        for key in list(self._links):
            self._end(key)

    # -- connections -----------------------------------------------------------------

    def _link(self, message: DnsMessage, now: float) -> _Link | None:
        facts = message.connection
        key = (message.socket, facts.remote_ip, facts.remote_port)
        if key in self._links:
            link = self._links.pop(key)
        else:
            link = self._follow(message, now)
            self._sockets.setdefault(message.socket, set()).add(key)
            if len(self._links) >= MAX_CONNECTIONS:
                self._end(next(iter(self._links)))
        self._links[key] = link
        return link

    def _follow(self, message: DnsMessage, now: float) -> _Link | None:
        policy, facts = self._policy, message.connection
        server = facts.remote_port != DNS_PORT
        if policy is None or not self._wanted(policy, facts, server=server):
            return None
        about = policy.describe_dns(facts)
        if about is None:
            return None
        template = event_template(facts, server=server, settings=policy.link, about=about)
        template.protocol = "dns"
        created = self._clock.at(message.monotonic_ns)
        return _Link(message, template, about, now=now, created=created)

    def _wanted(self, policy: DnsPolicy, facts: Connection, *, server: bool) -> bool:
        if policy.link.ignore_loopback and is_loopback(facts.remote_ip):
            return False
        if direction_of(facts, server=server) not in policy.link.directions:
            return False
        return self._in_scope(facts)

    def _judge_again(self, key: _Key) -> None:
        """Those left alone are judged at their next message; the others go on as they began."""
        if self._links[key] is None:
            self._end(key)

    def _end(self, key: _Key) -> None:
        link = self._links.pop(key)
        socket = key[0]
        keys = self._sockets[socket]
        keys.discard(key)
        if not keys:
            del self._sockets[socket]
            self._pairs.forget(socket)
            if self._source is not None:
                self._source.forget_dns(socket)
        if link is not None and (link.part or link.parts):
            self._report(link, finalized=True)

    # -- out -------------------------------------------------------------------------

    def _done(self, lookup: Lookup) -> None:
        link = self._links.get((lookup.socket, *lookup.peer))
        policy = self._policy
        if link is None or policy is None:
            return
        part = lookup_part(lookup, link.template, self._clock)
        event = lookup_event(part, lookup, link.template)
        self._counters.add("dns_lookups")
        self._counters.add(_COUNTED[event.outcome])
        if not policy.allows(LookupSubject(event, link.template, link.about)):
            self._counters.add("lookups_denied")
            return
        policy.emit(event)
        if policy.reports_connections:
            self._keep(link, part)

    def _keep(self, link: _Link, part: DnsPart) -> None:
        link.parts.append(part)
        if link.waits_since is None:
            link.waits_since = time.monotonic()
            self._due.append(link)
        if len(link.parts) >= MAX_PARTS:
            self._report(link, finalized=False)

    def _report_due(self, now: float) -> None:
        while self._due and now - (self._due[0].waits_since or 0.0) >= FIRST_SECONDS:
            link = self._due.popleft()
            if link.parts:
                self._report(link, finalized=False)

    def _report(self, link: _Link, *, finalized: bool) -> None:
        if self._policy is None:
            return
        self._policy.emit(self._event(link, finalized=finalized))
        link.part += 1
        link.parts = []
        link.waits_since = None
        link.reported = time.monotonic()

    def _event(self, link: _Link, *, finalized: bool) -> ConnectionEvent:
        event = link.template
        now = datetime.now(UTC)
        ours, theirs = local_endpoint(event), Endpoint(address=address_of(event, local=False))
        ingress = event.direction is Direction.INGRESS
        agent, instance = self._about
        return ConnectionEvent(
            meta=Meta(connection_id=str(event.connection_id), endpoint_id=theirs.address.ip),
            tags={**link.about.tags, "protocol": ["dns"], "strategy": ["observe"]},
            finalized=finalized,
            timestamp=now,
            direction=event.direction,
            vendor_id="",
            part=link.part,
            socket_protocol="udp" if link.udp else "tcp",
            l7_protocol="dns",
            tls_version=0,
            system=System(hostname=event.hostname, agent=agent, agent_instance=instance),
            source=theirs if ingress else ours,
            destination=ours if ingress else theirs,
            bytes_received=link.received,
            bytes_sent=link.sent,
            labels=[],
            created_at=link.created,
            closed_at=now if finalized else None,
            dns=link.parts,
        )
