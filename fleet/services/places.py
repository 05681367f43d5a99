from __future__ import annotations

from fleet.models import MAX_NAME
from qcloud.kernel.errors import Denied, Invalid
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Scope


def own_scope(actor: Actor) -> Scope:
    """The account that the actor acts for. Raises ``Denied`` where there is none."""
    if actor.scope is None:
        raise Denied("Choose the account that you act for.")
    return actor.scope


def printable_name(name: str) -> str:
    """Raises ``Invalid``."""
    if not 1 <= len(name.strip()) <= MAX_NAME or not name.isprintable():
        raise Invalid(
            "The name cannot be used.",
            fields={"name": f"Between 1 and {MAX_NAME} printable characters."},
        )
    return name.strip()
