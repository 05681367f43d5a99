"""When the first certificate expires, minute by minute, of what servers showed lately."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from heapq import heappop, heappush

from pulse.store.certificates import KEPT, CertificateLook


def first_expiries(
    minutes: Iterable[datetime], looks: Sequence[CertificateLook]
) -> Iterator[tuple[datetime, datetime | None]]:
    """For each minute the first expiry; ``None`` where nothing was looked at in ``KEPT`` before.

    Both are in order of time. What a node saw of a server last is what counts, for ``KEPT``.
    """
    latest: dict[int, CertificateLook] = {}
    heap: list[tuple[datetime, datetime, int]] = []
    place = 0
    for at in minutes:
        while place < len(looks) and looks[place].seen <= at:
            look = looks[place]
            latest[look.of] = look
            heappush(heap, (look.not_after, look.seen, look.of))
            place += 1
        while heap and (latest[heap[0][2]].seen != heap[0][1] or heap[0][1] <= at - KEPT):
            heappop(heap)
        yield at, heap[0][0] if heap else None
