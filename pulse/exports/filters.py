"""A filter as it is stored with an export, and whose environments it may show."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pulse.store.filters import TrafficFilter
from qcloud.kernel.scope import Scope


def stored(chosen: TrafficFilter) -> dict[str, Any]:
    """What is not given is left out."""
    plain = TrafficFilter(chosen.since, chosen.until)
    given = {k: v for k, v in asdict(chosen).items() if v != getattr(plain, k)}
    return {
        **given,
        "since": chosen.since.isoformat(),
        "until": chosen.until.isoformat(),
        **({"environments": [str(e) for e in chosen.environments]} if chosen.environments else {}),
    }


def restored(document: dict[str, Any]) -> TrafficFilter:
    return TrafficFilter(
        **{
            **document,
            "since": datetime.fromisoformat(document["since"]),
            "until": datetime.fromisoformat(document["until"]),
            "environments": tuple(UUID(e) for e in document.get("environments", ())),
        }
    )


def environments_of(scope: Scope, chosen: TrafficFilter) -> list[str] | None:
    """The environments that may be in the file; ``None``: all of the account."""
    if not chosen.environments and scope.environments is None:
        return None
    wanted = frozenset(chosen.environments) or scope.environments or frozenset()
    if scope.environments is not None:
        wanted &= scope.environments
    return sorted(map(str, wanted))


def limited(scope: Scope, environments: list[str] | None) -> Scope:
    """The account's scope as whoever asked had it, whatever the role is by now."""
    if environments is None:
        return replace(scope, environments=None)
    return replace(scope, environments=frozenset(map(UUID, environments)))


def may_see(scope: Scope, environments: list[str] | None) -> bool:
    """Who is limited sees files of those environments alone."""
    if scope.environments is None:
        return True
    return environments is not None and set(environments) <= {str(e) for e in scope.environments}
