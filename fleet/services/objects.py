from __future__ import annotations

from uuid import UUID

from audit.services import record
from fleet.readers import read_object
from fleet.selectors import environment, object_store_of
from fleet.services.places import own_scope
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
