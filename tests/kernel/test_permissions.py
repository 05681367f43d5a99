"""The permission list and what each tier and role can hold."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from qcloud.kernel.errors import Denied
from qcloud.kernel.permissions import (
    ROLES,
    TIER_PERMISSIONS,
    Actor,
    Permission,
    RoleName,
    missing,
    require,
)
from qcloud.kernel.scope import Tier

VIEWER = Actor(
    "staff", None, "v@example", None, ROLES[Tier.CUSTOMER][RoleName.VIEWER], role="viewer"
)


def test_the_list_is_sorted_and_well_formed() -> None:
    values = [permission.value for permission in Permission]
    assert values == sorted(values)
    assert all(re.fullmatch(r"[a-z]+:[a-z]+:[a-z]+", value) for value in values)
    assert all(p.name == p.value.upper().replace(":", "_") for p in Permission)


def test_nobody_above_a_customer_can_hold_its_traffic_or_payloads() -> None:
    traffic = {
        Permission.PULSE_OBJECT_READ,
        Permission.PULSE_REQUEST_READ,
        Permission.PULSE_TRAFFIC_READ,
        Permission.PULSE_VENDOR_READ,
    }
    assert not traffic & TIER_PERMISSIONS[Tier.RESELLER]
    assert not traffic & TIER_PERMISSIONS[Tier.CLOUD]
    assert traffic <= ROLES[Tier.CUSTOMER][RoleName.OWNER]


@pytest.mark.parametrize("tier", Tier)
def test_an_owner_has_all_that_the_tier_can_have(tier: Tier) -> None:
    assert ROLES[tier][RoleName.OWNER] == TIER_PERMISSIONS[tier]


@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("role", [RoleName.VIEWER, RoleName.SUPPORT])
def test_readers_change_nothing(tier: Tier, role: RoleName) -> None:
    looking_on = {Permission.IDENTITY_DELEGATION_START} if role is RoleName.SUPPORT else set()
    granted = ROLES[tier][role] - looking_on
    assert all(permission.endswith(":read") for permission in granted)


def test_require_passes_in_silence_or_says_no_with_a_reason() -> None:
    require(VIEWER, Permission.PULSE_TRAFFIC_READ)
    with pytest.raises(Denied) as caught:
        require(VIEWER, Permission.FLEET_TOKEN_CREATE)
    assert caught.value.http_status == 403
    assert caught.value.message == (
        "Your role “viewer” does not include “fleet:token:create”."
        " An owner or administrator of the account can grant it."
    )


def test_a_suspended_account_reads_and_changes_nothing() -> None:
    owner = replace(VIEWER, permissions=frozenset(Permission), suspended=True)
    require(owner, Permission.PULSE_TRAFFIC_READ)
    with pytest.raises(Denied, match="suspended"):
        require(owner, Permission.FLEET_TOKEN_CREATE)


def test_missing_names_what_cannot_be_granted() -> None:
    wanted = {Permission.PULSE_TRAFFIC_READ, Permission.FLEET_TOKEN_CREATE}
    assert missing(VIEWER, wanted) == {Permission.FLEET_TOKEN_CREATE}
