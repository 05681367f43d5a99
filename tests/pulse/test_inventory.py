"""The register of third parties: found once, told once, reviewed, bounded, and kept apart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.core.cache import cache
from django.db import connection

from audit.selectors import EntryFilter, entries
from pulse import analytics
from pulse.analytics import TrafficFilter
from pulse.inventory import looking
from pulse.inventory.looking import TOPIC, look
from pulse.inventory.selectors import count, known, new_since, noticed_between, sightings, vendor
from pulse.inventory.services import Verdict, vendor_review, vendor_review_undo
from pulse.store.client import Store
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.models import OutboxMessage
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.pulse.rows import put

PROD, DEV = UUID(int=10), UUID(int=11)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def at() -> datetime:
    return now().replace(second=0, microsecond=0)


def told() -> list[tuple[str, str, bool]]:
    """Vendor, environment and whether it is new to the account, in order."""
    with unscoped("test"):
        rows = OutboxMessage.objects.filter(topic=TOPIC).order_by("position")
        return [
            (m.payload["vendor"], m.payload["environment_id"], m.payload["first_of_account"])
            for m in rows
        ]


def limited(person: Person, *places: UUID) -> Actor:
    """The same person, limited to some environments."""
    scope = replace(person.scope, environments=frozenset(places))
    return replace(person.actor, scope=scope)


def test_found_once_in_each_environment_and_told_once(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    scope, mine = customer_owner.scope, customer_owner.account.id
    put(store, mine, PROD, at - 20 * DAY, vendor="Stripe")
    assert look(scope, at, store=store) == 1
    assert told() == [], "what lies before the first look is history"
    put(store, mine, PROD, at - MINUTE, vendor="OpenAI")
    put(store, mine, DEV, at - 2 * MINUTE, vendor="Stripe")
    put(store, mine, PROD, at - MINUTE, vendor="internal.example", direction="egress-internal")
    put(store, mine, PROD, at - MINUTE, vendor="")
    assert look(scope, at, store=store) == 2
    assert look(scope, at, store=store) == 0
    assert told() == [("Stripe", str(DEV), False), ("OpenAI", str(PROD), True)]
    found = known(scope)
    assert {name: (v.first_seen, v.noticed_at) for name, v in found.items()} == {
        "Stripe": (at - 20 * DAY, at - 20 * DAY), "OpenAI": (at - MINUTE, at),
    }  # fmt: skip
    assert [s.environment_id for s in sightings(scope, found["Stripe"].id)] == [PROD, DEV]
    assert [v.name for v in new_since(scope, at - HOUR, 8)] == ["OpenAI"]
    assert count(scope) == {"open": 2, "approved": 0, "refused": 0}


def test_what_is_reported_days_late_is_found_once_a_day_and_is_new_then(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    scope, mine = customer_owner.scope, customer_owner.account.id
    put(store, mine, PROD, at - 2 * DAY, vendor="Stripe")
    look(scope, at, store=store)
    put(store, mine, PROD, at - 3 * DAY, vendor="Late")
    assert look(scope, at, store=store) == 0, "outside the last hour"
    assert look(scope, at + DAY, store=store) == 1
    late = known(scope)["Late"]
    assert (late.first_seen, late.noticed_at) == (at - 3 * DAY, at + DAY)
    assert noticed_between(scope, at + DAY, at + DAY + MINUTE) == [at + DAY]
    assert noticed_between(scope, at + DAY, at + DAY + MINUTE, [DEV]) == []


def test_an_earlier_and_a_later_request_move_both_ends(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    scope, mine = customer_owner.scope, customer_owner.account.id
    put(store, mine, PROD, at - 30 * MINUTE, vendor="Stripe")
    look(scope, at, store=store)
    put(store, mine, PROD, at - 40 * MINUTE, vendor="Stripe")
    put(store, mine, PROD, at - MINUTE, vendor="Stripe")
    put(store, mine, PROD, at + 3 * HOUR, vendor="Stripe")
    look(scope, at, store=store)
    found = known(scope)["Stripe"]
    assert (found.first_seen, found.last_seen) == (at - 40 * MINUTE, at), "never in the future"


def test_two_looks_at_once_make_one_row_and_one_message(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    scope = customer_owner.scope
    put(store, customer_owner.account.id, PROD, at - MINUTE, 20, vendor=lambda i: f"v{i}.example")
    made: list[int] = []

    def work() -> None:
        try:
            made.append(look(scope, at, store=store))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(made) == [0, 0, 0, 20]
    assert len(told()) == 20


def test_the_register_is_bounded_and_odd_names_do_no_harm(
    store: Store, customer_owner: Person, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "MOST_VENDORS", 3)
    scope, mine = customer_owner.scope, customer_owner.account.id
    put(store, mine, PROD, at - MINUTE, vendor="nul\0byte")
    put(store, mine, PROD, at - MINUTE, vendor="x" * 1_024)
    put(store, mine, PROD, at - MINUTE, 5, vendor=lambda i: f"v{i}.example")
    assert look(scope, at, store=store) == 3
    assert look(scope, at, store=store) == 0
    assert len(known(scope)) == 3


def test_a_review_is_kept_audited_and_taken_back(
    store: Store, customer_owner: Person, customer_viewer: Person, at: datetime
) -> None:
    scope, actor = customer_owner.scope, customer_owner.actor
    put(store, customer_owner.account.id, PROD, at - MINUTE, vendor="Stripe")
    look(scope, at, store=store)
    stripe = known(scope)["Stripe"].id
    first = Verdict("approved", customer_owner.user.id, "Payments.\nAsk Ada.")
    vendor_review(actor=actor, vendor_id=stripe, verdict=first)
    vendor_review(actor=actor, vendor_id=stripe, verdict=first)  # as it is: nothing to note
    vendor_review(actor=actor, vendor_id=stripe, verdict=Verdict("refused"))
    found = vendor(scope, stripe)
    assert found is not None
    assert (found.review, found.owner, found.note, found.can_undo) == ("refused", "", "", True)
    vendor_review_undo(actor=actor, vendor_id=stripe)
    found = vendor(scope, stripe)
    assert found is not None
    assert (found.review, found.owner, found.note, found.reviewed_by) == (
        "approved", customer_owner.email, "Payments.\nAsk Ada.", actor.label,
    )  # fmt: skip
    with pytest.raises(Conflict):
        vendor_review_undo(actor=actor, vendor_id=stripe)
    kept = entries(scope, EntryFilter(object_id=str(stripe))).entries
    assert [(e.action, e.data["from"], e.data["to"]) for e in reversed(kept)] == [
        ("pulse.vendor.reviewed", "open", "approved"),
        ("pulse.vendor.reviewed", "approved", "refused"),
        ("pulse.vendor.review_undone", "refused", "approved"),
    ]
    assert "Ask Ada" not in str([e.data for e in kept])
    with pytest.raises(Denied):
        vendor_review(actor=customer_viewer.actor, vendor_id=stripe, verdict=first)


@pytest.mark.parametrize(
    ("verdict", "field"),
    [
        (Verdict("maybe"), "review"),
        (Verdict("approved", UUID(int=1)), "owner_id"),
        (Verdict("approved", None, "x" * 2_001), "note"),
        (Verdict("approved", None, "a\0b"), "note"),
    ],
)
def test_what_is_typed_wrong_changes_nothing(
    store: Store, customer_owner: Person, at: datetime, verdict: Verdict, field: str
) -> None:
    put(store, customer_owner.account.id, PROD, at - MINUTE, vendor="Stripe")
    look(customer_owner.scope, at, store=store)
    stripe = known(customer_owner.scope)["Stripe"].id
    with pytest.raises(Invalid) as refused:
        vendor_review(actor=customer_owner.actor, vendor_id=stripe, verdict=verdict)
    assert set(refused.value.data["fields"]) == {field}
    assert count(customer_owner.scope) == {"open": 1, "approved": 0, "refused": 0}


def test_other_accounts_and_other_environments_see_none_of_it(
    store: Store, customer_owner: Person, other_customer_owner: Person, at: datetime
) -> None:
    scope, mine = customer_owner.scope, customer_owner.account.id
    put(store, mine, PROD, at - MINUTE, vendor="Stripe")
    put(store, mine, DEV, at - MINUTE, vendor="OpenAI")
    look(scope, at, store=store)
    stripe = known(scope)["Stripe"].id
    narrow = limited(customer_owner, DEV)
    assert narrow.scope is not None
    assert set(known(narrow.scope)) == {"OpenAI"}
    assert vendor(narrow.scope, stripe) is None
    assert count(narrow.scope) == {"open": 1, "approved": 0, "refused": 0}
    with pytest.raises(Denied, match="whole account"):
        vendor_review(actor=narrow, vendor_id=stripe, verdict=Verdict("approved"))
    assert known(other_customer_owner.scope) == {}
    with pytest.raises(NotFound):
        vendor_review(
            actor=other_customer_owner.actor, vendor_id=stripe, verdict=Verdict("approved")
        )


def test_callers_and_paths_are_what_was_called(
    store: Store, customer_owner: Person, at: datetime
) -> None:
    mine = customer_owner.account.id
    put(store, mine, PROD, at, 3, vendor="Stripe", path="/v1/charges/7", route="/v1/charges/{id}",
        tls_version="1.3", auth_token_type="bearer")  # fmt: skip
    put(store, mine, DEV, at, 2, vendor="Stripe", scheme="http", status=500, exe="/bin/job",
        container_name="job", method="POST")  # fmt: skip
    put(store, mine, PROD, at, 9, vendor="Stripe", direction="ingress")
    put(store, mine, PROD, at, 5, vendor="OpenAI")
    chosen = TrafficFilter(at, at + MINUTE, vendor="Stripe")
    scope = customer_owner.scope
    (row,) = analytics.vendors(scope, chosen, store=store)
    assert (row.requests, row.errors, row.plain, row.tls_versions, row.auth_types) == (
        5, 2, 2, ("1.3",), ("bearer",),
    )  # fmt: skip
    assert row.environments == (PROD, DEV)
    assert [
        (c.environment_id, c.exe, c.container, c.requests, c.errors, c.bytes_sent)
        for c in analytics.callers(scope, chosen, store=store)
    ] == [(PROD, "/bin/shop", "", 3, 0, 300), (DEV, "/bin/job", "job", 2, 2, 200)]
    called = analytics.paths(scope, chosen, store=store)
    assert [(p.route, p.method, p.requests) for p in called] == [
        ("/v1/charges/{id}", "GET", 3), ("/pay", "POST", 2),
    ]  # fmt: skip
    assert all(abs(p.p95_us - 10_000) < 160 for p in called)
    narrow = replace(scope, environments=frozenset({DEV}))
    assert [c.exe for c in analytics.callers(narrow, chosen, store=store)] == ["/bin/job"]
