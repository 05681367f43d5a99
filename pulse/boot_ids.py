"""Boot ids by their time. Nothing here needs a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

LEAST_DAYS: Final = 30
"""Of the ledger's horizon, so that boots of the last weeks can be let through unasked."""
_BELOW_TIME: Final = 80
"""Bits of a UUIDv7 after its 48 of milliseconds (RFC 9562, 5.7)."""


def first_boot_at(moment: datetime) -> UUID:
    """All boots since that moment sort at or after this id."""
    return UUID(int=int(moment.timestamp() * 1_000) << _BELOW_TIME)


EPOCH: Final = first_boot_at(datetime(2025, 1, 1, tzinfo=UTC))
"""A clock that says less is not set at all."""


def is_below(boot: UUID, floor: UUID | None) -> bool:
    """Whether that boot, if the ledger does not know it, may have been removed from it."""
    return floor is not None and EPOCH <= boot <= floor


def may_be_forgotten(boot: UUID, moment: datetime) -> bool:
    """Whether any agent's floor can be above it at that moment: worth a look."""
    return EPOCH <= boot < first_boot_at(moment - timedelta(days=LEAST_DAYS))
