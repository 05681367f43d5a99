"""Rankings and inventories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pulse.store import inventory
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from pulse.store.inventory import ProcessRow, VendorRow
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
    """Within 1 %."""


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
    for name in dimensions:
        if name not in DIMENSIONS:
            raise Invalid(f"{name!r} is not one of {', '.join(DIMENSIONS)}")
    found = tops(scope, chosen, dimensions, min(limit, MAX_LIMIT), store=store)
    return {name: [top_row(group) for group in groups] for name, groups in found.items()}


def vendors(scope: Scope, chosen: TrafficFilter, *, store: Store | None = None) -> list[VendorRow]:
    """Third parties that were called, by requests; at most 500."""
    return inventory.vendors(scope, chosen, store=store)


def processes(
    scope: Scope, chosen: TrafficFilter, *, store: Store | None = None
) -> list[ProcessRow]:
    """Executables that spoke HTTP, by requests; at most 500."""
    return inventory.processes(scope, chosen, store=store)


def top_row(group: Group) -> TopRow:
    return TopRow(group.value, group.requests, group.errors, group.p95_us / 1_000)
