"""How long to wait before trying again."""

from __future__ import annotations

import random
from typing import Final

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 60.0


class Backoff:
    """Doubling, with full jitter: many agents must not come back in step."""

    def __init__(self, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def reset(self) -> None:
        self._next = self._first

    def delay(self, at_least: float | None = None) -> float:
        """Seconds; never below ``at_least``, which a server asked for."""
        ceiling = self._next
        self._next = min(self._next * 2, self._longest)
        jittered = random.uniform(ceiling / 2, ceiling)  # noqa: S311  spreads load, hides nothing
        return max(jittered, at_least or 0.0)
