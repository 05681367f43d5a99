"""A list's filter under a name of one's own, in one account."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from audit.services import record
from identity.access import clean
from identity.models import SavedView
from identity.selectors import SAVED_PAGES
from qcloud.kernel.errors import Conflict, Invalid, NotFound
from qcloud.kernel.permissions import Actor, require
from qcloud.kernel.scope import scoped

MOST: Final = 30


def view_save(*, actor: Actor, page: str, name: str, query: str) -> UUID:
    """Keep ``query``, a page's parameters, under ``name``; the same name is written over.

    Raises ``Denied`` (the page itself is not the actor's to see), ``Invalid``, ``Conflict``.
    """
    words = clean(name.strip(), 60)
    if page not in SAVED_PAGES or actor.scope is None or actor.id is None:
        raise NotFound("This list keeps no views.")
    require(actor, SAVED_PAGES[page])
    if not words or not words.isprintable():
        raise Invalid("Give the view a name.", fields={"name": "Between 1 and 60 characters."})
    if len(query) > 1_000:
        raise Invalid("This filter is too long to be kept.")
    with scoped(actor.scope):
        mine = SavedView.objects.filter(user_id=actor.id, page=page)
        if mine.exclude(name=words).count() >= MOST:
            raise Conflict(f"At most {MOST} views fit. Delete one first.")
        row = mine.filter(name=words).first() or SavedView(
            account_id=actor.scope.account_id, user_id=actor.id, page=page, name=words
        )
        row.query = clean(query, 1_000)
        row.save()
        _note(actor, "save", row)
        return row.id


def view_delete(*, actor: Actor, view_id: UUID) -> None:
    """Raises ``NotFound`` for a view that is not the actor's."""
    if actor.scope is None:
        raise NotFound("There is no such view (any more).")
    with scoped(actor.scope):
        row = SavedView.objects.filter(id=view_id, user_id=actor.id).first()
        if row is None:
            raise NotFound("There is no such view (any more).")
        require(actor, SAVED_PAGES[row.page])
        _note(actor, "delete", row)
        row.delete()


def _note(actor: Actor, what: str, row: SavedView) -> None:
    record(
        actor=actor,
        action=f"identity.view.{what}",
        object_kind="view",
        object_id=row.id,
        data={"page": row.page, "name": row.name},
    )
