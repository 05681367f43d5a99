"""From nothing to the first request: environment, token, command, and what is stuck."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from audit.selectors import EntryFilter, entries
from fleet.selectors import AgentInfo, EnvironmentInfo, agents, environments
from portal.door import page
from portal.here import Here
from portal.kit import formats
from portal.kit.steps import Step
from portal.views.agents import SILENT_AFTER
from pulse.analytics import TrafficFilter, search_requests
from qcloud.kernel.permissions import Permission

PATIENCE: Final = timedelta(seconds=60)
"""After so long a waiting step says why it may be stuck."""
LOOK_BACK: Final = timedelta(days=30)


@page(Permission.FLEET_ENVIRONMENT_READ)
def index(request: HttpRequest, here: Here) -> HttpResponseBase:
    places = environments(here.scope)
    wanted = request.GET.get("env", "")
    chosen = next((p for p in places if p.slug == wanted), places[0] if places else None)
    context = {
        "places": places,
        "chosen": chosen,
        "command": _command() if chosen else "",
        "steps": _steps(here, chosen) if chosen else [],
        "may_create": here.may_write(Permission.FLEET_TOKEN_CREATE),
        "may_write": here.may_write(Permission.FLEET_ENVIRONMENT_WRITE),
    }
    return render(request, "pages/start.html", context)


def _command() -> str:
    return (
        "read -rs REGISTRATION_TOKEN && export REGISTRATION_TOKEN\n"
        "sudo --preserve-env=REGISTRATION_TOKEN qcloud-agent \\\n"
        f"  --registration-endpoint {settings.INGEST_PUBLIC_URL}"
    )


def _steps(here: Here, place: EnvironmentInfo) -> list[Step]:
    known = agents(here.scope, place.id)
    newest = max(known, key=lambda agent: agent.registered_at, default=None)
    steps = [_registered(here, newest)]
    steps.append(_probes(newest))
    steps.append(_connection(newest))
    steps.append(_first_request(here, place, newest))
    return steps


def _registered(here: Here, agent: AgentInfo | None) -> Step:
    title = "The agent registers"
    if agent:
        text = f"{agent.name}, version {agent.version or '–'}, {formats.ago(agent.registered_at)}."
        return Step(title, text, "ok", href=here.url("agent", agent.id), link="Open agent")
    refused = _last_refusal(here)
    if refused:
        return Step(title, refused, "danger")
    return Step(
        title,
        "Nobody has come with a token of this environment. Run the command above on the node."
        " Nothing happens there? This asks the platform from the node:",
        "now",
        f"curl -sS -o /dev/null -w '%{{http_code}}\\n' {settings.INGEST_PUBLIC_URL}/healthz",
    )


def _last_refusal(here: Here) -> str:
    """What the journal says about a program that was turned away lately."""
    if here.actor.environments is not None:
        return ""  # the journal is the whole account's
    since = timezone.now() - timedelta(minutes=30)
    page_of_denials = entries(here.scope, EntryFilter(outcome="denied", since=since), None, 50)
    for entry in page_of_denials.entries:
        if entry.actor_kind == "agent":
            return (
                f"401 from {entry.ip}, {formats.ago(entry.at)}: {entry.reason}."
                " Create a new token and start the agent with it."
            )
    return ""


def _probes(agent: AgentInfo | None) -> Step:
    title = "Its probes attach"
    if agent is None:
        return Step(title, "Which libraries can be tapped on the node: OpenSSL, plain sockets …")
    if agent.last_heartbeat_at is None:
        return Step(title, *_waiting(agent.registered_at, _NO_HEARTBEAT))
    on = [probe for probe in agent.probes if probe["active"]]
    off = [probe for probe in agent.probes if not probe["active"]]
    words = "; ".join(f"{p['family']} off: {p.get('reason') or 'no reason given'}" for p in off)
    if not on:
        reason = words or "The node's kernel offers no way to tap. `qcloud-agent doctor` tells."
        return Step(title, reason, "danger", "sudo qcloud-agent doctor")
    families = ", ".join(f"{p['family']} ({p.get('attached', 0)})" for p in on)
    return Step(title, f"On: {families}." + (f" {words}." if words else ""), "ok")


_NO_HEARTBEAT: Final = (
    "It registered and has not reported since. Its log on the node says why:"
    " no type information (BTF), or no right to load programs."
)


def _waiting(since: datetime, stuck: str) -> tuple[str, str]:
    if timezone.now() - since > PATIENCE:
        return stuck, "danger"
    return "Waiting for its first report, which comes within 30 seconds.", "now"


def _connection(agent: AgentInfo | None) -> Step:
    title = "The connection holds"
    if agent is None or agent.last_heartbeat_at is None:
        return Step(title, "Heartbeats every 30 seconds.")
    heard = agent.last_heartbeat_at
    if timezone.now() - heard > SILENT_AFTER:
        return Step(
            title,
            f"The last heartbeat came {formats.ago(heard)}. Is the agent running, and is there"
            f" a route to {settings.INGEST_PUBLIC_URL}?",
            "danger",
        )
    return Step(title, f"Last heartbeat {formats.ago(heard)}.", "ok")


def _first_request(here: Here, place: EnvironmentInfo, agent: AgentInfo | None) -> Step:
    title = "The first request arrives"
    if agent is None:
        return Step(title, "A click opens it.")
    now = timezone.now()
    found = search_requests(
        here.scope,
        TrafficFilter(since=now - LOOK_BACK, until=now + PATIENCE, environments=(place.id,)),
        limit=1,
    )
    if found.rows:
        row = found.rows[0]
        return Step(
            title,
            f"{row.method} {row.host}{row.path[:80]}",
            "ok",
            href=here.url("request", row.request_id),
            link="Open request",
        )
    seen = f"The agent has seen {formats.count(agent.exchanges)} exchanges. "
    return Step(title, f"{seen}Make one on the node yourself:", "now", "curl https://example.org/")
