"""Which rows of a tile a filter takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pulse.analytics.tiles.columns import Array, Cells, Pairs, Requests, Values
from pulse.analytics.tiles.strings import Strings
from pulse.store.filters import TrafficFilter
from pulse.store.rolled.read import narrowed


@dataclass(frozen=True)
class Choice:
    """A filter in the numbers of an account's texts."""

    given: Mapping[str, int]
    """By kind."""
    environments: Array | None
    """``None``: all."""

    @property
    def kind(self) -> str:
        """The one kind that is given; ``total`` for none."""
        return next(iter(self.given), "total")

    def mask(self, rows: Cells | Requests) -> Array:
        """Of each row whether the filter takes it."""
        taken = np.ones(len(rows.environments), bool)
        for kind, number in self.given.items():
            taken &= rows.dimensions[kind] == number
        if self.environments is not None:
            taken &= np.isin(rows.environments, self.environments)
        return taken

    def rows(self, table: Values | Pairs, within: slice) -> slice | Array:
        """The rows of a slice that are of the environments."""
        if self.environments is None:
            return within
        inside: Array = np.flatnonzero(np.isin(table.environments[within], self.environments))
        return inside + int(within.start)


def choice_of(chosen: TrafficFilter, strings: Strings) -> Choice:
    """Of a filter that rollups know."""
    given = {kind: strings.number(value) for kind, value in (narrowed(chosen) or {}).items()}
    environments = None
    if chosen.environments:
        numbers = [strings.number(str(environment)) for environment in chosen.environments]
        environments = np.array(numbers, np.int64)
    return Choice(given, environments)
