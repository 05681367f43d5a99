"""Health → Refused batches: seen, tried again, dropped when the word was typed; pictures."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.test import Client
from playwright.sync_api import Browser, expect

from audit.models import Entry
from pulse.tables.aside import AsideBatch
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.portal import test_browser
from tests.portal.browser import Scheme, visit
from tests.portal.conftest import sign_in
from tests.portal.world import World

browser = test_browser.browser
PLACE = "/admin/health/refused"
REASON = "code 53, TYPE_MISMATCH <b>"


def put_aside(person: Person, world: World, rows: int) -> UUID:
    """As the loader writes it; its file is not asked for here."""
    with unscoped("test"):
        row = AsideBatch(
            spool_id=new_id(), file=f"{new_id()}.seg", account_id=person.account.id,
            environment_id=world.environment_id, agent_id=world.agent_id, kind="request",
            rows=rows, reason=REASON,
        )  # fmt: skip
        row.save(force_insert=True)
        return row.id


def states() -> dict[UUID, str]:
    with unscoped("test"):
        return dict(AsideBatch.objects.values_list("id", "state"))


def decided() -> list[tuple[str, str]]:
    with unscoped("test"):
        found = Entry.objects.filter(action__startswith="pulse.aside.").order_by("id")
        return [(e.action, e.object_id) for e in found]


@pytest.fixture
def client(cloud_admin: Person) -> Client:
    return sign_in(cloud_admin)


@pytest.mark.django_db(transaction=True)
def test_one_is_tried_again_and_one_dropped(
    client: Client, world: World, customer_owner: Person, cloud_admin: Person
) -> None:
    assert "See and decide" not in client.get("/admin/health").content.decode()
    assert "Nothing is refused" in client.get(PLACE).content.decode()
    first, second = (put_aside(customer_owner, world, rows) for rows in (1_234, 7))
    assert f'href="{PLACE}">See and decide' in client.get("/admin/health").content.decode()
    page = client.get(PLACE).content.decode()
    assert "code 53, TYPE_MISMATCH &lt;b&gt;" in page
    assert customer_owner.account.name in page
    assert client.post(f"{PLACE}/{first}", {"step": "lose"}).status_code == 422
    assert client.post(f"{PLACE}/{first}", {"step": "drop"}).status_code == 422
    assert client.post(f"{PLACE}/{first}", {"step": "drop", "confirm": "yes"}).status_code == 422
    old = sign_in(cloud_admin, proved_at=now() - timedelta(hours=2))
    unproved = old.post(f"{PLACE}/{second}", {"step": "drop", "confirm": "drop"})
    assert "/admin/confirm" in unproved["Location"]
    assert (states(), decided()) == ({first: "kept", second: "kept"}, [])
    assert client.post(f"{PLACE}/{first}", {"step": "retry"}).status_code == 302
    answer = client.post(f"{PLACE}/{second}", {"step": "drop", "confirm": "drop"})
    assert answer.status_code == 302
    assert states() == {first: "retry", second: "drop"}
    assert decided() == [
        ("pulse.aside.retry", str(first)),
        ("pulse.aside.drop", str(second)),
    ]
    again = client.post(f"{PLACE}/{first}", {"step": "drop", "confirm": "drop"})
    assert again.status_code == 409
    assert f'id="decide-{first}"' not in client.get(PLACE).content.decode()
    exported = b"".join(
        client.get(f"{PLACE}?export=csv&f.state=retry").streaming_content  # type: ignore[attr-defined]
    ).decode()
    assert str(first) in exported
    assert str(second) not in exported


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_it_is_silent_fits_and_works_by_hand(
    browser: Browser,
    live_server: object,
    world: World,
    customer_owner: Person,
    cloud_admin: Person,
    scheme: Scheme,
    width: int,
) -> None:
    found = {}
    with visit(browser, str(live_server), cloud_admin, width=width, scheme=scheme) as view:
        page, watch = view
        found["empty"] = test_browser._look(page, PLACE)
        batch = put_aside(customer_owner, world, 1_234)
        for path in ("/admin/health", PLACE, f"{PLACE}?dialog=decide-{batch}"):
            found[path] = test_browser._look(page, path)
        page.goto(PLACE)
        page.get_by_role("link", name="Decide…").or_(
            page.get_by_role("button", name="Decide…")
        ).click()
        page.get_by_label("Type the word to confirm").fill("drop")
        page.get_by_role("button", name="Drop the batch").click()
        expect(page.locator("main")).to_contain_text("to be dropped")
        found["watch"] = watch.findings
    assert {path: findings for path, findings in found.items() if findings} == {}
    assert states() == {batch: "drop"}
