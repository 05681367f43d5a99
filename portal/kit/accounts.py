"""Names of accounts for lists: some to choose among, and those of the rows that are shown.

Never of all accounts: a provider has ten thousand.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from uuid import UUID

from identity.directory import accounts_named, accounts_page
from portal.here import Here

MOST: Final = 200
"""Options that a filter offers; the address takes any account's id."""


def first_names(here: Here, picked: str = "") -> dict[UUID, str]:
    """The reader's own account, the one that is picked, and the first ones below by name."""
    found = accounts_page(here.scope, sort="name", limit=MOST)
    names = {here.account.id: here.account.name}
    names |= {line.info.id: line.info.name for line in found.lines}
    with suppress(ValueError):  # nothing is picked, or the filter refuses it itself
        learn(here, names, [UUID(picked)])
    return names


def learn(here: Here, names: dict[UUID, str], ids: Iterable[UUID]) -> None:
    """Add the names of those that are not known yet, as far as the reader may see them."""
    missing = set(ids) - names.keys()
    if missing:
        names |= accounts_named(here.scope, missing)
