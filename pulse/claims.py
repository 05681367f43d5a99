"""One order between taking events and erasing an account.

Whoever claims a load reads which accounts are erased, and leaves them out; whoever erases one
says so, and waits for the loads that were claimed before. Both are sound only if no claim that
has not seen the one's word stays unseen by the other.
"""

from __future__ import annotations

from typing import Final

from django.db import connection

_LOCK: Final = "SELECT pg_advisory_xact_lock{}(hashtextextended('pulse claims events', 0))"


def begin_claim() -> None:
    """Until this transaction ends no account begins to be erased. Claims do not wait for each
    other. Called before it is read which accounts are erased.
    """
    _lock("_shared")


def wait_for_claims() -> None:
    """Until this transaction ends nobody claims; all earlier claims are to be seen."""
    _lock("")


def _lock(mode: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_LOCK.format(mode))
