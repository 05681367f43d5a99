"""The platform as an event store: registration, spool and delivery behind one face."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.counters import Counters
from agent.spool.spool import Spool
from agent.spool.writer import SpoolWriter
from agent.stores.base import Event, Shape
from agent.uplink.client import Client
from agent.uplink.control import Control, Health
from agent.uplink.sender import Sender
from agent.uplink.session import ReadToken, Session
from wire.events import KIND_OF, RequestEvent, encode_line
from wire.events import Event as PlatformEvent


class Uplink:
    """``emit`` and ``tick`` on the capture thread; the rest has threads of its own.

    ``managed``: the platform also says which configuration runs.
    """

    id = "platform"
    kind = "pulse"
    shape: Shape = "pulse"

    def __init__(
        self, session: Session, spool: Spool, counters: Counters, *, managed: bool = True
    ) -> None:
        self.session = session
        self.spool = spool
        self.managed = managed
        self._counters = counters
        self._writer = SpoolWriter(spool, counters)
        self._sender = Sender(spool, session, counters)
        self._control: Control | None = None

    def connect(self, health: Health) -> None:
        """``health`` says how the agent is, for the heartbeat."""
        self._control = Control(self.session, health, managed=self.managed)

    def start(self) -> None:
        self._writer.start()
        if self._control is not None:
            self._control.start()
        self._sender.start()

    def move(self, client: Client | None, read_token: ReadToken) -> None:
        """To another platform, or to the same in another way. What is spooled goes along.

        Raises ``IdentityError``.
        """
        former = self.session.client
        self.session.move(client, read_token)
        if client is not None:
            former.close()
        if self._control is not None:
            self._control.turn_now()
        self._sender.hurry()

    def emit(self, event: Event) -> None:
        if isinstance(event, RequestEvent):
            self._writer.add(encode_line(event))
            return
        if isinstance(event, PlatformEvent) and self.session.takes(KIND_OF[type(event)]):
            self._writer.add(encode_line(event), KIND_OF[type(event)])
        else:
            self._counters.add("events_not_for_the_platform")

    def tick(self) -> None:
        self._writer.tick()

    def beat_soon(self) -> None:
        """Something changed that the platform should know."""
        if self._control is not None:
            self._control.beat_soon()

    def flush(self, timeout: float) -> bool:
        """Everything emitted is on disk; ``False``: not within ``timeout`` seconds."""
        return self._writer.close(timeout)

    def deliver(self, deadline: float, waiting: Callable[[], bool]) -> bool:
        """Send what is spooled: to its end while ``waiting``, then until ``deadline``."""
        while waiting() and self.spool.waiting[0]:
            time.sleep(0.2)
        return self._sender.drain(max(deadline - time.monotonic(), 0.5))

    def close(self, timeout: float) -> bool:
        if self._control is not None:
            self._control.stop(timeout)
        return True
