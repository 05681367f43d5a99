"""Templates of paths as people see them. They are of a whole account: whoever is limited to
environments would learn from them what others are called with.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, Max, Q

from pulse.routes.keeping import patterns_of
from pulse.routes.tree import Tree
from pulse.tables.routes import PathHost, PathTemplate
from qcloud.kernel.errors import Denied
from qcloud.kernel.scope import Scope, scoped

LONGEST_PATH: Final = 8_192


@dataclass(frozen=True, slots=True)
class HostInfo:
    id: UUID
    host: str
    """Empty: all hosts for which there was no room."""
    version: int
    templates: int
    """In use."""
    full_since: datetime | None
    seen_at: datetime
    changed_at: datetime | None
    """When a template was learned or changed last."""


@dataclass(frozen=True, slots=True)
class TemplateInfo:
    id: UUID
    text: str
    origin: str
    """``learned`` or ``hand``."""
    forgotten: bool
    version: int
    created_at: datetime
    changed_at: datetime
    changed_by: str


def path_hosts(scope: Scope) -> list[HostInfo]:
    """All hosts of the account, by name. Raises ``Denied``."""
    with _whole(scope):
        return [_host(row) for row in _rows().order_by("host")]


def path_host(scope: Scope, host_id: UUID) -> HostInfo | None:
    """Raises ``Denied``."""
    with _whole(scope):
        row = _rows().filter(id=host_id).first()
        return _host(row) if row else None


def templates(scope: Scope, host_id: UUID) -> list[TemplateInfo]:
    """Of a host, forgotten ones included. Raises ``Denied``."""
    with _whole(scope):
        rows = PathTemplate.objects.filter(path_host_id=host_id)
        return [template_info(row) for row in rows]


def template_of(scope: Scope, host_id: UUID, path: str) -> str | None:
    """What a path would be counted under now; ``None``: it would be learned first.

    Raises ``Denied``.
    """
    with _whole(scope):
        row = PathHost.objects.filter(id=host_id).first()
        if row is None:
            return None
        wanted = path[:LONGEST_PATH]
        by_hand = patterns_of([row.id])[row.id].match(wanted)
        return by_hand or Tree.load(bytes(row.salt), bytes(row.tree)).route(wanted, missing=False)


def _whole(scope: Scope) -> Any:
    if scope.environments is not None:
        raise Denied(
            "Templates of paths are of the whole account; your role shows you some of its"
            " environments alone."
        )
    return scoped(scope)


def _rows() -> Any:
    used = Count("pathtemplate", filter=Q(pathtemplate__forgotten=False))
    return PathHost.objects.annotate(used=used, changed=Max("pathtemplate__changed_at"))


def _host(row: Any) -> HostInfo:
    return HostInfo(
        row.id, row.host, row.version, row.used, row.full_since, row.seen_at, row.changed
    )


def template_info(row: PathTemplate) -> TemplateInfo:
    return TemplateInfo(
        row.id, row.text, row.origin, row.forgotten, row.version, row.created_at, row.changed_at,
        row.changed_by,
    )  # fmt: skip
