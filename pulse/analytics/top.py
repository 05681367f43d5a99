"""Rankings and inventories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pulse.analytics.covers import cover_for_ranks, manifest_for
from pulse.analytics.tiles.question import Question, question_of
from pulse.store import inventory, third_parties
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from pulse.store.inventory import ProcessRow
from pulse.store.rolled.cover import Manifest
from pulse.store.rolled.read import Ranked, ranks, ranks_from
from pulse.store.third_parties import VendorRow
from pulse.store.tops import DIMENSIONS, Group, tops
from qcloud.kernel.errors import Invalid
from qcloud.kernel.scope import Scope

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 1_000


@dataclass(frozen=True)
class TopRow:
    """One value of a dimension and its requests."""

    value: str
    requests: int
    errors: int
    """Answered with 4xx or 5xx."""
    p95_ms: float
    """Within 1.6 %."""


@dataclass(frozen=True)
class Ranking:
    """The largest groups. What stands behind them is ``None`` where it was not counted."""

    rows: tuple[TopRow, ...]
    other_values: int | None = None
    """Values that are not shown …"""
    other_requests: int | None = None
    """… and their requests."""


def top(
    scope: Scope,
    chosen: TrafficFilter,
    dimension: str,
    *,
    limit: int = DEFAULT_LIMIT,
    store: Store | None = None,
) -> list[TopRow]:
    """The largest groups by ``dimension`` (one of ``DIMENSIONS``), by requests.

    Raises ``Invalid`` for another dimension.
    """
    return top_many(scope, chosen, (dimension,), limit=limit, store=store)[dimension]


def top_many(
    scope: Scope,
    chosen: TrafficFilter,
    dimensions: tuple[str, ...],
    *,
    limit: int = DEFAULT_LIMIT,
    store: Store | None = None,
) -> dict[str, list[TopRow]]:
    """``top`` of several dimensions in one scan."""
    found = rankings(scope, chosen, dimensions, limit=limit, store=store)
    return {name: list(ranking.rows) for name, ranking in found.items()}


def rankings(
    scope: Scope,
    chosen: TrafficFilter,
    dimensions: tuple[str, ...],
    *,
    limit: int = DEFAULT_LIMIT,
    store: Store | None = None,
) -> dict[str, Ranking]:
    """``top_many``, and what is not shown. Raises ``Invalid`` for another dimension."""
    manifest = manifest_for(scope, chosen)
    question = question_of(scope, chosen, manifest, store=store)
    return prepared_rankings(
        scope, chosen, dimensions, manifest, limit=limit, store=store, question=question
    )


def prepared_rankings(
    scope: Scope,
    chosen: TrafficFilter,
    dimensions: tuple[str, ...],
    manifest: Manifest,
    *,
    limit: int = DEFAULT_LIMIT,
    store: Store | None = None,
    question: Question | None = None,
) -> dict[str, Ranking]:
    """``rankings`` with what is known of the rollups: it asks the event store alone."""
    for name in dimensions:
        if name not in DIMENSIONS:
            raise Invalid(f"{name!r} is not one of {', '.join(DIMENSIONS)}")
    most = min(limit, MAX_LIMIT)
    without = ranks_from(chosen, dimensions)
    if without is None:
        plain = tops(scope, chosen, dimensions, most, store=store)
        return {name: Ranking(tuple(map(top_row, groups))) for name, groups in plain.items()}
    ranked: Mapping[str, Ranked] | None = question.ranks(dimensions, most) if question else None
    if ranked is None:
        found = cover_for_ranks(chosen, manifest, without)
        ranked = ranks(scope, chosen, dimensions, most, found, store=store)
    return rankings_of(ranked)


def rankings_of(ranked: Mapping[str, Ranked]) -> dict[str, Ranking]:
    return {
        name: Ranking(tuple(map(top_row, one.groups)), one.other_values, one.other_requests)
        for name, one in ranked.items()
    }


def vendors(scope: Scope, chosen: TrafficFilter, *, store: Store | None = None) -> list[VendorRow]:
    """Third parties that were called, by requests; at most 2,000."""
    return third_parties.vendors(scope, chosen, store=store)


def processes(
    scope: Scope, chosen: TrafficFilter, *, store: Store | None = None
) -> list[ProcessRow]:
    """Executables that spoke HTTP, by requests; at most 500."""
    return inventory.processes(scope, chosen, store=store)


def top_row(group: Group) -> TopRow:
    return TopRow(group.value, group.requests, group.errors, group.p95_us / 1_000)
