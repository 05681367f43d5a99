"""The name of a run, later than the names of all runs that left something in the spool."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

_BELOW_TIME: Final = 80
"""Bits of a UUIDv7 after its 48 of milliseconds (RFC 9562, 5.7)."""


def new_boot(spool: Path) -> UUID:
    """UUIDv7. Its time is the clock's, unless that says less than a former run's did: a node
    whose clock is not set at start would else deliver its runs in the wrong order.
    """
    boot = uuid7()
    latest = max(filter(None, map(_boot_of, _names(spool))), default=boot)
    if boot >= latest:
        return boot
    milliseconds = (latest.int >> _BELOW_TIME) + 1
    return UUID(int=milliseconds << _BELOW_TIME | boot.int & ((1 << _BELOW_TIME) - 1))


def _names(spool: Path) -> list[str]:
    try:
        return [path.name for path in spool.iterdir()]
    except OSError:
        return []


def _boot_of(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
