"""How an account is suspended, resumed, closed and opened again.

```
active ⇄ suspended        read-only; agents' data is still taken and counted
   └────────┴──▶ closing  read-only until a date; can be withdrawn
                    └──▶ erasing ──▶ closed      no way back
```
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from audit.services import record
from identity.brands import mail_brand
from identity.models import Account, AccountState, Membership
from identity.policies import CLOSING_GRACE
from identity.selectors import AccountInfo, account_info
from identity.services.places import acting, row_below
from notify.portal import portal_address
from notify.services import mail_send
from qcloud.kernel import outbox
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid
from qcloud.kernel.permissions import Actor, Permission, RoleName, require, require_fresh
from qcloud.kernel.scope import Tier, unscoped
from qcloud.kernel.settings import value

CLOSING: Final = "identity.account.closing"
"""Topic: the account is closing; ``erase_at`` in the payload."""
WITHDRAWN: Final = "identity.account.close_withdrawn"

_OPEN: Final = frozenset({AccountState.ACTIVE, AccountState.SUSPENDED})


def account_suspend(*, actor: Actor, account_id: UUID, reason: str) -> AccountInfo:
    """Make an account read-only for its staff. Its agents' data is still taken and counted.

    The accounts below a reseller are read-only with it, whatever their own state, until it
    is resumed. Raises ``Denied``, ``NotFound`` (not below the actor's account), ``Conflict``
    (not active), ``Invalid`` (no reason given).
    """
    require(actor, Permission.IDENTITY_ACCOUNT_SUSPEND)
    why = _reason(reason, "Say why the account is suspended; its staff will ask.")
    with acting(actor):
        row = row_below(actor, account_id)
        _expect(row, AccountState.ACTIVE)
        return _change_state(actor, row, AccountState.SUSPENDED, "suspend", why)


def account_resume(*, actor: Actor, account_id: UUID) -> AccountInfo:
    """Undo ``account_suspend``. Raises ``Denied`` (also if somebody above the actor's account
    suspended it), ``NotFound``, ``Conflict`` (not suspended).
    """
    require(actor, Permission.IDENTITY_ACCOUNT_SUSPEND)
    with acting(actor):
        row = row_below(actor, account_id)
        _expect(row, AccountState.SUSPENDED)
        _require_undo(actor, row, "suspended")
        return _change_state(actor, row, AccountState.ACTIVE, "resume", "")


def account_close(*, actor: Actor, account_id: UUID, reason: str) -> AccountInfo:
    """Begin the end of an account: read-only at once, erased after the grace period.

    A reseller is closed when all of its customers are. Raises ``Denied``, ``StepUpNeeded``,
    ``NotFound``, ``Conflict`` (not open, or with open accounts below), ``Invalid``.
    """
    require(actor, Permission.IDENTITY_ACCOUNT_CLOSE)
    require_fresh(actor)
    why = _reason(reason, "Say why the account is closed; its owners will ask.")
    with acting(actor):
        row = row_below(actor, account_id)
        if row.state not in _OPEN:
            raise Conflict(f"{row.name} is {row.state} already.")
        _refuse_with_customers(row)
        row.state_before = row.state
        row.erase_at = now() + value(CLOSING_GRACE)
        info = _change_state(actor, row, AccountState.CLOSING, "close", why)
        outbox.publish(CLOSING, {"erase_at": row.erase_at.isoformat()}, account_id=row.id)
        _tell_owners(row, f"{row.name} is closed", _closing_lines(row, why))
    return info


def account_close_withdraw(*, actor: Actor, account_id: UUID) -> AccountInfo:
    """Take ``account_close`` back: the account is again what it was before.

    Possible until the erasure begins. Raises ``Denied`` (also if somebody above the actor's
    account closed it), ``NotFound``, ``Conflict`` (not closing, or below an account that is).
    """
    require(actor, Permission.IDENTITY_ACCOUNT_CLOSE)
    with acting(actor):
        row = row_below(actor, account_id)
        _expect(row, AccountState.CLOSING)
        _require_undo(actor, row, "closed")
        _refuse_below_closing(row)
        back, row.state_before, row.erase_at = AccountState(row.state_before), "", None
        info = _change_state(actor, row, back, "close_withdraw", "")
        outbox.publish(WITHDRAWN, {}, account_id=row.id)
        _tell_owners(row, f"{row.name} is open again", ["The closing was withdrawn."])
    return info


def _change_state(
    actor: Actor, row: Account, after: AccountState, verb: str, reason: str
) -> AccountInfo:
    before, row.state = row.state, after
    row.state_since, row.state_by, row.state_reason = now(), actor.label[:254], reason
    row.held_by_path = "" if after == AccountState.ACTIVE else _holder(actor, row)
    row.save(
        update_fields=[
            "state", "state_since", "state_by", "state_reason", "state_before", "erase_at",
            "held_by_path",
        ]
    )  # fmt: skip
    info = account_info(row)
    record(
        actor=actor,
        action=f"identity.account.{verb}",
        object_kind="account",
        object_id=row.id,
        reason=reason,
        scope=info.scope,
        data={"before": before, "after": after}
        | ({"erase_at": row.erase_at.isoformat()} if row.erase_at else {}),
    )
    return info


def _holder(actor: Actor, row: Account) -> str:
    known = [path for path in (row.held_by_path, actor.scope.path if actor.scope else "") if path]
    return min(known, key=len, default="")


def _require_undo(actor: Actor, row: Account, done: str) -> None:
    """Raises ``Denied`` for what somebody above the actor did."""
    if actor.scope is None or not row.held_by_path or actor.scope.covers(row.held_by_path):
        return
    raise Denied(
        f"{row.name} was {done} by the provider, who alone can undo that. Ask its staff.",
        code="identity.held_above",
    )


def _refuse_below_closing(row: Account) -> None:
    """An open account below one that is on its way out would keep it there for ever."""
    above = Account.objects.filter(id=row.parent_id).exclude(state__in=_OPEN).first()
    if above is not None:
        raise Conflict(f"{above.name} is {above.state}: withdraw that first.")


def _closing_lines(row: Account, why: str) -> list[str]:
    until = f"{row.erase_at:%d %B %Y, %H:%M} UTC"
    return [
        f"Reason: {why}",
        f"Until {until} everything can be read and taken along, and the closing can be withdrawn.",
        "After that it is erased for good.",
    ]


def _tell_owners(row: Account, heading: str, lines: list[str]) -> None:
    with unscoped("lifecycle: the owners of an account below are told"):
        owners = Membership.objects.filter(account_id=row.id, role=RoleName.OWNER)
        addresses = list(owners.values_list("user__email", flat=True))
        for address in addresses:
            mail_send(
                account_id=row.id,
                to=address,
                template="notice",
                context={"heading": heading, "lines": lines, "link": _export_page(row)},
                key=f"lifecycle:{row.state}:{row.state_since:%Y%m%d%H%M%S%f}:{address}"[:200],
                brand=mail_brand(row.account_path),
            )


def _export_page(row: Account) -> str:
    """Where a closing account takes its data along; empty for one that is open."""
    base = portal_address() if row.state == AccountState.CLOSING else ""
    portal = "c" if row.tier == Tier.CUSTOMER else "r"
    return f"{base}/{portal}/{row.slug}/settings/export" if base else ""


def _expect(row: Account, state: AccountState) -> None:
    if row.state != state:
        raise Conflict(f"{row.name} is {row.state}; only an account that is {state} can.")


def _refuse_with_customers(row: Account) -> None:
    below = Account.objects.filter(account_path__startswith=row.account_path).exclude(id=row.id)
    left = below.filter(state__in=_OPEN).count()
    if left:
        raise Conflict(
            f"{row.name} has {left} open {'account' if left == 1 else 'accounts'} below it."
            " Close these first, then this one."
        )


def _reason(text: str, missing: str) -> str:
    written = text.replace("\0", "").strip()
    if not written:
        raise Invalid(missing, fields={"reason": "A sentence."})
    return written[:500]
