"""Accounts, their people and the sessions of those, made in the database of a running platform.

``python -m bench.audience ACCOUNTS PEOPLE``, with the platform's environment, prints a JSON list
of accounts: short name, the token with which an agent registers, and the cookie's value of each
person's session. The first account is the demo's, so that somebody who signs in by the form can
be among them.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

ROLES: Final = ("viewer", "viewer", "viewer", "editor", "admin")
"""What people are, one after another."""


def main() -> None:
    import django

    django.setup()
    accounts, people = map(int, sys.argv[1:])
    found = [_account(number, people) for number in range(accounts)]
    sys.stdout.write(json.dumps(found) + "\n")


def _account(number: int, people: int) -> dict[str, Any]:
    from identity.selectors import account_by_slug

    account = account_by_slug("acme") if number == 0 else _customer(number)
    if account is None:
        raise RuntimeError("the demo has no customer “acme” any more")
    return {
        "slug": account.slug,
        "token": _token(account),
        "sessions": [_session(account, f"p{n}@{account.slug}.example", n) for n in range(people)],
    }


def _customer(number: int) -> Any:
    from fleet.demo import CURRENCY, TIMEZONE
    from identity.selectors import account_by_slug
    from identity.services import account_create
    from qcloud.kernel.permissions import Actor
    from qcloud.kernel.scope import Tier

    seller = account_by_slug("hansa")
    if seller is None:
        raise RuntimeError("the demo has no reseller “hansa” any more")
    return account_create(
        actor=Actor.system("bench"),
        tier=Tier.CUSTOMER,
        name=f"Customer {number}",
        slug=f"customer-{number}",
        parent_id=seller.id,
        currency=CURRENCY,
        timezone=TIMEZONE,
    )


def _token(account: Any) -> str:
    from fleet.selectors import environments
    from fleet.services import environment_create, registration_token_create
    from qcloud.kernel.permissions import Actor

    actor = Actor.system("bench", account.scope)
    found = environments(account.scope)
    place = found[0] if found else environment_create(actor=actor, name="Live", slug="live")
    token: str = registration_token_create(actor=actor, environment_id=place.id, name="bench")[1]
    return token


def _session(account: Any, email: str, number: int) -> str:
    """As after signing in, without a thousand times the work of making and checking a password."""
    from identity.models import Membership, User
    from identity.sessions import SessionStore, Stage
    from qcloud.kernel.clock import now
    from qcloud.kernel.scope import unscoped

    with unscoped("bench"):
        user = User.objects.create(email=email, name=f"Person {number}", password=f"!{email}")
        Membership.objects.create(account_id=account.id, user=user, role=ROLES[number % len(ROLES)])
    store = SessionStore(portal="c")
    store.begin(user, portal="c", stage=Stage.FULL, factor="", proved_at=now())
    return str(store.session_key)


if __name__ == "__main__":
    main()
