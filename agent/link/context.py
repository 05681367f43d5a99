"""What connections share while they link: budget, what to keep, and where exchanges go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agent.http.budget import Budget
from agent.link.exchange import OVERHEAD, Exchange
from agent.link.settings import About, LinkSettings, Plan

if TYPE_CHECKING:
    from agent.link.connection import ConnectionLink

Deliver = Callable[["ConnectionLink", Exchange], None]
_PATH_COSTS: Final = 2


class LinkContext:
    """One a linker, on the capture thread."""

    __slots__ = ("_deliver", "budget", "oddities", "settings", "unkept")

    def __init__(self, settings: LinkSettings, budget: Budget, deliver: Deliver) -> None:
        self.settings = settings
        self.budget = budget
        self.oddities: Counter[str] = Counter()
        """What was strange in the traffic, by name."""
        self.unkept = 0
        """Exchanges whose payload found no room in the budget."""
        self._deliver = deliver

    def odd(self, reason: str) -> None:
        self.oddities[reason] += 1

    def finish(self, link: ConnectionLink, exchange: Exchange) -> None:
        """Deliver an exchange, once."""
        if exchange.done:
            return
        exchange.done = True
        self.budget.give(exchange.cost)
        exchange.cost = 0
        self._deliver(link, exchange)

    def discard(self, exchange: Exchange) -> None:
        """A response that answers no request that was seen."""
        self.odd("response-without-request")
        exchange.done = True
        self.budget.give(exchange.cost)
        exchange.cost = 0

    def keep_request(self, exchange: Exchange, head: bytes, about: About) -> None:
        """Bind a new exchange to its plan, charge it, and keep its head if the plan says so."""
        cost = OVERHEAD + _PATH_COSTS * len(exchange.path)
        settings = self.settings
        exchange.about = about
        plan = exchange.plan = (
            settings.plan_for(exchange.host, about.payload) if settings.plan_for else settings
        )
        if plan.keep_headers and head:
            self._keep_head(exchange, head, plan)
        else:
            exchange.target = b""
        # Charged even when the budget is spent: the linker makes room at its next turn.
        self.budget.held += cost
        exchange.cost += cost

    def _keep_head(self, exchange: Exchange, head: bytes, plan: Plan) -> None:
        if self._charge(exchange, len(head)):
            exchange.request_head = head
            if plan.keep_bodies:
                exchange.request_body = bytearray()
        else:
            exchange.target = b""

    @property
    def _most(self) -> Plan:
        """For a response that was seen before its request, whose host is not known yet."""
        settings = self.settings
        return settings.plan_for("", True) if settings.plan_for else settings

    def keep_response(self, exchange: Exchange, head: bytes) -> None:
        plan = exchange.plan or self._most
        if plan.keep_headers and not exchange.done and self._charge(exchange, len(head)):
            exchange.response_head = head
            if plan.keep_bodies:
                exchange.response_body = bytearray()

    def keep_request_body(self, exchange: Exchange, data: bytes) -> None:
        body = exchange.request_body
        if body is not None:
            exchange.request_body_cut |= not self._append(exchange, body, data)

    def keep_response_body(self, exchange: Exchange, data: bytes) -> None:
        body = exchange.response_body
        if body is not None:
            exchange.response_body_cut |= not self._append(exchange, body, data)

    def _append(self, exchange: Exchange, body: bytearray, data: bytes) -> bool:
        """Whether all of ``data`` was kept."""
        room = self.settings.body_limit - len(body)
        part = data[: max(room, 0)]
        if exchange.done or not part:
            return False
        if not self._charge(exchange, len(part)):
            return False
        body += part
        return len(part) == len(data)

    def _charge(self, exchange: Exchange, size: int) -> bool:
        if self.budget.take(size):
            exchange.cost += size
            return True
        self.unkept += 1
        return False
