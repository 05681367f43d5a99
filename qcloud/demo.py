"""``qcloud demo``: the accounts, staff, tokens and price books that a first start shows."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings

from billing import demo as billing_demo
from fleet import demo as fleet_demo
from qcloud.kernel.scope import Tier

_PORTALS = {Tier.CLOUD: "/admin/", Tier.RESELLER: "/r/", Tier.CUSTOMER: "/c/"}


def main() -> str:
    """What this call generated, as JSON: ``people`` and ``registration_tokens`` by account.

    Passwords and tokens are random and appear here once; repeating the command prints only
    what was missing.
    """
    made = fleet_demo.make(settings.OBJECTS_PATH)
    billing_demo.make()
    people = {_key(login): _person(login) for login in made.logins}
    return json.dumps({"people": people, "registration_tokens": made.registration_tokens})


def _key(login: fleet_demo.Login) -> str:
    return login.account if login.role == "owner" else f"{login.account}-{login.role}"


def _home(login: fleet_demo.Login) -> str:
    """There is one provider, so its portal's address names no account."""
    prefix = _PORTALS[login.tier]
    return prefix if login.tier is Tier.CLOUD else f"{prefix}{login.account}/"


def _person(login: fleet_demo.Login) -> dict[str, Any]:
    return {
        "tier": login.tier.value,
        "role": login.role,
        "path": _home(login),
        "email": login.email,
        "password": login.password,
    }
