"""Setting quotas, and making sure that nothing grows past one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from django.db import connection

from audit.services import record
from identity.errors import QuotaReached
from identity.models import Account
from identity.policies import LIMIT_PLATFORM
from identity.quotas import (
    HIGHEST,
    LABELS,
    Counter,
    Limit,
    Quota,
    count_everywhere,
    limits,
    sharing,
)
from identity.selectors import account_info
from identity.services.places import acting, row_below
from qcloud.kernel.errors import Invalid
from qcloud.kernel.permissions import Actor, Permission, require
from qcloud.kernel.scope import Scope, Tier
from qcloud.kernel.settings import value

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


def room_for(scope: Scope, quota: Quota, count: Counter, *, wanted: int = 1) -> None:
    """Raises ``QuotaReached`` unless ``wanted`` more fit into every limit on the account.

    To be called in the transaction that adds them: whoever adds to the same limit waits for
    its end, so two can never take the last place. Where nothing limits, nobody waits.
    """
    for limit in limits(scope, quota):
        with connection.cursor() as cursor:
            cursor.execute(_LOCK, [f"{quota}:{limit.holder_id}"])
        used = count(sharing(limit))
        if used + wanted > limit.limit:
            raise _reached(limit, used)


def room_on_platform() -> None:
    """Raises ``QuotaReached`` when the platform has as many accounts as its setting allows.

    As ``room_for``: who adds waits for whoever adds.
    """
    most = value(LIMIT_PLATFORM)
    if most is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, ["accounts:platform"])
    if count_everywhere() >= most:
        # How much a provider has is not its resellers' to know.
        raise QuotaReached(
            "There is no room for more accounts on this platform. The provider can make some,"
            " under Settings → Platform → Limits.",
            quota=Quota.ACCOUNTS,
            limit=0,
        )


def quotas_set(
    *, actor: Actor, account_id: UUID, quotas: Mapping[Quota, int | None]
) -> dict[str, int | None]:
    """Set quotas of an account below the actor's; ``None`` takes one away. Those left out stay.

    A quota below what is there already removes nothing: there is no room for more. Returns
    all quotas by name. Raises ``Denied``, ``NotFound`` (not below), ``Invalid``.
    """
    require(actor, Permission.IDENTITY_ACCOUNT_WRITE)
    with acting(actor):
        row = row_below(actor, account_id)
        _check(row, quotas)
        before = _present(row)
        for quota, most in quotas.items():
            setattr(row, f"quota_{quota}", most)
        after = _present(row)
        if after != before:
            row.save(update_fields=[f"quota_{quota}" for quota in Quota])
            record(
                actor=actor,
                action="identity.account.quotas_set",
                object_kind="account",
                object_id=row.id,
                scope=account_info(row).scope,
                data={"before": before, "after": after},
            )
    return after


def _present(row: Account) -> dict[str, int | None]:
    return {quota.value: getattr(row, f"quota_{quota}") for quota in Quota}


def _check(row: Account, quotas: Mapping[Quota, int | None]) -> None:
    wrong = {
        quota.value: f"A whole number up to {HIGHEST:,}, or nothing."
        for quota, most in quotas.items()
        if most is not None and not 0 <= most <= HIGHEST
    }
    if quotas.get(Quota.ACCOUNTS) is not None and row.tier != Tier.RESELLER:
        wrong[Quota.ACCOUNTS.value] = "Only resellers have customers."
    if wrong:
        raise Invalid("The quotas were not changed.", fields=wrong)


def _reached(limit: Limit, used: int) -> QuotaReached:
    what = LABELS[limit.quota].lower()
    if limit.is_own:
        message = (
            f"All {limit.limit:,} {what} that this account may have are in use ({used:,})."
            f" {limit.raised_by} can raise the quota; or remove some."
        )
    else:
        # How much a seller has and uses is not its customers' to know.
        message = (
            f"There is no room for more {what}: the quota of whoever manages your account is"
            " used up. Ask them; they can have it raised."
        )
    return QuotaReached(message, quota=limit.quota, limit=limit.limit if limit.is_own else 0)
