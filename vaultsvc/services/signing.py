"""New keys for what the platform signs; whoever verifies keeps the public keys before."""

from __future__ import annotations

from audit.services import record
from qcloud.kernel.errors import NotFound
from qcloud.kernel.permissions import Actor, Permission, require, require_fresh
from qcloud.kernel.scope import unscoped
from vaultsvc.backends import backend


def signing_key_rotate(*, actor: Actor, purpose: str) -> str:
    """Sign with a new key from now on; its id. Signatures made before verify as ever.

    Raises ``Denied``, ``StepUpNeeded``, ``NotFound`` (nothing was signed for the purpose yet),
    ``SealerUnavailable``.
    """
    require(actor, Permission.VAULTSVC_KEY_ROTATE)
    require_fresh(actor)
    keeper = backend()
    before = list(keeper.public_keys(purpose))
    if not before:
        raise NotFound(
            f"Nothing was signed for “{purpose[:40]}” yet, so there is no key to rotate."
        )
    key_id = keeper.rotate_signing(purpose)
    with unscoped("vaultsvc: signing keys belong to the platform"):
        record(
            actor=actor,
            action="vaultsvc.signing.rotate",
            object_kind="signing_key",
            object_id=key_id,
            data={"purpose": purpose, "before": before[-1]},
        )
    return key_id
