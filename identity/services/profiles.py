"""What an account sets about itself, and those above it for it: name, time zone, networks."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from uuid import UUID

from audit.services import record
from identity.models import Account
from identity.selectors import AccountInfo, account_info
from identity.services.accounts import checked_names
from identity.services.places import acting, row_below
from qcloud.kernel.errors import Invalid, NotFound
from qcloud.kernel.permissions import Actor, Permission, require, require_fresh
from qcloud.kernel.scope import unscoped
from qcloud.kernel.settings.kinds import Network, Networks

_NETWORKS: Final = Networks()


def account_profile_set(*, actor: Actor, account_id: UUID, name: str, timezone: str) -> AccountInfo:
    """Rename the actor's own account or one below it, or give it another time zone.

    The short name stays: addresses hold it. So does the currency: invoices do. Raises
    ``Denied``, ``NotFound``, ``Invalid``.
    """
    require(actor, Permission.IDENTITY_ACCOUNT_WRITE)
    wanted = checked_names(name=name, timezone=timezone)
    with acting(actor):
        row = _row(actor, account_id)
        before = {key: getattr(row, key) for key in wanted}
        if before == wanted:
            return account_info(row)
        for key, text in wanted.items():
            setattr(row, key, text)
        _save(row, *wanted)
        _record(actor, row, "profile_set", before, wanted)
        return account_info(row)


def allow_list_set(*, actor: Actor, account_id: UUID, networks: str) -> AccountInfo:
    """Say from which networks an account's portal is entered; nothing: from everywhere.

    Holds for members and for whoever looks in from above, from their next request on. A list
    for the actor's own account must contain the address that the actor comes from. Raises
    ``Denied``, ``StepUpNeeded``, ``NotFound``, ``Invalid``.
    """
    require(actor, Permission.IDENTITY_ACCOUNT_WRITE)
    require_fresh(actor)
    wanted = _parsed(networks)
    with acting(actor):
        row = _row(actor, account_id)
        if actor.scope is not None and row.id == actor.scope.account_id:
            _refuse_lock_out(actor, wanted)
        before, row.allow_list = row.allow_list, _NETWORKS.show(wanted)
        if before != row.allow_list:
            _save(row, "allow_list")
            _record(
                actor,
                row,
                "allow_list_set",
                {"networks": before.split()},
                {"networks": row.allow_list.split()},
            )
        return account_info(row)


def _row(actor: Actor, account_id: UUID) -> Account:
    """Locked: the actor's own account, or one below it."""
    if actor.scope is None or actor.scope.account_id != account_id:
        return row_below(actor, account_id)
    row: Account | None = Account.objects.filter(id=account_id).first()
    if row is None:
        raise NotFound("There is no such account.")
    return row


def _save(row: Account, *fields: str) -> None:
    # The policies let nobody write their own account's row, where state and quotas are.
    with unscoped("an account's own name, time zone and networks"):
        row.save(update_fields=fields)


def _record(
    actor: Actor, row: Account, verb: str, before: dict[str, object], after: dict[str, object]
) -> None:
    record(
        actor=actor,
        action=f"identity.account.{verb}",
        object_kind="account",
        object_id=row.id,
        scope=account_info(row).scope,
        data={"before": before, "after": after},
    )


def _parsed(text: str) -> tuple[Network, ...]:
    try:
        return _NETWORKS.parse(text.replace("\0", ""))
    except ValueError as error:
        raise Invalid("The list was not changed.", fields={"networks": str(error)}) from error


def _refuse_lock_out(actor: Actor, wanted: tuple[Network, ...]) -> None:
    if not wanted or actor.kind == "system":
        return
    try:
        own = ip_address(actor.ip)
    except ValueError as error:
        raise Invalid(
            "The list was not changed: it cannot be told from where you come.",
            fields={"networks": "Set it from a connection whose address is known."},
        ) from error
    if not any(own in network for network in wanted):
        raise Invalid(
            f"This list would lock you out: it does not contain your own address, {actor.ip}.",
            fields={"networks": f"Add {actor.ip}, or set the list from one of its networks."},
        )
