"""An account takes its data along: one archive, everything of its own, nothing of anybody else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from audit.selectors import EntryFilter, entries
from fleet.services import environment_create, registration_token_create
from identity.models import Takeout, TakeoutPiece
from identity.services import account_close, account_suspend
from identity.services.packing import ATTEMPTS, LEASE, takeouts_forget, takeouts_pack
from identity.services.takeout import takeout_open, takeout_remove, takeout_start
from identity.takeouts import takeouts
from notify.models import Delivery
from qcloud.kernel import takeout as registry
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, NotFound, QCloudError, StepUpNeeded
from qcloud.kernel.permissions import Actor, Delegation, Permission
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.portal.conftest import _front_end, engine, store, world  # noqa: F401  fixtures

pytestmark = pytest.mark.django_db

SYSTEM = Actor.system("test")
LINK = "https://portal.example.org/c/acme/settings/export"


def proved(person: Person) -> Actor:
    return replace(person.actor, proved_at=now())


def packed(person: Person) -> ZipFile:
    made = takeout_start(actor=proved(person), link=LINK)
    assert takeouts_pack() == 1
    info, pieces = takeout_open(actor=proved(person), takeout_id=made.id)
    data = b"".join(pieces)
    assert len(data) == info.size
    assert hashlib.sha256(data).hexdigest() == info.sha256
    return ZipFile(BytesIO(data))


def actions(person: Person) -> list[str]:
    found = entries(person.scope, EntryFilter(action="identity.takeout")).entries
    return [entry.action.removeprefix("identity.takeout.") for entry in reversed(found)]


@pytest.mark.usefixtures("store", "world")
def test_the_archive_has_all_of_the_account_and_no_secret(
    customer_owner: Person, other_customer_owner: Person
) -> None:
    made = environment_create(actor=customer_owner.actor, name="Extra", slug="extra")
    token, text = registration_token_create(
        actor=proved(customer_owner), environment_id=made.id, name="rack"
    )
    archive = packed(customer_owner)
    names = set(archive.namelist())
    assert {
        "account.json", "staff.csv", "roles.csv", "invitations.csv", "environments.csv",
        "configurations/extra.json", "usage-by-hour.csv", "invoices.csv", "invoice-lines.csv",
        "audit-log.csv", "access-log.csv", "requests/requests-0001.csv", "contents.json",
    } <= names  # fmt: skip
    assert any(name.endswith(".pdf") for name in names)
    everything = b"".join(archive.read(name) for name in names)
    assert text.encode() not in everything
    assert str(token.id).encode() in everything
    assert other_customer_owner.email.encode() not in everything
    assert json.loads(archive.read("account.json"))["slug"] == customer_owner.slug
    assert customer_owner.email.encode() in archive.read("staff.csv")
    told = json.loads(archive.read("contents.json"))["bytes_by_file"]
    assert set(told) == names - {"contents.json"}
    assert all(told[name] == archive.getinfo(name).file_size for name in told)
    assert actions(customer_owner) == ["start", "pack", "download"]


@pytest.fixture
def few_parts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The account's and the people's part alone: they need no event store."""
    chosen = {key: part for key, part in registry._parts.items() if key[0] < 30}
    monkeypatch.setattr(registry, "_parts", chosen)
    return chosen  # type: ignore[return-value]


@pytest.mark.usefixtures("few_parts")
class TestRules:
    def test_it_goes_on_while_suspended_and_while_closing(
        self, customer_owner: Person, reseller_owner: Person
    ) -> None:
        target = customer_owner.account.id
        account_suspend(actor=reseller_owner.actor, account_id=target, reason="late")
        assert packed(customer_owner).testzip() is None
        account_close(actor=SYSTEM, account_id=target, reason="over")
        assert packed(customer_owner).testzip() is None

    def test_the_mail_leads_to_the_page_alone(self, customer_owner: Person) -> None:
        packed(customer_owner)
        with unscoped("test"):
            mail = Delivery.objects.get(key__startswith="takeout:")
        assert mail.to == customer_owner.email
        assert mail.account_id == customer_owner.account.id

    def test_one_at_a_time(self, customer_owner: Person) -> None:
        takeout_start(actor=proved(customer_owner), link=LINK)
        with pytest.raises(Conflict, match="being packed already"):
            takeout_start(actor=proved(customer_owner), link=LINK)
        assert len(takeouts(customer_owner.scope)) == 1
        assert actions(customer_owner) == ["start"]

    def test_who_may_not(self, customer_owner: Person, customer_viewer: Person) -> None:
        made = takeout_start(actor=proved(customer_owner), link=LINK)
        takeouts_pack()
        with pytest.raises(StepUpNeeded):
            takeout_open(actor=replace(customer_owner.actor, proved_at=None), takeout_id=made.id)
        with pytest.raises(Denied):
            takeout_open(actor=proved(customer_viewer), takeout_id=made.id)
        with pytest.raises(Denied):
            takeout_start(actor=proved(customer_viewer), link=LINK)
        assert actions(customer_owner) == ["start", "pack"]

    def test_nobody_above_or_beside_has_it(
        self, customer_owner: Person, reseller_owner: Person, other_customer_owner: Person
    ) -> None:
        made = takeout_start(actor=proved(customer_owner), link=LINK)
        takeouts_pack()
        for somebody in (reseller_owner, other_customer_owner):
            assert takeouts(somebody.scope) == []
            with pytest.raises(NotFound):
                takeout_open(actor=proved(somebody), takeout_id=made.id)
            with pytest.raises(NotFound):
                takeout_remove(actor=proved(somebody), takeout_id=made.id)
        assert takeouts(customer_owner.scope)[0].can_be_had

    def test_a_guest_does_not_whatever_was_granted(
        self, customer_owner: Person, reseller_owner: Person
    ) -> None:
        guest = Delegation(
            customer_owner.account.id, reseller_owner.scope, "north", "North", "r", "t", now()
        )
        actor = replace(proved(customer_owner), delegation=guest, permissions=frozenset(Permission))
        with pytest.raises(Denied, match="Only staff of the account itself"):
            takeout_start(actor=actor, link=LINK)

    def test_another_worker_goes_on_after_a_kill(
        self, customer_owner: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Killed(BaseException):
            pass

        def die(*_: object) -> None:
            raise Killed

        made = takeout_start(actor=proved(customer_owner), link=LINK)
        with monkeypatch.context() as patched:
            patched.setattr("identity.services.packing._store", die)
            with pytest.raises(Killed):
                takeouts_pack()
        assert takeouts_pack() == 0, "the claim holds"
        with unscoped("test"):
            Takeout.objects.filter(id=made.id).update(claimed_at=now() - LEASE)
        assert takeouts_pack() == 1
        (found,) = takeouts(customer_owner.scope)
        assert (found.state, found.attempt) == ("ready", 2)

    def test_what_fails_is_tried_again_and_given_up_with_its_reason(
        self, customer_owner: Person, few_parts: dict[Any, Any]
    ) -> None:
        def away(_scope: object) -> Any:
            raise QCloudError("test.away", 503, "The store is away.")

        few_parts[29, "Broken"] = registry.Part("Broken", away)
        takeout_start(actor=proved(customer_owner), link=LINK)
        for attempt in range(1, ATTEMPTS + 1):
            assert takeouts_pack() == 0
            (found,) = takeouts(customer_owner.scope)
            assert (found.attempt, found.trouble) == (attempt, "The store is away.")
            assert takeouts_pack() == 0, "not before its pause is over"
            with unscoped("test"):
                Takeout.objects.update(claimed_at=now() - timedelta(minutes=2))
        assert takeouts(customer_owner.scope)[0].state == "failed"
        assert actions(customer_owner) == ["start", "fail"]
        takeout_start(actor=proved(customer_owner), link=LINK)

    def test_its_time_is_over_and_it_goes(self, customer_owner: Person) -> None:
        packed(customer_owner)
        assert takeouts_forget() == 0
        with unscoped("test"):
            Takeout.objects.update(expires_at=now() - timedelta(seconds=1))
        (found,) = takeouts(customer_owner.scope)
        with pytest.raises(Conflict, match="time is over"):
            takeout_open(actor=proved(customer_owner), takeout_id=found.id)
        assert takeouts_forget() == 1
        with unscoped("test"):
            assert (Takeout.objects.count(), TakeoutPiece.objects.count()) == (0, 0)

    def test_it_is_sealed_where_it_lies(self, customer_owner: Person) -> None:
        packed(customer_owner)
        with unscoped("test"):
            (raw,) = TakeoutPiece.objects.values_list("data", flat=True)
        assert not bytes(raw).startswith(b"PK")
        assert b"account.json" not in bytes(raw)
