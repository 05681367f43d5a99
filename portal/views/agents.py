"""The agents of an account: which nodes do I not see?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from fleet.selectors import AgentInfo, EnvironmentInfo, agents, config_digest_of, environments
from fleet.services import agent_remove
from portal.door import action, page
from portal.here import Here
from portal.kit import formats
from portal.kit.forms import Failure, attempt, confirmed
from portal.kit.tables import Cell, Choice, Column, TableSpec, fetch_from, options, table
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import Permission

SILENT_AFTER: Final = timedelta(seconds=100)
"""Three heartbeats missed."""


_RIGHT: Final = 5
"""Seconds; the time of an answer is told in whole ones, and the way takes its time."""
_FOREVER: Final = 1e10
"""Seconds: no clock says more, and no calendar holds much more."""


@dataclass(frozen=True)
class AgentRow:
    agent: AgentInfo
    environment: EnvironmentInfo
    wanted_digest: str

    @property
    def id(self) -> UUID:
        return self.agent.id

    @property
    def health(self) -> str:
        """``healthy``, ``silent``, ``partly``, ``losing`` or ``waiting``: the worst that holds."""
        heard = self.agent.last_heartbeat_at
        if heard is None:
            return "waiting"
        if timezone.now() - heard > SILENT_AFTER:
            return "silent"
        if self.lost:
            return "losing"
        if self.agent.status != "ok" or not any(p["active"] for p in self.agent.probes):
            return "partly"
        return "healthy"

    @property
    def clock(self) -> str:
        """How wrong the node's clock is: ``2 h ahead``; empty when it is right."""
        off = min(max(self.agent.clock_offset_ms / 1_000, -_FOREVER), _FOREVER)
        if abs(off) < _RIGHT:
            return ""
        return f"{formats.span(timedelta(seconds=abs(off)))} {'ahead' if off > 0 else 'behind'}"

    @property
    def lost(self) -> int:
        """Events that were dropped since the agent's start; a dropped payload is no event."""
        return sum(n for kind, n in self.agent.dropped.items() if kind.startswith("event."))

    @property
    def drifted(self) -> bool:
        running = self.agent.config_digest
        return bool(running) and running != self.wanted_digest

    @property
    def probes_on(self) -> str:
        on = [p["family"] for p in self.agent.probes if p["active"]]
        return ", ".join(sorted(on)) if on else formats.NONE


HEALTH: Final = {
    "healthy": Cell("healthy", tone="ok", icon="check"),
    "silent": Cell("silent", tone="danger", icon="danger", title="No heartbeat for 100 s"),
    "losing": Cell("dropping events", tone="warn", icon="warn"),
    "partly": Cell("partly capturing", tone="warn", icon="warn"),
    "waiting": Cell("no heartbeat yet", tone="info", icon="clock"),
}


def agent_rows(here: Here) -> list[AgentRow]:
    places = {place.id: place for place in environments(here.scope)}
    digests = {place_id: config_digest_of(place_id) for place_id in places}
    return [
        AgentRow(agent, places[agent.environment_id], digests[agent.environment_id])
        for agent in agents(here.scope)
        if agent.environment_id in places
    ]


def _spec(here: Here, rows: list[AgentRow]) -> TableSpec[AgentRow]:
    return TableSpec(
        name="agents",
        noun="agents",
        sort="name",
        placeholder="Filter by name, node, version",
        choices=(
            Choice("env", "Environment", options(r.environment.slug for r in rows)),
            Choice("health", "Health", tuple((k, c.text) for k, c in HEALTH.items())),
        ),
        columns=(
            Column(
                "name",
                "Agent",
                lambda r: r.agent.name,
                lambda r: Cell(
                    r.agent.name, href=here.url("agent", r.id), replayed=r.agent.replaying
                ),
            ),
            Column("health", "Health", lambda r: r.health, lambda r: HEALTH[r.health]),
            Column("environment", "Environment", lambda r: r.environment.slug),
            Column("heard", "Last heard", lambda r: r.agent.last_heartbeat_at, _heard),
            Column("probes", "Probes on", lambda r: r.probes_on),
            Column(
                "exchanges",
                "Exchanges",
                lambda r: r.agent.exchanges,
                lambda r: Cell(formats.count(r.agent.exchanges)),
                number=True,
            ),
            Column(
                "lost",
                "Events dropped",
                lambda r: r.lost,
                lambda r: Cell(formats.count(r.lost)),
                number=True,
            ),
            Column(
                "spool",
                "Spool",
                lambda r: r.agent.spool_bytes,
                lambda r: Cell(formats.size(r.agent.spool_bytes)),
                number=True,
            ),
            Column("config", "Configuration", _config, _config_cell),
            Column("version", "Version", lambda r: r.agent.version),
            Column(
                "memory",
                "Memory",
                lambda r: r.agent.memory_bytes,
                lambda r: Cell(formats.size(r.agent.memory_bytes)),
                number=True,
                shown=False,
            ),
            Column(
                "kernel", "Kernel", lambda r: r.agent.system.get("kernelRelease", ""), shown=False
            ),
            Column(
                "registered",
                "Registered",
                lambda r: r.agent.registered_at,
                lambda r: Cell("", time=r.agent.registered_at),
                shown=False,
            ),
        ),
    )


def _heard(row: AgentRow) -> Cell:
    moment = row.agent.last_heartbeat_at
    return Cell(formats.ago(moment), title=formats.utc(moment))


def _config(row: AgentRow) -> str:
    if not row.agent.config_digest:
        return "unknown"
    return "behind" if row.drifted else "current"


def _config_cell(row: AgentRow) -> Cell:
    tone = {"behind": "warn", "current": "ok", "unknown": "muted"}[_config(row)]
    return Cell(_config(row), tone=tone)


_TESTS: Final[dict[str, Callable[[AgentRow, str], bool]]] = {
    "env": lambda row, value: row.environment.slug == value,
    "health": lambda row, value: row.health == value,
}


@page(Permission.FLEET_AGENT_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    rows = agent_rows(here)
    spec = _spec(here, rows)
    shown = table(request, spec, fetch_from(rows, spec, **_TESTS))
    if isinstance(shown, HttpResponseBase):
        return shown
    return render(request, "pages/agents.html", {"table": shown, "rows": rows})


@page(Permission.FLEET_AGENT_READ)
def detail(request: HttpRequest, here: Here, agent_id: UUID) -> HttpResponseBase:
    return _detail(request, here, agent_id, None)


def _detail(
    request: HttpRequest, here: Here, agent_id: UUID, failed: Failure | None
) -> HttpResponseBase:
    row = _one(here, agent_id)
    context = {
        "row": row,
        "health": HEALTH[row.health],
        "failed": failed,
        "crumbs": [("Agents", here.url("agents"))],
        "may_write": here.may_write(Permission.FLEET_ENVIRONMENT_WRITE),
    }
    return render(request, "pages/agent.html", context, status=failed.status if failed else 200)


@action(Permission.FLEET_ENVIRONMENT_WRITE)
def remove(request: HttpRequest, here: Here, agent_id: UUID) -> HttpResponseBase:
    row = _one(here, agent_id)

    def change() -> AgentInfo:
        confirmed(request, row.agent.name)
        return agent_remove(actor=here.actor, agent_id=agent_id)

    outcome = attempt(request, here.scope, "remove", change)
    if isinstance(outcome, Failure):
        return _detail(request, here, agent_id, outcome)
    messages.success(request, f"{outcome.result.name} was removed.")
    return HttpResponseRedirect(here.url("agents"))


def _one(here: Here, agent_id: UUID) -> AgentRow:
    for row in agent_rows(here):
        if row.id == agent_id:
            return row
    raise NotFound("There is no such agent in this account, or it was removed.")
