"""Browsers that a person signed in with before, known by a cookie."""

from __future__ import annotations

import hashlib
import secrets

from identity.models import KnownDevice, User
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped


def is_known(user: User | None, token: str) -> bool:
    """Whether the person came in with this browser before. Asks the same for nobody."""
    with unscoped("sign-in: browsers that a person used before"):
        found: bool = KnownDevice.objects.filter(
            user_id=user.id if user else None, token_hash=_hash(token)
        ).exists()
    return found and bool(token)


def remember(user: User, token: str) -> tuple[str, bool]:
    """The token that the browser shall keep, and whether it is the first time it is seen with
    this person although the person came in with another one before.
    """
    with unscoped("sign-in: browsers that a person used before"):
        mine = KnownDevice.objects.filter(user=user)
        if token and mine.filter(token_hash=_hash(token)).update(last_seen=now()):
            return token, False
        has_others = mine.exists()
        # A cookie that somebody else's browser may have planted is not taken over.
        fresh = secrets.token_urlsafe(24)
        KnownDevice.objects.create(user=user, token_hash=_hash(fresh))
    return fresh, has_others


def forget(user: User) -> None:
    with unscoped("sign-in: browsers that a person used before"):
        KnownDevice.objects.filter(user=user).delete()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
