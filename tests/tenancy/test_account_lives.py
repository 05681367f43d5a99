"""Random lives of random trees: whatever owners try, each changes only what is strictly below
it (its own names and networks aside), states follow their rules, and a refusal changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from identity.models import Account, Brand
from identity.quotas import Quota
from identity.selectors import AccountInfo
from identity.services import (
    account_close,
    account_close_withdraw,
    account_create,
    account_profile_set,
    account_resume,
    account_suspend,
    allow_list_set,
    brand_set,
    quotas_set,
)
from identity.standing import standing_of
from qcloud.kernel.clock import now
from qcloud.kernel.errors import QCloudError
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Tier, scoped, unscoped
from tests.tenancy.test_trees import SETTINGS, TREES, forgotten, owner, plant

MOVES: Final = {
    "suspend": {("active", "suspended")},
    "resume": {("suspended", "active")},
    "close": {("active", "closing"), ("suspended", "closing")},
    "withdraw": {("closing", "active"), ("closing", "suspended")},
}
OWN: Final = frozenset({"rename", "networks"})
"""What an account may change of itself as well."""
NUMBERS: Final = st.integers(0, 1_000)
STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from([*MOVES, "create", "rename", "networks", "quota", "brand"]),
        NUMBERS, NUMBERS, NUMBERS,
    ),
    min_size=1,
    max_size=14,
)  # fmt: skip
"""What is done, by whose owner, to which account, and with which value."""


@pytest.mark.django_db
@SETTINGS
@given(TREES, STEPS)
def test_nobody_reaches_beyond_its_subtree_and_states_keep_their_rules(
    plan: list[tuple[Tier, int]], steps: list[tuple[str, int, int, int]]
) -> None:
    with forgotten():
        accounts = plant(plan).accounts
        for number, (verb, who, whom, pick) in enumerate(steps):
            boss, target = accounts[who % len(accounts)], accounts[whom % len(accounts)]
            before = rows()
            made = attempt(lambda a=(verb, boss, target, pick, number): do(*a))  # type: ignore[misc]
            after = rows()
            changed = {one for one in after if after[one] != before.get(one)}
            assert set(before) <= set(after)
            if made is None:
                assert after == before, (verb, boss.slug, target.slug)
                continue
            place = boss if verb == "brand" else target
            if verb == "create":
                (new,) = set(after) - set(before)
                assert changed == {new}
                assert new == made.id
                assert after[new]["parent_id"] == target.id
                accounts.append(made)
            else:
                assert changed <= {place.id}
            strictly_below = place.path.startswith(boss.path) and place.id != boss.id
            assert strictly_below or verb in OWN | {"brand", "create"}, (verb, boss, place)
            assert place.path.startswith(boss.path)
            check_state(verb, before[place.id], after[place.id])
            assert seen(boss) == {a.id for a in accounts if a.path.startswith(boss.path)}


def check_state(verb: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    if verb in MOVES:
        assert (before["state"], after["state"]) in MOVES[verb]
    else:
        assert after["state"] == before["state"]
    if verb == "withdraw":
        assert after["state"] == before["state_before"]
    assert (after["erase_at"] is not None) == (after["state"] == "closing")
    assert bool(after["state_before"]) == (after["state"] == "closing")


def do(verb: str, boss: AccountInfo, target: AccountInfo, pick: int, number: int) -> Any:
    actor = entering(boss)
    moves: dict[str, Callable[[], Any]] = {
        "suspend": lambda: account_suspend(actor=actor, account_id=target.id, reason="why"),
        "resume": lambda: account_resume(actor=actor, account_id=target.id),
        "close": lambda: account_close(actor=actor, account_id=target.id, reason="why"),
        "withdraw": lambda: account_close_withdraw(actor=actor, account_id=target.id),
        "rename": lambda: account_profile_set(
            actor=actor, account_id=target.id, name=f"Name {pick}", timezone="UTC"
        ),
        "networks": lambda: allow_list_set(
            actor=actor, account_id=target.id, networks=("", "192.0.2.0/24", "10.0.0.0/8")[pick % 3]
        ),
        "quota": lambda: quotas_set(
            actor=actor, account_id=target.id, quotas={Quota.STAFF: pick % 3 or None}
        ),
        "brand": lambda: brand_set(
            actor=actor, product=f"Brand {pick}", accent_light="", accent_dark="", sender="",
            host="",
        ),
        "create": lambda: account_create(
            actor=actor, tier=(Tier.CUSTOMER, Tier.RESELLER)[pick % 2], name=f"New {number}",
            slug=f"new-{number}", parent_id=target.id, currency="EUR", timezone="UTC",
        ),
    }  # fmt: skip
    return moves[verb]() or True


def entering(info: AccountInfo) -> Actor:
    """Its owner as a door would let it in now; nobody enters what is gone."""
    with unscoped("test"):
        standing = standing_of(Account.objects.get(id=info.id).account_path)
    return replace(
        owner(info),
        ip="192.0.2.7",
        proved_at=now(),
        suspended=standing.is_suspended,
        closing=standing.is_closing,
    )


def attempt(step: Callable[[], Any]) -> Any:
    """What came of it; ``None`` when it was refused, as a door rolls it back then."""
    try:
        with transaction.atomic():
            return step()
    except QCloudError:
        return None


def rows() -> dict[UUID, dict[str, Any]]:
    with unscoped("test"):
        return {row["id"]: row for row in Account.objects.values()}


def seen(info: AccountInfo) -> set[UUID]:
    with scoped(info.scope):
        brands = set(Brand.objects.values_list("account_id", flat=True))
        found = set(Account.objects.values_list("id", flat=True))
    assert brands <= found
    return found
