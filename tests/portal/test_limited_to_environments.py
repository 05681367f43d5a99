"""Somebody limited to one environment meets no row of another, on any page or export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse

from fleet.services import environment_create, object_store_set, registration_token_create
from identity.services import role_create
from pulse.models import UsageHour
from pulse.store.client import Store
from qcloud.kernel.clock import now
from qcloud.kernel.permissions import TIER_PERMISSIONS
from qcloud.kernel.scope import Tier, unscoped
from tests.factories.cast import Person, accept, invite, last_token
from tests.portal.conftest import sign_in
from tests.portal.test_urls import VIEWS
from tests.portal.world import World, _agent, _plain, _row

MARK = "zebra"
"""In every name of the environment that must stay unseen."""
OUTSIDE = {"c:sign-in", "c:sign-out", "c:invitation"}


@dataclass(frozen=True)
class Hidden:
    environment_id: UUID
    token_id: UUID
    agent_id: UUID
    request_id: UUID

    @property
    def words(self) -> tuple[str, ...]:
        return (MARK, *(str(value) for value in vars(self).values()))


@pytest.fixture
def hidden(world: World, customer_owner: Person, store: Store, tmp_path: object) -> Hidden:
    del world, tmp_path
    place = environment_create(actor=customer_owner.actor, name="Zebra", slug=MARK)
    object_store_set(actor=customer_owner.actor, environment_id=place.id, path=f"/srv/{MARK}")
    token, secret = registration_token_create(
        actor=customer_owner.actor, environment_id=place.id, name=f"{MARK} token"
    )
    agent_id, request_id, moment = _agent(secret, f"{MARK}-node"), uuid4(), now()
    rows = [
        _row(customer_owner, place.id, agent_id, moment - timedelta(minutes=1),
             request_id=request_id, host=f"{MARK}.example", path=f"/{MARK}", vendor="Zebra Inc",
             exe=f"/usr/bin/{MARK}", hostname=f"{MARK}-host")
    ]  # fmt: skip
    store.client().raw_insert(
        "requests",
        column_names=list(rows[0]),
        insert_block="".join(json.dumps(row, default=_plain) + "\n" for row in rows),
        fmt="JSONEachRow",
        settings={"wait_end_of_query": 1},
    )
    with unscoped("test usage"):
        UsageHour(
            account_id=customer_owner.account.id,
            account_path=customer_owner.account.path,
            environment_id=place.id,
            hour=moment.replace(minute=0, second=0, microsecond=0),
            requests=987_654,
            requests_ingress=0,
            requests_egress_internal=0,
            requests_egress_external=987_654,
            bytes_sent=1,
            bytes_received=1,
            counted_at=moment,
        ).save(force_insert=True)
    return Hidden(place.id, token.id, agent_id, request_id)


@pytest.fixture
def limited(world: World, customer_owner: Person) -> Client:
    """Everything that a customer's role can hold, in one environment."""
    role = role_create(
        actor=customer_owner.actor,
        account_id=customer_owner.account.id,
        name="All",
        permissions=TIER_PERMISSIONS[Tier.CUSTOMER],
    )
    invite(customer_owner.account, role.key, "lim@acme.example", customer_owner.actor,
           environments=[world.environment_id])  # fmt: skip
    user = accept(last_token(), "Limited")
    return sign_in(Person(user, user.email, customer_owner.account, "All"))


def pages(ids: dict[str, UUID]) -> Iterator[tuple[str, str]]:
    """Every page of the customer's portal that can be looked at."""
    for name, view in VIEWS.items():
        if not name.startswith("c:") or name in OUTSIDE or "GET" not in getattr(view, "asked", {}):
            continue
        for keys in ({}, *({k: v} for k, v in ids.items())):
            try:
                yield name, reverse(name, kwargs={"account": "acme", **keys})
            except NoReverseMatch:
                continue


@pytest.mark.timeout(400)
def test_no_page_and_no_export_shows_a_row_of_another_environment(
    limited: Client, hidden: Hidden, world: World, customer_owner: Person
) -> None:
    own = {
        "environment_id": world.environment_id,
        "agent_id": world.agent_id,
        "request_id": world.request_id,
    }
    wide = "from=now-30d&to=now"
    owner, seen_by_owner, looked = sign_in(customer_owner), 0, 0
    for name, path in pages(own):
        for query in (wide, f"{wide}&export=csv", f"{wide}&q={MARK}"):
            answer = limited.get(f"{path}?{query}")
            assert answer.status_code in {200, 403}, (name, path)
            text = _text(answer).replace(f"q={MARK}", "").replace(f'value="{MARK}"', "")
            text = text.replace(f"“{MARK}”", "")
            for word in hidden.words:
                assert word not in text.lower(), (name, path, query, word)
            assert "987,654" not in text
            assert "987654" not in text
            looked += answer.status_code == 200
        seen_by_owner += MARK in _text(owner.get(f"{path}?{wide}")).lower()
    assert looked > 20
    assert seen_by_owner >= 5


def _text(answer: object) -> str:
    if getattr(answer, "streaming", False):
        return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    return str(answer.content.decode())  # type: ignore[attr-defined]


def test_what_lies_in_another_environment_is_not_found(limited: Client, hidden: Hidden) -> None:
    place = f"/c/acme/environments/{hidden.environment_id}"
    for path in (place, f"/c/acme/agents/{hidden.agent_id}",
                 f"/c/acme/requests/{hidden.request_id}"):  # fmt: skip
        assert limited.get(path).status_code == 404, path
    for path, form in (
        (f"{place}/capture", {"capture_level": "none"}),
        (f"{place}/dns-audit", {"reported": "on"}),
        (f"{place}/certificates", {"looked_at": "on"}),
        (f"{place}/store", {"path": "/srv/mine"}),
        (f"{place}/tokens", {"name": "mine"}),
        (f"{place}/tokens/{hidden.token_id}/revoke", {"confirm": f"{MARK} token"}),
        (f"/c/acme/agents/{hidden.agent_id}/remove", {"confirm": f"{MARK}-node"}),
    ):
        assert limited.post(path, form).status_code == 404, path


def test_what_is_the_whole_accounts_is_refused(limited: Client, world: World) -> None:
    del world
    for page in ("audit", "invoices", "staff", "roles", "delegated"):
        assert limited.get(f"/c/acme/{page}").status_code == 403, page
    assert limited.post("/c/acme/environments", {"name": "N", "slug": "n"}).status_code == 403
