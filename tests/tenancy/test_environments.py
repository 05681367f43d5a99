"""Whoever is limited to some environments meets no row of another, in the database itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection, transaction

from fleet.models import Environment, RegistrationToken
from fleet.selectors import environment, environments
from fleet.services import environment_create, registration_token_create
from qcloud.kernel.errors import Denied, NotFound
from qcloud.kernel.scope import Scope, scoped
from tests.factories.cast import Person
from tests.services import plugin

WHOLE_ACCOUNT: Final = {
    "billing_invoice_line": "invoices are the whole account's; no limited role reads them",
    "billing_invoice_usage": "as the lines that it explains",
    "billing_invoice_drift": "as the lines that it explains",
    "pulse_asidebatch": "internal: decided by the platform's operators",
    "pulse_touchedhour": "internal: no tenant's scope reads it at all",
}
"""Tables with an environment that no policy narrows, each with the reason."""


@pytest.mark.usefixtures("django_db_setup")
def test_every_table_that_names_an_environment_is_limited() -> None:
    with plugin.superuser(plugin.TEMPLATE) as db:
        named = _names(
            db,
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = 'environment_id'",
        )
        limited = _names(
            db,
            "SELECT tablename FROM pg_policies"
            " WHERE permissive = 'RESTRICTIVE' AND qual LIKE '%qcloud_environments%'",
        )
    assert limited == (named | {"fleet_environment"}) - WHOLE_ACCOUNT.keys()
    assert WHOLE_ACCOUNT.keys() <= named


def _names(db: psycopg.Connection[tuple[object, ...]], query: str) -> set[str]:
    return {str(row[0]) for row in db.execute(query.encode()).fetchall()}


@pytest.fixture
def places(customer_owner: Person) -> dict[str, UUID]:
    made = {}
    for slug in ("prod", "dev"):
        made[slug] = environment_create(actor=customer_owner.actor, name=slug, slug=slug).id
        registration_token_create(
            actor=customer_owner.actor, environment_id=made[slug], name=f"token of {slug}"
        )
    return made


def limited(person: Person, *ids: UUID) -> Scope:
    return replace(person.scope, environments=frozenset(ids))


def test_a_limited_scope_sees_its_environments_alone(
    customer_owner: Person, places: dict[str, UUID]
) -> None:
    scope = limited(customer_owner, places["prod"])
    assert [e.slug for e in environments(scope)] == ["prod"]
    with scoped(scope):
        assert [t.name for t in RegistrationToken.objects.all()] == ["token of prod"]
        assert environment(places["prod"]).slug == "prod"
        with pytest.raises(NotFound):
            environment(places["dev"])
        assert Environment.objects.update(name="x") == 1
        assert RegistrationToken.objects.all().delete()[0] == 1
    with scoped(customer_owner.scope):
        assert {e.name for e in Environment.objects.all()} == {"dev", "x"}
        assert [t.name for t in RegistrationToken.objects.all()] == ["token of dev"]


def test_nobody_limited_writes_a_row_of_another_environment(
    customer_owner: Person, places: dict[str, UUID]
) -> None:
    scope = limited(customer_owner, places["prod"])
    row = RegistrationToken(
        account_id=scope.account_id,
        environment_id=places["dev"],
        name="x",
        token_hash="x",
        last_four="xxxx",
    )
    with scoped(scope):
        with pytest.raises(Exception, match="row-level security"), transaction.atomic():
            row.save(force_insert=True)
        with pytest.raises(Exception, match="row-level security"), transaction.atomic():
            Environment.objects.filter(id=places["prod"]).update(id=uuid4())


def test_a_role_in_no_environment_sees_none(
    customer_owner: Person, places: dict[str, UUID]
) -> None:
    assert len(places) == 2
    assert environments(limited(customer_owner)) == []


def test_a_scope_inside_a_limited_one_is_limited_alike(
    customer_owner: Person, places: dict[str, UUID]
) -> None:
    with scoped(limited(customer_owner, places["prod"])):
        assert [e.slug for e in environments(customer_owner.scope)] == ["prod"]
        assert environments(limited(customer_owner, places["dev"])) == []
    assert [e.slug for e in environments(customer_owner.scope)] == ["dev", "prod"]


def test_the_limit_ends_with_the_transaction(
    customer_owner: Person, places: dict[str, UUID]
) -> None:
    with scoped(limited(customer_owner, places["prod"])), connection.cursor() as cursor:
        cursor.execute("SELECT qcloud_environments()")
        assert cursor.fetchone() == ([places["prod"]],)
    with scoped(customer_owner.scope), connection.cursor() as cursor:
        cursor.execute("SELECT qcloud_environments()")
        assert cursor.fetchone() == (None,)


def test_who_is_limited_creates_no_environment(
    customer_owner: Person, places: dict[str, UUID]
) -> None:
    actor = replace(customer_owner.actor, scope=limited(customer_owner, places["prod"]))
    with pytest.raises(Denied, match="limited to some environments"):
        environment_create(actor=actor, name="New", slug="new")
    assert [e.slug for e in environments(customer_owner.scope)] == ["dev", "prod"]
