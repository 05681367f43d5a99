"""The quarters that a load touches, in few spans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

from pulse.store.rolled.kinds import QUARTER
from pulse.tables.rollups import TouchedSpan

MAX_SPANS: Final = 64
"""Of one account in one load. Clocks gone wild could touch every quarter since 2000; then the
nearest spans are noted as one, and quarters between them are counted again for nothing."""
_LENGTH: Final = timedelta(seconds=QUARTER)

TimeSpan = tuple[datetime, datetime]


def touch(load_id: UUID, quarters: Mapping[UUID, Iterable[datetime]]) -> None:
    """Note for each account the quarters in which the load has requests.

    In the caller's transaction and system mode, before any of them can be seen: whoever reads
    a rollup then knows that it may be old.
    """
    TouchedSpan.objects.bulk_create(
        [
            TouchedSpan(account_id=account_id, load_id=load_id, since=since, until=until)
            for account_id, starts in quarters.items()
            for since, until in spans_of(starts)
        ],
        batch_size=1_000,
    )


def spans_of(quarters: Iterable[datetime]) -> list[TimeSpan]:
    """Half-open spans that cover the quarters that begin at these times; sorted, at most
    ``MAX_SPANS``.
    """
    spans: list[TimeSpan] = []
    for start in sorted(quarters):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], start + _LENGTH))
        else:
            spans.append((start, start + _LENGTH))
    if len(spans) <= MAX_SPANS:
        return spans
    widths = [following[0] - one[1] for one, following in pairwise(spans)]
    kept = set(sorted(range(len(widths)), key=widths.__getitem__)[-(MAX_SPANS - 1) :])
    found = [spans[0]]
    for place, span in enumerate(spans[1:]):
        if place in kept:
            found.append(span)
        else:
            found[-1] = (found[-1][0], span[1])
    return found
