from __future__ import annotations

from uuid import UUID

from audit.services import record
from fleet.readers import address_of, read_object
from fleet.selectors import environment, object_store_of, object_store_secret
from fleet.services.places import own_scope
from fleet.signed import check_there, signed_address
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import scoped


def object_open(*, actor: Actor, environment_id: UUID, digest: str) -> bytes:
    """A payload from the customer's own store; that somebody opened it is in the journal.

    Raises ``Denied``, ``Invalid`` (no digest), ``NotFound`` (environment, store or object),
    ``ObjectDamaged``.
    """
    require(actor, Permission.PULSE_OBJECT_READ)
    with scoped(own_scope(actor)):
        place = environment(environment_id)
        store = object_store_of(environment_id)
        if store is None:
            raise NotFound(
                f"{place.name} has no object store, so no payloads were kept. Set one in the"
                " environment's settings.",
                code="fleet.object_store_missing",
            )
        data = read_object(store, digest)
        record(
            actor=actor,
            action="fleet.object.read",
            object_kind="object",
            object_id=digest,
            data={"environment_id": environment_id, "bytes": len(data)},
        )
    return data


def object_locate(*, actor: Actor, environment_id: UUID, digest: str) -> str:
    """Where the reader's own browser finds a payload: a link signed for two minutes when the
    platform has keys to the store, else by ``access_url``. That somebody asked is in the
    journal, the link is not. No byte of the payload passes the platform.

    Raises ``Denied``, ``Invalid`` (no digest), ``NotFound`` (environment, store, address or
    object), ``QCloudError`` (the store refuses the platform's keys).
    """
    require(actor, Permission.PULSE_OBJECT_READ)
    with scoped(own_scope(actor)):
        place = environment(environment_id)
        store = object_store_of(environment_id)
        secret = object_store_secret(environment_id)
    if store and secret:
        # Outside a transaction: it asks the customer's store.
        check_there(store, secret, digest)
    with scoped(own_scope(actor)):
        if store and secret:
            address = signed_address(store, secret, digest)
        else:
            address = address_of(store, digest) if store else ""
        if not address:
            raise NotFound(
                f"{place.name} has no access_url that a browser can open. Set one in the"
                " environment's settings, or open the payload by its request.",
                code="fleet.access_url_missing",
            )
        record(
            actor=actor,
            action="fleet.object.locate",
            object_kind="object",
            object_id=digest,
            data={"environment_id": environment_id, "signed": bool(secret)},
        )
    return address
