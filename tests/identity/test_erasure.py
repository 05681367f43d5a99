"""The end of an account: every room forgets it, whatever is killed on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps

import identity.services.erasure as machine
from audit.selectors import EntryFilter, entries
from billing.tasks import erase_accounts as billing_forgets
from fleet.services import environment_create, object_store_set, registration_token_create
from fleet.tasks import erase_accounts as fleet_forgets
from identity.models import Account, ErasureStep, Membership, User
from identity.selectors import AccountInfo
from identity.services.lifecycle import account_close, account_close_withdraw
from identity.tasks import drive_erasures
from pulse.closing import erase_accounts as pulse_forgets
from pulse.store.client import Store
from pulse.store.erasure import rows_of
from qcloud.kernel import erasure
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import Tier, unscoped
from qcloud.kernel.sealing import Place, sealer
from tests.factories.cast import Person, found, hire
from tests.portal.conftest import _front_end, engine, store, world  # noqa: F401  fixtures
from tests.portal.world import World

pytestmark = pytest.mark.django_db(transaction=True)

SYSTEM = Actor.system("test")
STEPS = ["fleet", "pulse", "billing", "identity", "notify", "vaultsvc"]


class Killed(BaseException):
    """Nothing in the code under test catches it, as nothing catches a kill."""


def end(account: AccountInfo) -> None:
    """Closed, and its grace period over."""
    account_close(actor=SYSTEM, account_id=account.id, reason="test")
    with unscoped("test"):
        Account.objects.filter(id=account.id).update(erase_at=now() - timedelta(seconds=1))


def state_of(account_id: UUID) -> str:
    with unscoped("test"):
        return str(Account.objects.get(id=account_id).state)


def tick() -> None:
    for task in (drive_erasures, fleet_forgets, pulse_forgets, billing_forgets):
        task()


def until_closed(*accounts: UUID) -> None:
    """Other tests' transactions delay the outbox; a minute is plenty."""
    deadline = time.monotonic() + 60
    while any(state_of(one) != "closed" for one in accounts):
        assert time.monotonic() < deadline, [state_of(one) for one in accounts]
        tick()


def shop(seller: Person, slug: str) -> AccountInfo:
    """A customer with something in every room."""
    account = found(seller.actor, Tier.CUSTOMER, slug)
    owner = hire(account, "owner", f"owner@{slug}.example", seller.actor)
    made = environment_create(actor=owner.actor, name="Prod", slug="prod")
    registration_token_create(actor=owner.actor, environment_id=made.id, name="rack")
    object_store_set(actor=owner.actor, environment_id=made.id, path=f"/tmp/{slug}")  # noqa: S108
    return account


@pytest.mark.usefixtures("store")
def test_nothing_of_an_erased_account_is_left_but_what_is_kept_for_a_reason(
    world: World,  # noqa: F811, ARG001  the fixture
    store: Store,  # noqa: F811
    reseller_owner: Person,
    customer_owner: Person,
    customer_viewer: Person,
) -> None:
    account = customer_owner.account
    assert sum(rows_of(account.id, store=store).values()) > 0
    assert {"fleet_agent", "fleet_environment", "identity_membership"} <= set(
        erasure.left_over(account.id)
    )
    place = Place(account.id, "test", "value", "1")
    sealed = sealer().seal(b"a secret", place)
    end(account)
    until_closed(account.id)
    assert erasure.left_over(account.id) == {}
    assert rows_of(account.id, store=store) == dict.fromkeys(rows_of(account.id, store=store), 0)
    with unscoped("test"):
        people = User.objects.filter(id__in=[customer_owner.user.id, customer_viewer.user.id])
        assert people.count() == 0
        steps = list(ErasureStep.objects.filter(account_id=account.id))
        assert [step.step for step in steps] == STEPS
        assert all(step.done_at and step.attempt == 1 for step in steps)
    assert {step.step: step.removed for step in steps}["fleet"]["fleet_environment"] == 1
    with pytest.raises(Exception, match=r"(?i)shred|gone|destroyed"):
        sealer().unseal(sealed, place)
    # The seller keeps its invoices, and the journal says what was done.
    found_entries = entries(reseller_owner.scope, EntryFilter(account_id=account.id)).entries
    actions = [entry.action for entry in found_entries]
    assert actions.count("identity.account.erase") == 1
    assert actions.count("identity.account.erase_begin") == 1
    assert rows_in("billing_invoice", buyer_id=account.id) == 1


@pytest.mark.usefixtures("customer_owner")
def test_one_account_that_a_room_cannot_forget_yet_keeps_no_other(
    reseller_owner: Person,
) -> None:
    accounts = [shop(reseller_owner, slug) for slug in ("one", "two", "three")]
    for account in accounts:
        end(account)
    drive_erasures()
    with unscoped("test"):
        ErasureStep.objects.filter(step="fleet").update(taken_at=now())
    asked: list[UUID] = []

    def forget(account_id: UUID) -> dict[str, int]:
        asked.append(account_id)
        if account_id == asked[0]:
            raise Conflict("not yet")
        return {"fleet_agent": 1}

    with pytest.raises(Conflict, match="not yet"):
        machine.erasure_work("fleet", forget)
    assert sorted(asked) == sorted(account.id for account in accounts)
    with unscoped("test"):
        waiting = ErasureStep.objects.filter(step="fleet", done_at=None)
        assert [step.account_id for step in waiting] == asked[:1]


def rows_in(table: str, **filters: Any) -> int:
    model = next(m for m in apps.get_models() if m._meta.db_table == table)
    with unscoped("test"):
        return int(model._default_manager.filter(**filters).count())


def test_every_table_that_names_an_account_forgets_it_or_says_why_not() -> None:
    """A row of a room without a step would stay for ever; so would one nobody may delete."""
    named = {
        model._meta.db_table: model._meta.app_label
        for model in apps.get_models()
        if any(field.column == erasure.COLUMN for field in model._meta.concrete_fields)
    }
    assert set(erasure.kept()) <= set(named)
    assert all(reason.strip() for reason in erasure.kept().values())
    rooms = {room for table, room in named.items() if table not in erasure.kept()}
    assert rooms <= set(erasure.steps())
    from django.db import connection

    for table in named.keys() - erasure.kept().keys():
        with unscoped("test"), connection.cursor() as cursor:
            cursor.execute("SELECT has_table_privilege(%s, 'DELETE')", [table])
            assert cursor.fetchone() == (True,), f"{table} is append-only: keep() it, and say why"


def counted(monkeypatch: pytest.MonkeyPatch, kill_at: int | None) -> list[str]:
    """Every point at which something has just begun or just ended; one of them kills."""
    points: list[str] = []

    def watch(place: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(place, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            point(f"before {name}")
            result = real(*args, **kwargs)
            point(f"after {name}")
            return result

        monkeypatch.setattr(place, name, watched)

    def point(words: str) -> None:
        points.append(words)
        if kill_at is not None and len(points) == kill_at + 1:
            raise Killed(words)

    for name in ("_begin", "_ask", "_taken", "erasure_step_done", "account_shred", "_close"):
        watch(machine, name)
    watch(erasure, "erase_rows")
    return points


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("store")
def test_it_ends_whatever_is_killed_between_any_two_steps(
    reseller_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shop(reseller_owner, "whole")
    end(first)
    with monkeypatch.context() as patch:
        points = counted(patch, None)
        until_closed(first.id)
    # Begin; ask, take and note of three higher rooms; forget and note of its own, of notify and
    # of the keys; close.
    assert len(points) == 34, points
    for number in range(len(points)):
        account = shop(reseller_owner, f"shop-{number}")
        end(account)
        with monkeypatch.context() as patch:
            counted(patch, number)
            with pytest.raises(Killed):
                until_closed(account.id)
        assert state_of(account.id) != "active"
        until_closed(account.id)
        assert erasure.left_over(account.id) == {}, points[number]
        with unscoped("test"):
            steps = list(ErasureStep.objects.filter(account_id=account.id))
        assert [(s.step, s.done_at is not None) for s in steps] == [(s, True) for s in STEPS]
        ends = entries(reseller_owner.scope, EntryFilter(account_id=account.id)).entries
        assert [e.action for e in ends].count("identity.account.erase") == 1, points[number]


@pytest.mark.usefixtures("store")
def test_rows_that_turn_up_late_begin_everything_again(
    reseller_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = shop(reseller_owner, "late")
    person = hire(reseller_owner.account, "viewer", "v@north.example", reseller_owner.actor)
    end(account)
    with monkeypatch.context() as patch:
        patch.setattr(machine, "account_shred", late(account, person))
        until_attempt(account.id, 2)
    until_closed(account.id)
    with unscoped("test"):
        assert {s.attempt for s in ErasureStep.objects.filter(account_id=account.id)} == {2}
        # Who works elsewhere keeps its login.
        assert User.objects.filter(id=person.user.id).exists()
    assert erasure.left_over(account.id) == {}


def late(account: AccountInfo, person: Person) -> Callable[..., None]:
    """Somebody joins when identity has forgotten the account already."""
    real: Callable[..., None] = vars(machine)["account_shred"]

    def shred(**kwargs: Any) -> None:
        with unscoped("test"):
            Membership(account_id=account.id, user=person.user, role="viewer").save()
        real(**kwargs)

    return shred


def until_attempt(account_id: UUID, number: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        with unscoped("test"):
            steps = ErasureStep.objects.filter(account_id=account_id, attempt=number)
            if steps.exists():
                return
        assert time.monotonic() < deadline
        tick()


@pytest.mark.usefixtures("store")
def test_a_withdrawn_account_and_one_within_its_grace_period_keep_everything(
    reseller_owner: Person,
) -> None:
    waiting, back = shop(reseller_owner, "waiting"), shop(reseller_owner, "back")
    for account in (waiting, back):
        account_close(actor=SYSTEM, account_id=account.id, reason="test")
    account_close_withdraw(actor=SYSTEM, account_id=back.id)
    before = {one.id: erasure.left_over(one.id) for one in (waiting, back)}
    for _ in range(3):
        tick()
    assert {one.id: erasure.left_over(one.id) for one in (waiting, back)} == before
    assert (state_of(waiting.id), state_of(back.id)) == ("closing", "active")
    end_again = now() - timedelta(seconds=1)
    with unscoped("test"):
        Account.objects.filter(id=waiting.id).update(erase_at=end_again)
    drive_erasures()
    with pytest.raises(Conflict):
        account_close_withdraw(actor=SYSTEM, account_id=waiting.id)


@pytest.mark.usefixtures("store")
def test_a_reseller_goes_after_its_customers(cloud_admin: Person, reseller_owner: Person) -> None:
    customer = shop(reseller_owner, "below")
    end(customer)
    end(reseller_owner.account)
    drive_erasures()
    assert (state_of(customer.id), state_of(reseller_owner.account.id)) == ("erasing", "closing")
    until_closed(customer.id, reseller_owner.account.id)
    assert erasure.left_over(reseller_owner.account.id) == {}
    assert state_of(cloud_admin.account.id) == "active"
