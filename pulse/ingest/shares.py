"""Room for bodies: so many at once, and of these only so many for one account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID


@dataclass
class _Share:
    room: asyncio.Semaphore
    users: int = 0


class Shares:
    """Whoever sends slowly fills its own account's share and nobody else's.

    For one event loop.
    """

    def __init__(self, total: int, share: int) -> None:
        self._room = asyncio.Semaphore(total)
        self._share = share
        self._accounts: dict[UUID, _Share] = {}

    @asynccontextmanager
    async def taken(self, account_id: UUID) -> AsyncIterator[None]:
        """A place, waited for: in the account's share first, holding nothing of the others'."""
        mine = self._accounts.setdefault(account_id, _Share(asyncio.Semaphore(self._share)))
        mine.users += 1
        try:
            async with mine.room, self._room:
                yield
        finally:
            mine.users -= 1
            if not mine.users:
                del self._accounts[account_id]

    def __len__(self) -> int:
        """Accounts that have, or wait for, a place."""
        return len(self._accounts)
