"""Chunks in, finished exchanges out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from agent.capture.source import Chunk, Connection, Flow, Kind, Role, Source
from agent.counters import Counters
from agent.http.budget import Budget
from agent.http.startline import begins_request, begins_response
from agent.link.clock import WallClock
from agent.link.connection import ConnectionLink
from agent.link.context import LinkContext
from agent.link.event import direction_of, event_template, fill_event, is_loopback
from agent.link.exchange import Exchange
from agent.link.settings import MEMORY_LIMIT, UNKNOWN, About, LinkSettings, Plan
from wire.events import RequestEvent

CONNECTION_COST: Final = 2_048
"""Of an open connection, in bytes, as the budget counts."""

_NS: Final = 1_000_000_000
# Members as module names: looking one up on its class costs more than the rest of a call.
_CLOSE: Final = Kind.CLOSE
_SENT: Final = Flow.SENT
_RECEIVED: Final = Flow.RECEIVED
_SERVER: Final = Role.SERVER
_UNKNOWN: Final = Role.UNKNOWN
_FULL: Final = 0.9
_GIVEN_UP: Final = 8
"""When there is no room, one in so many connections, the longest silent, is given up."""

Emit = Callable[[RequestEvent, Exchange], None]
"""``exchange`` holds payload when the settings keep it; it is the emitter's to drop."""

InScope = Callable[[Connection], bool]


class Observer(Protocol):
    """Told of connections as they come and go."""

    def opened(self, link: ConnectionLink) -> None: ...

    def closed(self, link: ConnectionLink) -> None: ...


class Linker:
    """Follows every connection of ``source`` that is in scope. Lives on one thread."""

    def __init__(
        self,
        source: Source,
        emit: Emit,
        *,
        settings: LinkSettings,
        counters: Counters,
        in_scope: InScope = lambda _: True,
        memory_limit: int = MEMORY_LIMIT,
        observer: Observer | None = None,
    ) -> None:
        self._source = source
        self._emit = emit
        self._in_scope = in_scope
        self._observer = observer
        self._unsettled = False
        """Settings changed: connections that are no longer wanted end with their exchanges."""
        self._counters = counters
        self.clock = WallClock()
        self.context = LinkContext(settings, Budget(memory_limit), self._deliver)
        self._links: dict[int, ConnectionLink | None] = {}
        """``None``: known to be out of scope."""
        self._seen = time.monotonic_ns()
        """When the last tick was: silence is told by arrival, since a recording's own times
        may lie in the past."""

    def feed(self, chunk: Chunk) -> None:
        """One chunk of the source, in its order."""
        kind, key, flow, now, length, data = chunk
        link = self._links.get(key)
        if link is None:
            link = self._open(chunk)
            if link is None:
                return
        if kind == _CLOSE:
            self._close(link, now)
            return
        link.last_ns = now
        link.seen = self._seen
        reader = link.requests if flow == link.asking_flow else link.responses
        if data:
            reader.feed(data, now)
        if length > len(data):
            reader.gap(length - len(data), now)
        if self._observer is not None:
            if flow == _SENT:
                link.sent += length
            else:
                link.received += length

    def configure(self, settings: LinkSettings) -> None:
        """New settings from the next exchange on; those under way end as they began.

        Connections that were left alone are judged anew when they speak again.
        """
        self.context.settings = settings
        for key in [key for key, link in self._links.items() if link is None]:
            del self._links[key]
        for link in self._links.values():
            facts = self._source.connection(link.key) if link is not None else None
            if link is not None and facts is not None:
                link.about = self._describe(facts) or link.about
        self._unsettled = True

    def plans(self) -> set[Plan]:
        """Of the exchanges that are under way."""
        found: set[Plan] = set()
        for link in self._links.values():
            if link is not None:
                under_way = [*link.pending, link.asking, link.answering, link.early]
                found |= {one.plan for one in under_way if one is not None and one.plan}
        return found

    def use(self, source: Source) -> None:
        """Another source, whose keys mean other connections; after ``shutdown``."""
        self._source = source
        self._links.clear()

    def tick(self, now: int) -> None:
        """About every second: time-outs, room, clocks, counts."""
        self.clock.sync()
        self._seen = now
        limit = now - int(self.context.settings.idle_seconds * _NS)
        for link in self._links.values():
            if link is not None and link.seen < limit and (link.pending or link.asking):
                link.flush(link.last_ns)
        if not self._room():
            self._give_up_oldest()
        if self._unsettled:
            self._unsettled = not self._settle()
        self._count()

    def _settle(self) -> bool:
        """Leave what is no longer wanted; ``False``: some of it is in the middle of something."""
        settled = True
        for link in [link for link in self._links.values() if link is not None]:
            facts = self._source.connection(link.key)
            if facts is None or self._still_wanted(link, facts):
                continue
            if link.pending or link.asking or link.answering:
                settled = False
                continue
            self._close(link, link.last_ns, forget=False)
            self._links[link.key] = None
        return settled

    def _still_wanted(self, link: ConnectionLink, facts: Connection) -> bool:
        if link.template.direction not in self.context.settings.directions:
            return False
        return self._wanted(facts) and self._describe(facts) is not None

    def _describe(self, facts: Connection) -> About | None:
        describe = self.context.settings.describe
        return describe(facts) if describe is not None else UNKNOWN

    def abandon(self, key: int) -> None:
        """Follow a connection no more, whatever state it is in."""
        self._links[key] = None

    def shutdown(self, now: int) -> None:
        """Emit whatever is under way."""
        for link in [link for link in self._links.values() if link is not None]:
            self._close(link, now)
        self._count()

    @property
    def open_connections(self) -> int:
        return len(self._links)

    # -- connections ---------------------------------------------------------------

    def _open(self, chunk: Chunk) -> ConnectionLink | None:
        key = chunk.connection
        if chunk.kind == _CLOSE:
            if key in self._links:
                del self._links[key]
                self._source.forget(key)
            return None
        if key in self._links:
            return None
        facts = self._source.connection(key)
        if facts is None:
            self._counters.drop("chunk", "unknown-connection")
            return None
        if not self._wanted(facts):
            self._ignore(key)
            return None
        server = _serves(facts, chunk)
        if server is None:
            self.context.odd("not-http")
            return None
        return self._follow(facts, server=server)

    def _ignore(self, key: int) -> None:
        if len(self._links) >= self.context.settings.max_connections:
            self._give_up_oldest()
        self._links[key] = None

    def _follow(self, facts: Connection, *, server: bool) -> ConnectionLink | None:
        settings = self.context.settings
        about = self._describe(facts)
        if about is None or direction_of(facts, server=server) not in settings.directions:
            self._ignore(facts.key)
            return None
        template = event_template(facts, server=server, settings=settings, about=about)
        if len(self._links) >= settings.max_connections or not self._room():
            self._give_up_oldest()
        link = ConnectionLink(facts.key, self.context, template, _RECEIVED if server else _SENT)
        link.seen = self._seen
        link.about = about
        self.context.budget.held += CONNECTION_COST
        self._links[facts.key] = link
        if self._observer is not None:
            self._observer.opened(link)
        return link

    def _wanted(self, facts: Connection) -> bool:
        if self.context.settings.ignore_loopback and is_loopback(facts.remote_ip):
            return False
        return self._in_scope(facts)

    def _close(self, link: ConnectionLink, now: int, *, forget: bool = True) -> None:
        link.close(now)
        del self._links[link.key]
        self.context.budget.give(CONNECTION_COST)
        if self._observer is not None:
            self._observer.closed(link)
        if forget:
            self._source.forget(link.key)

    # -- room ----------------------------------------------------------------------

    def _room(self) -> bool:
        budget = self.context.budget
        return budget.held < budget.limit * _FULL

    def _give_up_oldest(self) -> None:
        """Close what has been silent longest; its exchanges are emitted as they are."""
        ignored = [key for key, link in self._links.items() if link is None]
        for key in ignored:
            del self._links[key]
            self._source.forget(key)
        links = sorted(
            (link for link in self._links.values() if link is not None),
            key=lambda link: link.last_ns,
        )
        for link in links[: len(links) // _GIVEN_UP + 1]:
            self._counters.add("connections_given_up")
            self._close(link, link.last_ns)

    # -- out -----------------------------------------------------------------------

    def _deliver(self, link: ConnectionLink, exchange: Exchange) -> None:
        event = fill_event(link.template, exchange, self.clock)
        self._emit(event, exchange)

    def _count(self) -> None:
        oddities, self.context.oddities = self.context.oddities, type(self.context.oddities)()
        for reason, count in oddities.items():
            self._counters.add(f"http.{reason}", count)
        if self.context.unkept:
            self._counters.drop("object", "memory", self.context.unkept)
            self.context.unkept = 0


def _serves(facts: Connection, chunk: Chunk) -> bool | None:
    """Whether the process is the server; ``None``: neither its role nor its bytes tell."""
    if facts.role != _UNKNOWN:
        return facts.role == _SERVER
    if begins_request(chunk.data):
        return chunk.flow == _RECEIVED
    if begins_response(chunk.data):
        return chunk.flow == _SENT
    return None
