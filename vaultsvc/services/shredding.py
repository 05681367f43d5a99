"""Crypto-shredding: what an account's keys sealed becomes noise, in backups as well."""

from __future__ import annotations

from uuid import UUID

from audit.services import record
from qcloud.kernel import outbox
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import Actor, Permission, require, require_fresh
from qcloud.kernel.scope import Scope, Tier, unscoped
from vaultsvc.backends import backend
from vaultsvc.errors import provider_not_shredded, wrong_confirmation
from vaultsvc.keys import held, lock_owner
from vaultsvc.models import DataKey, ShreddedOwner, State


def account_shred(*, actor: Actor, scope: Scope, slug: str, confirmation: str) -> None:
    """Destroy every key of the account ``scope``; nothing brings them back.

    Nothing is sealed for it again from the moment that this is written down; the keeper's key
    goes next, then the wrapped data keys. Invoices are under the seller's key and stay. Other
    processes forget what they hold within ``KEY_CACHE_SECONDS``. Safe to repeat, and to be
    repeated after an error. Raises ``Denied``, ``StepUpNeeded``, ``NotFound``, ``Invalid``
    (``confirmation`` is not the slug, or it is the provider), ``SealerUnavailable``.
    """
    require(actor, Permission.VAULTSVC_KEY_SHRED)
    require_fresh(actor)
    if actor.scope is not None and not actor.scope.covers(scope.path):
        raise NotFound("There is no such account, or it is not below yours.")
    if scope.tier is Tier.CLOUD:
        raise provider_not_shredded()
    if confirmation.strip() != slug:
        raise wrong_confirmation(slug)
    owner = scope.account_id
    _bury(actor, scope, slug)
    backend().destroy(owner)
    _empty_rows(owner)
    held.forget(owner)


def _bury(actor: Actor, scope: Scope, slug: str) -> None:
    owner = scope.account_id
    with unscoped("vaultsvc: shredding an account below the actor's"):
        lock_owner(owner)
        _, first = ShreddedOwner.objects.get_or_create(
            owner=owner, defaults={"slug": slug, "shredded_by": actor.label}
        )
        record(
            actor=actor,
            action="vaultsvc.key.shred",
            object_kind="account",
            object_id=owner,
            scope=scope,
            data={"slug": slug, "again": not first},
        )
        outbox.publish("vaultsvc.account.shredded", {"slug": slug}, account_id=owner)


def _empty_rows(owner: UUID) -> None:
    with unscoped("vaultsvc: shredding an account below the actor's"):
        DataKey.objects.filter(owner=owner).update(state=State.DESTROYED, wrapped=b"")
