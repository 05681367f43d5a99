"""A thousand viewers cost one count; none of them sees what is another's."""

from __future__ import annotations

import re
import threading
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from identity import brands
from identity import marks as marking
from identity.marks import marks
from identity.mfa_models import MfaExemption, MfaRule
from identity.models import Account, Brand, Membership
from identity.services import role_create, staff_remove
from identity.sessions import Session
from portal.here import Here
from portal.polls import middleware, shared
from portal.polls.passes import Passes
from portal.polls.shared import NONCE, Make, Parts, Seen, Shown
from pulse.errors import StoreUnavailable
from pulse.rollups import touch
from pulse.store.client import Store
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.models import SettingRow
from qcloud.kernel.permissions import TIER_PERMISSIONS
from qcloud.kernel.scope import Tier, current_scope, unscoped
from qcloud.kernel.settings import stored
from tests.factories.cast import Person, accept, invite, last_token
from tests.portal.conftest import sign_in
from tests.portal.test_limited_to_environments import MARK, hidden
from tests.portal.world import World
from tests.pulse.rows import put

__all__ = ["hidden"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("world")]
POLL = {"X-QCloud-Poll": "1", "HX-Request": "true", "HX-Request-Type": "partial",
        "HX-Target": "main#main"}  # fmt: skip
WIDE = "from=now-6h&to=now"
EVERY = 600


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing from other tests; parts are young for longer than one takes."""
    monkeypatch.setattr("portal.kit.ranges._QUICKEST", EVERY)
    parts, passes = Parts(), Passes()
    for module in (shared, middleware):
        monkeypatch.setattr(module, "parts", parts)
    monkeypatch.setattr(middleware, "passes", passes)
    monkeypatch.setattr("portal.polls.passes.CHECKED_EVERY", 0.0)


def polled(client: Client, query: str = WIDE, slug: str = "acme", **headers: str) -> Any:
    return client.get(f"/c/{slug}/live?{query}", headers={**POLL, **headers})


def made() -> int:
    return shared.parts.made


def test_many_viewers_cost_one_count_and_no_door(
    customer_owner: Person, customer_teammate: Person
) -> None:
    owners = [sign_in(customer_owner) for _ in range(3)]
    first = [polled(client) for client in owners]
    assert made() == 1
    with CaptureQueriesContext(connection) as asked:
        again = [polled(client) for client in owners for _ in range(5)]
    assert made() == 1
    # Of each poll one look at what let its viewer in: its scope, two reads, begin and end.
    assert len(asked.captured_queries) == 15 * 5
    assert not any("pulse_" in q["sql"] or "fleet_" in q["sql"] for q in asked.captured_queries)
    assert {bare(a) for a in again} == {bare(first[0])}
    assert b'id="by-status"' in first[0].content
    # Another role, which differs in nothing that this page shows.
    assert bare(polled(sign_in(customer_teammate))) == bare(first[0])
    assert made() == 1


def test_an_answer_from_a_pass_is_the_answer_of_the_door(customer_owner: Person) -> None:
    client = sign_in(customer_owner)
    door, passed = polled(client), polled(client)
    assert bare(door) == bare(passed)
    assert made() == 1
    for answer in (door, passed):
        nonce = re.search(r"'nonce-([^']+)'", answer["Content-Security-Policy"])
        assert nonce
        assert f'hx-nonce="{nonce[1]}"' in answer.content.decode()
        assert NONCE.encode() not in answer.content
        assert answer["Cache-Control"] == "private, no-store"
        assert {"Cookie", "HX-Target"} <= set(answer["Vary"].split(", "))
    assert nonces(door) != nonces(passed)
    whole = client.get(f"/c/acme/live?{WIDE}").content.decode()
    for text in re.findall(r'<td class="number" data-value="[^"]+">', door.content.decode()):
        assert text in whole


def test_no_viewer_sees_another_account(
    customer_owner: Person, other_customer_owner: Person, store: Store
) -> None:
    put(store, other_customer_owner.account.id, UUID(int=3), now() - timedelta(minutes=5),
        host="birch-only.example")  # fmt: skip
    with unscoped("test"):
        touch(new_id(), {other_customer_owner.account.id: [now() - timedelta(minutes=15), now()]})
    ours, theirs = sign_in(customer_owner), sign_in(other_customer_owner)
    for _ in range(2):
        assert b"birch-only.example" in polled(theirs, slug="birch").content
        answer = polled(ours)
        assert answer.status_code == 200
        assert b"birch-only" not in answer.content
        # By the other's address, and with the other's cookie beside a wrong one.
        assert polled(ours, slug="birch").status_code == 404
    assert made() == 2


@pytest.mark.usefixtures("hidden")
def test_who_is_limited_to_environments_shares_with_nobody_else(
    world: World, customer_owner: Person
) -> None:
    role = role_create(
        actor=customer_owner.actor, account_id=customer_owner.account.id, name="All",
        permissions=TIER_PERMISSIONS[Tier.CUSTOMER],
    )  # fmt: skip
    invite(customer_owner.account, role.key, "lim@acme.example", customer_owner.actor,
           environments=[world.environment_id])  # fmt: skip
    user = accept(last_token(), "Limited")
    limited = sign_in(Person(user, user.email, customer_owner.account, "All"))
    owner = sign_in(customer_owner)
    for _ in range(3):
        assert MARK in polled(owner).content.decode().lower()
        assert MARK not in polled(limited).content.decode().lower()
    assert made() == 2


@pytest.mark.usefixtures("hidden")
@pytest.mark.parametrize("what", ["session", "member", "person", "suspended", "limited"])
def test_what_lets_a_viewer_in_is_looked_at_again(
    what: str, world: World, customer_owner: Person, customer_teammate: Person
) -> None:
    client, other = sign_in(customer_teammate), sign_in(customer_owner)
    for _ in range(2):
        assert polled(client).status_code == 200
        assert polled(other).status_code == 200
    with unscoped("test"):
        if what == "session":
            Session.objects.filter(user=customer_teammate.user).delete()
        if what == "person":
            customer_teammate.user.is_active = False
            customer_teammate.user.save()
        if what == "suspended":
            Account.objects.filter(slug="acme").update(state="suspended")
        if what == "limited":
            Membership.objects.filter(user=customer_teammate.user).update(
                environments=[str(world.environment_id)]
            )
    if what == "member":
        staff_remove(
            actor=customer_owner.actor, account_id=customer_owner.account.id,
            user_id=customer_teammate.user.id,
        )  # fmt: skip
    answer = polled(client)
    if what in {"session", "person"}:
        assert "/c/sign-in" in answer["HX-Redirect"]
    elif what == "member":
        assert answer.status_code == 404
    elif what == "suspended":
        assert b"This account is suspended." in answer.content
    else:
        assert MARK not in answer.content.decode().lower()
    assert polled(other).status_code == 200


def test_rules_that_stand_above_all_end_every_pass(
    customer_owner: Person, other_reseller_owner: Person
) -> None:
    sign_in(customer_owner)
    with unscoped("test"):
        session = Session.objects.filter(user=customer_owner.user).first()
    assert session is not None
    place = session.session_key, "acme"
    seen = [marks([place])[place]]
    rule = MfaRule(subject="all", required=True, made_by="test")
    brand = Brand(
        account_id=other_reseller_owner.account.id, changed_at=now(), product="Other",
        account_path=other_reseller_owner.account.path, host="other.example",
    )  # fmt: skip
    setting = SettingRow(key="x", text="1", set_by="test", set_at=now())
    for change in (
        rule.save, brand.save, setting.save, setting.save, rule.delete,
        MfaExemption(user=customer_owner.user, made_by="test", ends_at=now()).save,
    ):  # fmt: skip
        with unscoped("test"):
            change()
        seen.append(marks([place])[place])
    assert len(set(seen)) == len(seen) == 7
    assert marks([place])[place] == seen[-1]


def test_everything_that_the_door_reads_is_looked_at_by_the_marks(
    customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that lets people in and has no mark would let them in for as long as a pass."""
    client = sign_in(customer_owner)
    with unscoped("test"):
        Session.objects.filter(user=customer_owner.user).update(factor="password")
        MfaRule.objects.create(subject="group", value="x", required=True, made_by="test")
    polled(client)  # what is shared is made
    monkeypatch.setattr(middleware, "passes", Passes())
    stored.forget()
    brands.forget()
    with CaptureQueriesContext(connection) as asked:
        assert polled(client).status_code == 200
    read = {
        table
        for query in asked.captured_queries
        for table in re.findall(r'(?:FROM|JOIN) "(\w+)"', query["sql"])
    }
    marked = set(re.findall(r"(?:FROM|JOIN) (\w+)", f"{marking._PEOPLE} {marking._ACCOUNTS}"))
    assert read <= marked
    assert {"identity_session", "identity_membership", "identity_mfarule"} <= read


def test_a_pass_is_of_one_address_and_one_network(customer_owner: Person) -> None:
    client = sign_in(customer_owner)
    polled(client)
    with unscoped("test"):
        Account.objects.filter(slug="acme").update(allow_list="203.0.113.0/24")
    assert polled(client).status_code == 403
    with unscoped("test"):
        Account.objects.filter(slug="acme").update(allow_list="")
    polled(client)
    assert made() == 1
    assert polled(client, query=f"{WIDE}&f.status=5xx").status_code == 200
    assert made() == 2
    assert polled(Client()).headers["HX-Redirect"].startswith("/c/sign-in")


@pytest.mark.parametrize("path", ["/c", "/c/", "/r", "/c/%00/live", "/c/%FF/live", "/c//live"])
def test_a_poll_of_no_account_is_no_page_and_no_fault(path: str) -> None:
    assert Client().get(path, headers=POLL).status_code in {200, 301, 302, 404}


def test_nobody_outside_can_write_what_becomes_the_nonce() -> None:
    assert len(NONCE) > 32
    assert NONCE != "nonce-of-this-answer"


def seen_by(person: Person, make: Make, query: str = "", every: float = EVERY) -> Seen:
    actor, account = person.actor, person.account
    shown = Shown(make, every, actor.permissions)
    return Seen(
        shown, "c", account, account.scope, actor.permissions, False, False, "/c/acme/live", query
    )


def test_one_thread_makes_a_part_and_the_others_wait_for_it(customer_owner: Person) -> None:
    parts = Parts()
    begun, go = threading.Event(), threading.Event()

    def slow(request: HttpRequest, here: Here) -> str:
        # Nothing of whoever looks comes this far but the rights that were asked about.
        nobody = UUID(int=0)
        assert (here.actor.label, here.actor.id, here.user_id) == ("", nobody, nobody)
        assert current_scope() == customer_owner.account.scope
        assert request.META == {"QUERY_STRING": "x=1"}
        begun.set()
        assert go.wait(10)
        return "made"

    seen, found = seen_by(customer_owner, slow, "x=1"), Found(parts)
    for _ in range(4):
        found.ask(seen)
    assert begun.wait(10)
    go.set()
    assert (found.all(), parts.made) == ([b"made"] * 4, 1)


def test_the_least_used_is_forgotten_and_what_fails_is_not_kept(customer_owner: Person) -> None:
    texts = {"0": "first", "1": "other", "2": "third"}

    def make(request: HttpRequest, _here: Here) -> str:
        return texts[request.META["QUERY_STRING"]]

    parts = Parts(most=10)
    seen = [seen_by(customer_owner, make, str(number)) for number in range(4)]
    with pytest.raises(KeyError):
        parts.value(seen[3])
    assert not parts._parts
    assert [parts.value(one) for one in (*seen[:2], seen[0], seen[2], seen[0])] == [
        b"first", b"other", b"first", b"third", b"first",
    ]  # fmt: skip
    assert (list(parts._parts), parts._bytes, parts.made) == ([seen[2], seen[0]], 10, 3)
    # More than there is room for at all is shown and forgotten.
    texts["1"] = "eleven bytes"
    assert parts.value(seen[1]) == b"eleven bytes"
    assert (list(parts._parts), parts._bytes) == ([], 0)


def test_what_is_forgotten_while_it_is_made_is_counted_once(customer_owner: Person) -> None:
    parts = Parts(most=10)
    others = [seen_by(customer_owner, lambda *_: "12345678", str(n)) for n in range(2)]
    turns = []

    def make(_request: HttpRequest, _here: Here) -> str:
        turns.append(1)
        if len(turns) == 2:
            # Whoever asks for other addresses meanwhile pushes this one out.
            assert [parts.value(one) for one in others] == [b"12345678"] * 2
        return "own text"

    seen = seen_by(customer_owner, make, "own")
    assert parts.value(seen) == b"own text"
    parts._parts[seen].made_at = float("-inf")
    assert parts.value(seen) == b"own text"
    assert (list(parts._parts), parts._bytes) == ([seen], 8)


def test_what_nobody_asked_for_goes_with_the_next_that_is_made(customer_owner: Person) -> None:
    parts = Parts()
    seen = [seen_by(customer_owner, lambda *_: "12345678", str(n)) for n in range(4)]
    for one in seen[:3]:
        parts.value(one)
    for one in seen[:2]:
        parts._parts[one].made_at -= shared.IDLE
    parts.value(seen[3])
    assert (list(parts._parts), parts._bytes) == (seen[2:], 16)


def test_while_it_is_made_again_the_one_before_is_shown_unless_that_is_too_old(
    customer_owner: Person,
) -> None:
    parts, begun, go = Parts(makers=1), threading.Semaphore(0), threading.Event()
    words = iter(["one", "two", "three", "four"])
    go.set()

    def make(*_: object) -> str:
        begun.release()
        assert go.wait(10)
        return next(words)

    first, second = (seen_by(customer_owner, make, query) for query in "ab")
    assert (parts.value(first), parts.value(second)) == (b"one", b"two")
    go.clear()
    for part in parts._parts.values():
        part.made_at -= EVERY + 1
    found = Found(parts)
    for _ in range(2):
        assert begun.acquire(timeout=10)
    found.ask(first)
    assert begun.acquire(timeout=10)
    # The same part, and another one, for which there is no maker left.
    assert (parts.value(first), parts.value(second)) == (b"one", b"two")
    for part in parts._parts.values():
        part.made_at -= shared.STALE
    found.ask(second)
    time.sleep(0.1)
    assert not found.texts
    go.set()
    assert sorted(found.all()) == [b"four", b"three"]
    assert parts.made == 4


class Found:
    """What threads of their own are answered."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self.texts, self._threads = parts, list[bytes](), list[threading.Thread]()

    def ask(self, seen: Seen) -> None:
        def look() -> None:
            self.texts.append(self._parts.value(seen))
            connection.close()  # this thread's own

        self._threads.append(threading.Thread(target=look))
        self._threads[-1].start()

    def all(self) -> list[bytes]:
        for thread in self._threads:
            thread.join(10)
        return self.texts


def test_roles_that_differ_in_nothing_a_page_shows_share_it(customer_owner: Person) -> None:
    """An editor may make alert rules as the owner may; a viewer has another page."""
    people = {}
    for role in ("editor", "admin", "viewer"):
        invite(customer_owner.account, role, f"{role}@acme.example", customer_owner.actor)
        user = accept(last_token(), role.title())
        people[role] = sign_in(Person(user, user.email, customer_owner.account, role))
    owner = polled(sign_in(customer_owner))
    assert b"Alert on this filter" in owner.content
    assert {bare(polled(people[role])) for role in ("editor", "admin")} == {bare(owner)}
    assert made() == 1
    for _ in range(2):
        viewer = polled(people["viewer"])
        assert viewer.status_code == 200
        assert b"Alert on this filter" not in viewer.content
    assert made() == 2


def test_who_has_a_pass_has_the_next_part_made_without_the_door(
    customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = sign_in(customer_owner)
    polled(client)
    (part,) = shared.parts._parts.values()
    part.made_at -= EVERY + 1
    with CaptureQueriesContext(connection) as asked:
        again = polled(client)
    assert made() == 2
    assert b'id="by-status"' in again.content
    assert any("fleet_environment" in query["sql"] for query in asked.captured_queries)
    assert not any("session_data" in query["sql"] for query in asked.captured_queries)
    # What cannot be made is told as the page tells it.
    part.made_at -= EVERY + 1
    monkeypatch.setattr("portal.views.traffic.traffic_page", _unavailable)
    assert polled(client).status_code == 503


def _unavailable(*_args: Any) -> None:
    raise StoreUnavailable("127.0.0.1:1")


@pytest.mark.parametrize("excuse", ["exemption", "grace"])
def test_a_pass_ends_when_a_second_factor_becomes_due(
    excuse: str, customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock alone: nothing is written at that moment, so that no mark tells."""
    client, kept = sign_in(customer_owner), Passes()
    monkeypatch.setattr(middleware, "passes", kept)
    moment, grace = now(), timedelta(days=1) if excuse == "grace" else timedelta(0)
    with unscoped("test"):
        Session.objects.filter(user=customer_owner.user).update(factor="password")
        Membership.objects.update(created_at=moment - timedelta(days=2))
        MfaRule.objects.create(
            subject="all", required=True, made_by="test", grace_days=grace.days,
            since=moment - grace + timedelta(seconds=9 if grace else -9),
        )  # fmt: skip
        # Of two exemptions the first that ends may be the one that counts.
        for seconds in (9, 600) if excuse == "exemption" else ():
            MfaExemption.objects.create(
                user=customer_owner.user, made_by="test",
                ends_at=moment + timedelta(seconds=seconds),
            )  # fmt: skip
    assert polled(client).status_code == 200
    ((asker, given),) = kept._passes.items()
    assert 0 < given.until - time.monotonic() < 9
    monkeypatch.setattr("portal.polls.passes.time", _Later(10))
    assert kept.find(asker) is None


class _Later:
    """The clock of ``portal.polls.passes``, so many seconds on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def monotonic(self) -> float:
        return time.monotonic() + self._seconds


def bare(answer: Any) -> str:
    """Without what each answer has of its own."""
    return re.sub(r'nonce="[^"]+"', "", answer.content.decode())


def nonces(answer: Any) -> set[str]:
    return set(re.findall(r'nonce="([^"]+)"', answer.content.decode()))
