"""Single requests: pages of them with a cursor, and one of them whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pulse.store import requests as store_requests
from pulse.store.client import Store
from pulse.store.filters import TrafficFilter
from pulse.store.requests import Order, Place, RequestDetail, RequestRow
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.scope import Scope

PAGE_SIZE: Final = 50
NEWEST_FIRST: Final = Order()
_LARGEST: Final = 2**63


@dataclass(frozen=True)
class RequestPage:
    """Requests in the order that was asked for."""

    rows: tuple[RequestRow, ...]
    next_cursor: str | None
    """For the page behind this one; ``None``: this is the last."""


def search_requests(
    scope: Scope,
    chosen: TrafficFilter,
    cursor: str | None = None,
    *,
    order: Order = NEWEST_FIRST,
    limit: int = PAGE_SIZE,
    store: Store | None = None,
) -> RequestPage:
    """A page of the requests that match, from behind the cursor on, the newest first.

    Equal values are ordered by time and id, so that new requests do not move the pages. Raises
    ``Invalid`` for a cursor that is not one of ours.
    """
    after = _parse(cursor) if cursor else None
    rows = store_requests.in_order(scope, chosen, limit + 1, order, after, store=store)
    shown = rows[:limit]
    more = len(rows) > limit
    return RequestPage(tuple(shown), _cursor(order, shown[-1]) if more else None)


def request_detail(scope: Scope, request_id: UUID, *, store: Store | None = None) -> RequestDetail:
    """One request of the account. Raises ``NotFound``."""
    found = store_requests.one(scope, request_id, store=store)
    if found is None:
        raise NotFound("There is no such request in this account.")
    return found


def _cursor(order: Order, row: RequestRow) -> str:
    value, at, request_id = order.place_of(row)
    return f"{value:x}.{at:x}.{request_id.hex}"


def _parse(cursor: str) -> Place:
    value, _, rest = cursor.partition(".")
    at, _, request_id = rest.partition(".")
    try:
        found = int(value, 16), int(at, 16), UUID(hex=request_id)
    except ValueError:
        raise Invalid("The page's address is damaged; go back to the first page.") from None
    if not all(0 <= number < _LARGEST for number in found[:2]):
        raise Invalid("The page's address is damaged; go back to the first page.")
    return found
