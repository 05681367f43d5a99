"""What an account takes with it of this room: its journal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from audit.selectors import MAX_PAGE, EntryFilter, EntryInfo, entries
from qcloud.kernel.scope import Scope
from qcloud.kernel.takeout import File, offer, table

_HEADS: Final = (
    "at", "actor_kind", "actor_label", "on_behalf_of", "action", "object_kind", "object_id",
    "outcome", "reason", "ip", "request_id", "data",
)  # fmt: skip


def register() -> None:
    offer("Audit log", _files, order=60)


def _files(scope: Scope) -> Iterator[File]:
    yield table("audit-log.csv", _HEADS, _entries(scope))


def _entries(scope: Scope) -> Iterator[EntryInfo]:
    cursor: str | None = None
    while True:
        page = entries(scope, EntryFilter(account_id=scope.account_id), cursor, MAX_PAGE)
        yield from page.entries
        if (cursor := page.next_cursor) is None:
            return
