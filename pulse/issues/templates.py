"""Which endpoints have a template that was learned, typed or forgotten lately."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from pulse.routes.book import host_of
from pulse.store.endpoints import Endpoint
from pulse.tables.routes import PathTemplate
from qcloud.kernel.scope import Scope, scoped


@dataclass(frozen=True, slots=True)
class TemplateChange:
    host: str
    """Empty: all hosts for which there was no room."""
    segments: tuple[str, ...]
    at: datetime


def template_changes(scope: Scope, since: datetime) -> list[TemplateChange]:
    """Templates that became what they are from then on."""
    with scoped(scope):
        rows = PathTemplate.objects.filter(account_id=scope.account_id, changed_at__gte=since)
        found = rows.values_list("path_host__host", "text", "changed_at")
        return [TemplateChange(host, tuple(text.split("/")), at) for host, text, at in found]


def young_since(changes: Iterable[TemplateChange], since: datetime) -> Callable[[Endpoint], bool]:
    """Whether the requests of an endpoint before ``since`` may stand under other names: one of
    these templates, or the beginning of a longer one, is or was its own.
    """
    by_host: dict[str, list[tuple[str, ...]]] = {}
    for change in changes:
        if change.at >= since:
            by_host.setdefault(change.host, []).append(change.segments)

    def young(endpoint: Endpoint) -> bool:
        if not by_host or not endpoint.route:
            return False
        own = endpoint.route.split("/")
        known = [*by_host.get(host_of(endpoint.host), ()), *by_host.get("", ())]
        return any(_begins(own, template) for template in known)

    return young


def _begins(own: list[str], template: tuple[str, ...]) -> bool:
    """With these segments; a parameter of the template stands for any."""
    return len(own) >= len(template) and all(
        one == other or "{" in other for one, other in zip(own, template, strict=False)
    )
