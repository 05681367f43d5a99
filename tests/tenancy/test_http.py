"""The walls seen over HTTP: every page that a person can reach, against every table.

Each person's browser follows every link from its home, exports included. What it was sent
is then held against every row of every table and of the event store: no value that stands
only in rows which the person's account may not see may be anywhere in it. The rows and the
policies are asked of the database, so a new table or page is covered without being named.

Real transactions: pytest-django's outer one would keep a scope alive that the request never
opened.
"""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit
from uuid import UUID

import psycopg
import pytest
from django.test import Client
from psycopg import sql

from pulse.store.client import Store
from qcloud.platform import postgres
from tests.factories.cast import Person, found, hire
from tests.portal.conftest import _front_end, engine, sign_in, store  # noqa: F401  fixtures
from tests.portal.world import build
from tests.services import plugin

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

HOMES: Final = {"cloud": "/admin/", "reseller": "/r/{0}/", "customer": "/c/{0}/"}
MOST_PAGES: Final = 250
ALIKE: Final = 2
"""Pages that differ only in an id: so many of them are read."""
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_LINK: Final = re.compile(r"""(?:href|src|hx-get)=["']([^"'#]+)""")
_TELLING: Final = 12
"""Shorter texts (a status, a role, a currency) stand in everybody's rows."""

TRAFFIC: Final = ("/v1/charges", "/orders/", "python3.11", "evil</b>.example")
"""Words of the requests that ``tests.portal.world`` makes for a customer."""

SEEN_BY_CONTRACT: Final = {
    "identity_account.name": "both parties of an invoice are named on it",
    "identity_account.slug": "both parties of an invoice are named on it",
    "identity_totpdevice.name": "each has this name from the first",
}
"""Columns whose values a person may meet although the row is not its own, and why."""


@dataclass
class Crawl:
    """Everything that one person's browser was sent."""

    pages: dict[str, int] = field(default_factory=dict)
    """Status by address."""
    text: str = ""


def crawl(client: Client, start: str) -> Crawl:
    """Follow every link by GET, each path with each set of parameter names once."""
    done, waiting = Crawl(), deque([start])
    known: set[str] = set()
    alike: Counter[tuple[str, ...]] = Counter()
    sent: list[str] = []
    while waiting and len(done.pages) < MOST_PAGES:
        address = waiting.popleft()
        parts = urlsplit(address)
        shape = (_ID.sub("*", parts.path), *sorted(p.split("=")[0] for p in parts.query.split("&")))
        if address in known or alike[shape] >= ALIKE or parts.path.startswith("/static/"):
            continue
        known.add(address)
        alike[shape] += 1
        response = client.get(address)
        body = b"".join(response) if response.streaming else response.content
        done.pages[address] = response.status_code
        text = unescape(body.decode("utf-8", errors="replace"))
        sent.append(text)
        if response.status_code in {301, 302}:
            waiting.append(urljoin(address, response["Location"]))
        waiting.extend(_links(address, body.decode("utf-8", errors="replace")))
    done.text = "\n".join(sent)
    return done


def home(person: Person) -> str:
    return HOMES[person.scope.tier.value].format(person.slug)


def _links(address: str, text: str) -> Iterator[str]:
    for link in _LINK.findall(text):
        target = urlsplit(urljoin(f"http://testserver{address}", unescape(link)))
        if target.netloc == "testserver":
            yield f"{target.path}?{target.query}" if target.query else target.path


@pytest.fixture
def people(
    cloud_admin: Person,
    reseller_owner: Person,
    other_reseller_owner: Person,
    customer_owner: Person,
    other_customer_owner: Person,
    store: Store,  # noqa: F811  the fixture that was imported
    tmp_path: Path,
) -> dict[str, Person]:
    """Two customers of two resellers that have everything, and a sibling of the first."""
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    build(customer_owner, reseller_owner, cloud_admin, store, tmp_path / "one")
    build(other_customer_owner, other_reseller_owner, cloud_admin, store, tmp_path / "two")
    sibling_account = found(reseller_owner.actor, reseller_owner.account.tier.CUSTOMER, "sibling")
    sibling = hire(sibling_account, "owner", "sibling-owner@sibling.example")
    build(sibling, reseller_owner, cloud_admin, store, tmp_path / "three")
    return {
        "cloud": cloud_admin,
        "reseller": reseller_owner,
        "other reseller": other_reseller_owner,
        "customer": customer_owner,
        "other customer": other_customer_owner,
        "sibling": sibling,
    }


def as_app(person: Person) -> psycopg.Connection[tuple[Any, ...]]:
    """What the policies let the person's account see, asked without any of our code."""
    connection = psycopg.connect(
        host=os.environ["QCLOUD_DATABASE_HOST"],
        user=postgres.APP,
        password=os.environ["QCLOUD_DATABASE_APP_PASSWORD"],
        dbname=plugin.database_name(),
    )
    connection.execute(
        "SELECT set_config('qcloud.mode', 'tenant', false),"
        " set_config('qcloud.account', %s, false), set_config('qcloud.path', %s, false)",
        (str(person.scope.account_id), person.scope.path),
    )
    return connection


def values_by_column(connection: psycopg.Connection[Any], table: str) -> Iterator[tuple[str, str]]:
    """(table.column, value) of every telling value in the rows that the connection sees."""
    query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))
    cursor = connection.execute(query)
    names = [column.name for column in cursor.description or ()]
    for row in cursor:
        for name, value in zip(names, row, strict=True):
            text = str(value)
            if name != "account_path" and len(text) >= _TELLING and not _is_common(text):
                yield f"{table}.{name}", text


def _is_common(text: str) -> bool:
    """Times and numbers are nobody's secret: two accounts may well have the same."""
    return bool(re.fullmatch(r"[-0-9:.+ TZ]+", text))


def tables() -> list[str]:
    with plugin.superuser(plugin.database_name()) as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'django_migrations'"
        ).fetchall()
    return sorted(str(name) for (name,) in rows)


def above(person: Person) -> list[str]:
    """Who grants an account above a look into its own must be able to name it (ADR 10)."""
    return [str(UUID(part)) for part in person.scope.path.strip("/").split("/")]


def of_the_person(everything: psycopg.Connection[Any], person: Person) -> list[str]:
    """Its own sessions and second factors, which only system mode reads from the tables."""
    return [
        str(value)
        for table in ("identity_session", "identity_totpdevice")
        for row in everything.execute(
            sql.SQL("SELECT * FROM {} WHERE user_id = %s").format(sql.Identifier(table)),
            (person.user.id,),
        )
        for value in row
    ]


def foreign_values(person: Person) -> dict[str, str]:
    """Value → column, for values that stand only in rows the person may not see."""
    foreign: dict[str, str] = {}
    own = [person.user.email, str(person.user.id), *above(person)]
    with plugin.superuser(plugin.database_name()) as everything, as_app(person) as visible:
        own += of_the_person(everything, person)
        for table in tables():
            own += [value for _column, value in values_by_column(visible, table)]
            for column, value in values_by_column(everything, table):
                if column not in SEEN_BY_CONTRACT:
                    foreign.setdefault(value, column)
    # As a part of a visible value too: an audit row that may be read names what was done.
    may_be_seen = "\n".join(own)
    return {value: column for value, column in foreign.items() if value not in may_be_seen}


def foreign_traffic(person: Person, store: Store) -> dict[str, str]:  # noqa: F811
    """Ids in the event store that are not the account's own, in the same form."""
    rows = store.client().query(
        "SELECT request_id, connection_id FROM requests WHERE account_id != {own:UUID}",
        parameters={"own": person.scope.account_id},
    )
    return {str(value): "event" for row in rows.result_rows for value in row}


@pytest.mark.timeout(600)
def test_no_page_shows_anything_of_a_row_that_the_account_may_not_see(
    people: dict[str, Person],
    store: Store,  # noqa: F811
) -> None:
    leaks: list[str] = []
    traffic: dict[str, list[str]] = {}
    for name, person in people.items():
        seen = crawl(sign_in(person), home(person))
        assert len(seen.pages) >= 12, f"{name} reached only {sorted(seen.pages)}"
        broken = {a: status for a, status in seen.pages.items() if status not in {200, 302, 403}}
        assert broken == {}, name
        foreign = foreign_values(person) | foreign_traffic(person, store)
        leaks += [f"{name}: {c} {value!r}" for value, c in foreign.items() if value in seen.text]
        traffic[name] = [word for word in TRAFFIC if word in seen.text]
    assert leaks == []
    # The same pages, held against the words of the traffic itself: its owner reads them all,
    # nobody above it any.
    customers = ("customer", "other customer", "sibling")
    assert traffic == {name: list(TRAFFIC) if name in customers else [] for name in people}
