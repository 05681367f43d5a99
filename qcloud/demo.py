"""``qcloud demo``: the accounts, staff, tokens and price books that a first start shows."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

from django.conf import settings

from billing import demo as billing_demo
from fleet import demo as fleet_demo
from fleet.demo import Login, Secrets
from identity import mfa
from identity.services import mfa_exempt
from qcloud.kernel.clock import now
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Tier
from qcloud.platform.folder import DataFolder, write_private

_EXCUSED: Final = timedelta(days=30)
_HOMES = {
    Tier.CLOUD: "/admin/",
    Tier.RESELLER: "/r/{account}/",
    Tier.CUSTOMER: "/c/{account}/",
}


def main() -> int:
    """Make what is missing. Passwords and tokens are random, kept in the data folder, 0600."""
    secrets = _kept(DataFolder.from_environment())
    fleet_demo.make(settings.OBJECTS_PATH, secrets)
    _excuse(secrets)
    billing_demo.make()
    return 0


def _excuse(secrets: Secrets) -> None:
    """Their passwords lie in a file for everybody to try: no telephone is asked for."""
    for email in sorted(secrets.logins):
        if mfa.exemption_for(email) is None:
            mfa_exempt(
                actor=Actor.system("demo"),
                whom=email,
                reason="demo: the login is for trying the platform out",
                ends_at=now() + _EXCUSED,
            )


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
