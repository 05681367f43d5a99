"""``qcloud demo``: the accounts, staff, tokens and price books that a first start shows."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings

from billing import demo as billing_demo
from fleet import demo as fleet_demo
from fleet.demo import Login, Secrets
from qcloud.kernel.scope import Tier
from qcloud.platform.folder import DataFolder, write_private

_HOMES = {
    Tier.CLOUD: "/admin/",
    Tier.RESELLER: "/r/{account}/",
    Tier.CUSTOMER: "/c/{account}/",
}


def main() -> int:
    """Make what is missing. Passwords and tokens are random, kept in the data folder, 0600."""
    fleet_demo.make(settings.OBJECTS_PATH, _kept(DataFolder.from_environment()))
    billing_demo.make()
    return 0


def _kept(folder: DataFolder) -> Secrets:
    def save(secrets: Secrets) -> None:
        people = {_key(login): _person(login) for login in secrets.logins.values()}
        document = {"people": people, "registration_tokens": secrets.registration_tokens}
        write_private(folder.logins, json.dumps(document, indent=1) + "\n")

    if not folder.logins.exists():
        return Secrets(save)
    known = json.loads(folder.logins.read_text())
    logins = [_login(person) for person in known["people"].values()]
    return Secrets(save, {login.email: login for login in logins}, known["registration_tokens"])


def _key(login: Login) -> str:
    return login.account if login.role == "owner" else f"{login.account}-{login.role}"


def _person(login: Login) -> dict[str, Any]:
    return {
        "tier": login.tier.value,
        "account": login.account,
        "role": login.role,
        "path": _HOMES[login.tier].format(account=login.account),
        "email": login.email,
        "password": login.password,
    }


def _login(person: dict[str, Any]) -> Login:
    return Login(
        Tier(person["tier"]),
        person["account"],
        person["role"],
        person["email"],
        person["password"],
    )
