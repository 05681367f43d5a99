"""Whose address was typed. A seller's host name shows that seller and the accounts below it,
nothing else; the platform's own names show everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID


@dataclass(frozen=True)
class Site:
    account_id: UUID | None = None
    """Whose brand has the host name; ``None``: the platform's own name."""
    path: str = ""
    """Begins the path of every account that can be seen here."""
    has_admin: bool = True
    """Whether the cloud administration is here."""

    def holds(self, path: str) -> bool:
        return path.startswith(self.path)


PLATFORM: Final = Site()
