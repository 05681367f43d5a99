"""One bound of memory that all connections share."""

from __future__ import annotations

from typing import Final

MIB: Final = 1024 * 1024


class Budget:
    """Bytes that the agent may hold of other people's traffic.

    Not a lock: all callers live on the capture thread.
    """

    __slots__ = ("held", "limit", "refused")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.refused = 0

    def take(self, size: int) -> bool:
        """``size`` bytes more, or ``False`` and one more on ``refused``."""
        if self.held + size > self.limit:
            self.refused += 1
            return False
        self.held += size
        return True

    def give(self, size: int) -> None:
        """What ``take`` granted, back."""
        self.held -= size
