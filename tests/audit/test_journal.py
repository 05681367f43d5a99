"""What is in the journal, what never gets there, and who reads it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from audit.errors import AuditRefused
from audit.models import Entry
from audit.selectors import EntryFilter, entries
from audit.services import Outcome, Who, denials, record, record_attempt, record_denial
from fleet.models import Environment
from fleet.services import environment_create
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound, ScopeMissing
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import scoped, unscoped
from tests.factories.cast import Person
from tests.services.plugin import database_name, superuser


def rows(action: str) -> list[Entry]:
    with unscoped("test"):
        return list(Entry.objects.filter(action=action).order_by("id"))


@pytest.fixture
def no_audit_inserts(customer_owner: Person) -> Iterator[None]:
    assert customer_owner  # made while its own entries could still be written
    with superuser(database_name()) as db:
        db.execute("REVOKE INSERT ON audit_entry FROM qcloud_app")
        yield
        db.execute("GRANT INSERT ON audit_entry TO qcloud_app")


def test_an_entry_says_who_did_what_on_which_object(customer_owner: Person) -> None:
    environment_id = uuid4()
    with scoped(customer_owner.scope):
        record(
            actor=customer_owner.actor,
            action="test.thing.done",
            object_kind="environment",
            object_id=environment_id,
            reason="because",
            data={"from": 1, "at": environment_id},
        )
    (entry,) = rows("test.thing.done")
    assert (entry.actor_kind, entry.actor_id) == ("staff", customer_owner.user.id)
    assert entry.actor_label == "carla@acme.example"
    assert (entry.object_kind, entry.object_id) == ("environment", str(environment_id))
    assert (entry.outcome, entry.reason) == ("allowed", "because")
    assert (entry.ip, entry.request_id) == ("192.0.2.1", "req-test")
    assert (entry.account_id, entry.account_path) == (
        customer_owner.account.id,
        customer_owner.account.path,
    )
    assert entry.data == {"from": 1, "at": str(environment_id)}
    assert entry.on_behalf_of is None


@pytest.mark.django_db(transaction=True)
def test_an_entry_goes_with_its_transaction(customer_owner: Person) -> None:
    def act() -> None:
        with scoped(customer_owner.scope):
            record(actor=customer_owner.actor, action="test.rolled.back")
            raise Conflict("no")

    with pytest.raises(Conflict):
        act()
    assert rows("test.rolled.back") == []


@pytest.mark.django_db(transaction=True)
def test_no_entry_without_the_transaction_of_its_action(customer_owner: Person) -> None:
    with pytest.raises(AuditRefused, match="transaction of the action"):
        record(actor=customer_owner.actor, action="test.alone")
    assert rows("test.alone") == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_audit_inserts")
def test_an_action_that_cannot_be_journalled_does_not_happen(customer_owner: Person) -> None:
    with pytest.raises(DatabaseError, match="permission denied"):
        environment_create(actor=customer_owner.actor, name="Prod", slug="prod")
    with scoped(customer_owner.scope):
        assert not Environment.objects.exists()


@pytest.mark.parametrize(
    "data",
    [
        {"password": "x"},
        {"agent_token": "x"},
        {"headers": [{"Set-Cookie": "x"}]},
        {"client": {"client-secret": "x"}},
    ],
)
def test_secrets_are_refused(customer_owner: Person, data: dict[str, object]) -> None:
    with pytest.raises(AuditRefused, match="looks like a secret"), scoped(customer_owner.scope):
        record(actor=customer_owner.actor, action="test.secret", data=data)
    assert rows("test.secret") == []


def test_data_is_bounded(customer_owner: Person) -> None:
    with pytest.raises(AuditRefused, match="at most 8192"), scoped(customer_owner.scope):
        record(actor=customer_owner.actor, action="test.big", data={"text": "x" * 8_192})
    assert rows("test.big") == []


def test_hostile_text_does_not_escape_the_journal(customer_owner: Person) -> None:
    with scoped(customer_owner.scope):
        record(
            actor=customer_owner.actor,
            action="test.hostile",
            object_id="a\0b" + "x" * 500,
            reason="\0" + "y" * 900,
            data={"text": "n\0l"},
        )
    (entry,) = rows("test.hostile")
    assert entry.object_id == "a\N{REPLACEMENT CHARACTER}b" + "x" * 197
    assert entry.reason == "\N{REPLACEMENT CHARACTER}" + "y" * 499
    assert entry.data == {"text": "n\N{REPLACEMENT CHARACTER}l"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET action = 'x'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
    ],
)
def test_entries_can_be_neither_changed_nor_deleted(customer_owner: Person, statement: str) -> None:
    with (
        pytest.raises(DatabaseError, match="permission denied"),
        unscoped("test"),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert len(rows("identity.account.create")) == 3
    assert customer_owner.account.path in {e.account_path for e in rows("identity.account.create")}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("customer_owner")
@pytest.mark.parametrize(
    "statement", ["UPDATE audit_entry SET action = 'x'", "DELETE FROM audit_entry"]
)
def test_not_even_the_superuser_changes_entries_by_accident(statement: str) -> None:
    with superuser(database_name()) as db, pytest.raises(Exception, match="append-only"):
        db.execute(statement.encode())


@pytest.mark.django_db(transaction=True)
def test_a_denial_outlives_the_rollback(customer_owner: Person, customer_viewer: Person) -> None:
    actor = customer_viewer.actor
    action = "fleet.environment.create"

    def door() -> None:
        with (
            denials(actor=actor, action=action, object_kind="environment"),
            scoped(customer_viewer.scope),
        ):
            record(actor=actor, action="test.before")
            environment_create(actor=actor, name="Prod", slug="prod")

    with pytest.raises(Denied):
        door()
    assert rows("test.before") == []
    (entry,) = rows(action)
    assert entry.outcome == Outcome.DENIED
    assert entry.actor_label == "victor@acme.example"
    assert "fleet:environment:write" in entry.reason
    assert entry.data == {"code": "kernel.permission_missing"}
    assert entry.account_id == customer_owner.account.id


def test_denials_lets_other_errors_pass(customer_owner: Person) -> None:
    with pytest.raises(Invalid), denials(actor=customer_owner.actor, action="test.invalid"):
        raise Invalid("no")
    assert rows("test.invalid") == []


@pytest.mark.django_db(transaction=True)
def test_a_denial_is_refused_inside_a_transaction(customer_owner: Person) -> None:
    actor, error = customer_owner.actor, Denied("no")
    with pytest.raises(AuditRefused, match="has ended"), scoped(customer_owner.scope):
        record_denial(actor=actor, action="test.inside", error=error)
    with pytest.raises(AuditRefused, match="has ended"), transaction.atomic():
        record_attempt(
            who=Who("agent", None, "x", "", ""),
            scope=None,
            action="test.inside",
            outcome=Outcome.DENIED,
        )
    assert rows("test.inside") == []


@pytest.mark.django_db(transaction=True)
def test_a_denial_of_the_system_belongs_to_no_account(cloud_admin: Person) -> None:
    record_denial(actor=Actor.system("cron"), action="test.cron", error=NotFound("gone"))
    (entry,) = rows("test.cron")
    assert (entry.actor_kind, entry.account_path) == ("system", "/")
    assert entries(cloud_admin.scope, EntryFilter(action="test.cron")).entries == ()


def test_a_tenant_cannot_write_into_another_accounts_journal(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    with pytest.raises(DatabaseError, match="row-level security"), scoped(customer_owner.scope):
        record(actor=customer_owner.actor, action="test.foreign", scope=other_customer_owner.scope)
    assert rows("test.foreign") == []


def test_each_account_reads_what_concerns_it_and_those_below(
    cloud_admin: Person,
    reseller_owner: Person,
    customer_owner: Person,
    other_reseller_owner: Person,
    other_customer_owner: Person,
) -> None:
    people = (cloud_admin, reseller_owner, customer_owner, other_reseller_owner)
    for person in (*people, other_customer_owner):
        with scoped(person.scope):
            record(actor=person.actor, action="test.seen", object_id=person.slug)

    def seen(person: Person) -> set[str]:
        page = entries(person.scope, EntryFilter(action="test.seen"))
        return {entry.object_id for entry in page.entries}

    assert seen(cloud_admin) == {"provider", "north", "acme", "south", "birch"}
    assert seen(reseller_owner) == {"north", "acme"}
    assert seen(customer_owner) == {"acme"}
    assert seen(other_reseller_owner) == {"south", "birch"}
    assert seen(other_customer_owner) == {"birch"}


def test_pages_hold_each_entry_once_newest_first(customer_owner: Person) -> None:
    with scoped(customer_owner.scope):
        for number in range(7):
            record(actor=customer_owner.actor, action="test.paged", object_id=number)
    wanted, cursor, sizes, found = EntryFilter(action="test.paged"), None, [], []
    while True:
        page = entries(customer_owner.scope, wanted, cursor, limit=3)
        sizes.append(len(page.entries))
        found += [entry.object_id for entry in page.entries]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sizes == [3, 3, 1]
    assert found == ["6", "5", "4", "3", "2", "1", "0"]


def test_filters(customer_owner: Person, customer_viewer: Person) -> None:
    with scoped(customer_owner.scope):
        record(actor=customer_owner.actor, action="test.a", object_kind="k", object_id="1")
        record(actor=customer_viewer.actor, action="test.a.b", outcome=Outcome.FAILED)
        record(actor=customer_owner.actor, action="test.ab")

    def found(wanted: EntryFilter) -> list[str]:
        page = entries(customer_owner.scope, wanted)
        return [e.action for e in page.entries if e.action.startswith("test.")]

    assert found(EntryFilter(action="test.a")) == ["test.a.b", "test.a"]
    assert found(EntryFilter(action="test.")) == []
    assert found(EntryFilter(actor_id=customer_viewer.user.id)) == ["test.a.b"]
    assert found(EntryFilter(outcome="failed")) == ["test.a.b"]
    assert found(EntryFilter(object_kind="k", object_id="1")) == ["test.a"]
    newest = entries(customer_owner.scope).entries[0]
    assert newest.action == "test.ab"
    assert "test.ab" not in found(EntryFilter(until=newest.at))
    assert found(EntryFilter(since=newest.at)) == ["test.ab"]


def test_a_damaged_cursor_is_refused(customer_owner: Person) -> None:
    with pytest.raises(Invalid, match="page link"):
        entries(customer_owner.scope, cursor="x' OR 1=1")


@pytest.mark.django_db
def test_reading_without_a_scope_raises() -> None:
    with pytest.raises(ScopeMissing):
        Entry.objects.count()
