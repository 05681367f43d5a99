"""Pages over 10,000 accounts and 100,000 staff.

``switcher``: the answer to what somebody types into the account switcher, 95th percentile in
milliseconds: the view as Django runs it, its queries, its template. The person works for a
thousand accounts; the words vary from none to one that a single account has.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.database import ROOT, database
from bench.result import Result

ACCOUNTS: Final = 10_000
STAFF: Final = 100_000
RESELLERS: Final = 100
_SEATS: Final = 1_000
_CALLS: Final = 300


def run() -> Iterator[Result]:
    with TemporaryDirectory(prefix="qcloud-bench-") as folder, database(Path(folder)):
        person = fill()
        yield _switcher(person)
        yield _accounts_page()


def fill() -> Any:
    """The corpus; returns the person with a thousand seats."""
    from identity.models import Account, Membership, User
    from qcloud.kernel.ids import new_id
    from qcloud.kernel.scope import Tier, unscoped

    def account(number: int, tier: Tier, parent: Any) -> Any:
        row_id = new_id()
        above = parent.account_path if parent else "/"
        return Account(
            id=row_id,
            account_id=row_id,
            account_path=f"{above}{row_id.hex}/",
            parent_id=parent.id if parent else None,
            tier=tier,
            slug=f"{tier}-{number}",
            name=f"{tier.title()} number {number}",
            currency="EUR",
            timezone="UTC",
        )

    root = account(0, Tier.CLOUD, None)
    sellers = [account(i, Tier.RESELLER, root) for i in range(RESELLERS)]
    rest = ACCOUNTS - RESELLERS - 1
    customers = [account(i, Tier.CUSTOMER, sellers[i % RESELLERS]) for i in range(rest)]
    accounts = [root, *sellers, *customers]
    people = [User(email=f"p{i}@bench.example", name=f"P {i}") for i in range(STAFF)]
    seats = [
        Membership(account_id=accounts[i % ACCOUNTS].id, user=user, role="viewer")
        for i, user in enumerate(people)
    ]
    seats += [
        Membership(account_id=row.id, user=people[0], role="support")
        for row in accounts[1 : _SEATS + 1]
    ]
    with unscoped("bench"):
        for model, rows in ((Account, accounts), (User, people), (Membership, seats)):
            model.objects.bulk_create(rows, batch_size=2_000)
    _analyze()
    return people[0]


def _analyze() -> None:
    """As autovacuum does soon after; only the owner of the tables may, and it asks nobody."""
    command = [sys.executable, str(ROOT / "manage.py"), "shell", "-v", "0", "-c"]
    program = "from django.db import connection as c; c.cursor().execute('ANALYZE')"
    owner = {**os.environ, "QCLOUD_DATABASE_ROLE": "migrator"}
    subprocess.run([*command, program], env=owner, check=True)


def _switcher(person: Any) -> Result:
    from django.test import RequestFactory

    from portal.views.session import accounts

    factory = RequestFactory()
    words = ("", "number 7", "reseller", "customer number 12", "customer-777", "nobody")
    spent = []
    for call in range(_CALLS):
        request: Any = factory.get(
            "/accounts",
            {"q": words[call % len(words)]},
            headers={"HX-Request-Type": "partial"},
        )
        request.user = person
        began = time.perf_counter()
        response = accounts(request)
        spent.append((time.perf_counter() - began) * 1_000)
        assert response.status_code == 200  # noqa: S101  what is measured must be an answer
    return Result("switcher", quantiles(spent[10:], n=20)[18], "ms", None, None, _CALLS - 10)


def _accounts_page() -> Result:
    from django.test import RequestFactory

    from identity.selectors import root_account
    from portal.here import Here
    from portal.views.accounts import index
    from qcloud.kernel.ids import new_id
    from qcloud.kernel.permissions import ROLES, Actor, RoleName
    from qcloud.kernel.scope import scoped

    root = root_account()
    assert root is not None  # noqa: S101  the corpus has one
    actor = Actor(
        "staff", new_id(), "bench", root.scope, ROLES[root.tier][RoleName.OWNER], role="owner"
    )
    factory, view, spent = RequestFactory(), index.__wrapped__, []  # type: ignore[attr-defined]
    for wanted in _pages(root.scope) * 5:
        request: Any = factory.get("/admin/accounts", wanted)
        request.here = Here("admin", root, actor, request.path, new_id())
        began = time.perf_counter()
        with scoped(root.scope):
            response = view(request, request.here)
        spent.append((time.perf_counter() - began) * 1_000)
        assert b'id="accounts"' in response.content  # noqa: S101  an answer, not an error
    return Result(
        "accounts_page", quantiles(spent[10:], n=20)[18], "ms", None, None, len(spent) - 10
    )


def _pages(scope: Any) -> list[dict[str, str]]:
    """What somebody may ask of the list; cursors deep in it are taken from the list itself."""
    from identity.directory import accounts_page

    orders = ("tree", "name", "slug", "state", "parent", "created")
    found: list[dict[str, str]] = []
    for order in orders:
        found += [{"sort": sign + order} for sign in ("", "-")]
        deep = accounts_page(scope, sort=order, limit=9_000).next_cursor
        found.append({"sort": order, "after": deep})
    words = ("number 7", "customer number 12", "customer-777", "nobody", "reseller")
    found += [{"q": text} for text in words]
    return [*found, {"f.tier": "reseller"}, {"f.state": "suspended"}]
