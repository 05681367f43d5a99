"""Settings → Retention: seen, previewed, chosen, taken back; holds in two steps; pictures."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from playwright.sync_api import Browser

from pulse.retention import expiring
from pulse.retention.expiring import expire_due
from pulse.retention.holds import holds
from pulse.retention.kinds import KINDS
from pulse.store.client import Store
from tests.factories.cast import Person
from tests.portal import test_browser
from tests.portal.browser import Scheme, visit
from tests.portal.conftest import sign_in
from tests.portal.world import World
from tests.pulse.aged import count_all, days_ago
from tests.pulse.rows import put

browser = test_browser.browser
DAYS = {str(kind): str(about.days) for kind, about in KINDS.items()}


@pytest.fixture
def client(world: World, customer_owner: Person, store: Store) -> Client:
    put(store, customer_owner.account.id, world.environment_id, days_ago(20), 12)
    return sign_in(customer_owner)


@pytest.mark.django_db(transaction=True)
def test_shorter_is_previewed_chosen_and_taken_back(client: Client) -> None:
    page = client.get("/c/acme/settings/retention").content.decode()
    assert "your choice" not in page
    assert 'data-field="days-requests">30<' in page
    shorter = DAYS | {"requests": "10"}
    shown = client.get("/c/acme/settings/retention/preview", shorter).content.decode()
    assert "Single requests: 30 → 10 days." in shown
    assert 'data-field="rows-requests">12<' in shown
    assert "What goes does not come back." in shown
    refused = client.get("/c/acme/settings/retention/preview", DAYS | {"requests": "9999"})
    assert (refused.status_code, "Between 1 and 3660 days." in refused.content.decode()) == (
        422,
        True,
    )
    assert client.post("/c/acme/settings/retention", shorter).status_code == 302
    waiting = client.get("/c/acme/settings/retention").content.decode()
    assert "A shorter time waits." in waiting
    assert re.search(r"it holds from the run at <time [^>]*>[^<]* 0[34]:00:00</time>", waiting)
    # All kinds are chosen with one; only what differs is set against the platform's.
    assert waiting.count("your choice, as the platform's") == len(DAYS) - 1
    assert waiting.count("your choice; the platform's is 30<") == 1
    assert 'data-field="days-requests">30<' in waiting
    assert client.post("/c/acme/settings/retention/undo").status_code == 302
    assert "A shorter time waits." not in client.get("/c/acme/settings/retention").content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_hold_is_set_and_lifted_in_two_steps(client: Client, customer_owner: Person) -> None:
    place = "/c/acme/settings/retention/holds"
    wrong = client.post(place, {"reason": "x", "since": "2026-10-02", "until": "2026-09-01"})
    assert wrong.status_code == 422
    set_ = {"reason": "Court of Examples", "since": "2026-10-01", "until": "2026-10-31"}
    assert client.post(place, set_).status_code == 302
    (hold,) = holds(customer_owner.scope)
    assert hold.since is not None
    assert hold.until is not None
    # Days of the account's zone, Berlin; the clock was set back in between.
    assert (hold.since.isoformat(), hold.until.isoformat()) == (
        "2026-09-30T22:00:00+00:00",
        "2026-10-31T23:00:00+00:00",
    )
    one = f"{place}/{hold.id}"
    assert client.post(one, {"step": "lift"}).status_code == 409
    assert client.post(one, {"step": "ask"}).status_code == 422
    assert client.post(one, {"step": "ask", "reason": "settled"}).status_code == 302
    assert "in force, to be lifted" in client.get(place).content.decode()
    assert client.post(one, {"step": "lift"}).status_code == 302
    assert holds(customer_owner.scope)[0].state == "lifted"
    exported = b"".join(client.get(f"{place}?export=csv").streaming_content).decode()  # type: ignore[attr-defined]
    assert "Court of Examples,lifted" in exported


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 390)])
def test_pages_are_silent_fitting_and_seen(
    browser: Browser,
    live_server: object,
    client: Client,
    store: Store,
    world: World,
    customer_owner: Person,
    monkeypatch: pytest.MonkeyPatch,
    scheme: Scheme,
    width: int,
) -> None:
    monkeypatch.setattr(expiring, "PAUSE", timedelta(0))
    put(store, customer_owner.account.id, world.environment_id, days_ago(45), 5)
    count_all(store)
    expire_due(store=store)
    root = "/c/acme/settings/retention"
    client.post(root, DAYS | {"requests": "10"})
    client.post(f"{root}/holds", {"reason": "Court of Examples, 7 C 12/26", "since": "2026-10-01"})
    choice = "&".join(f"{k}={v}" for k, v in (DAYS | {"requests": "10"}).items())
    pages = ("", f"/preview?{choice}", "/holds", "/holds?dialog=hold", "/removals")
    found: dict[str, list[str]] = {}
    with visit(browser, str(live_server), customer_owner, width=width, scheme=scheme) as view:
        page, watch = view
        for path in pages:
            found[path] = test_browser._look(page, f"{root}{path}") + watch.findings
            watch.said.clear()
            watch.foreign.clear()
    assert {path: findings for path, findings in found.items() if findings} == {}
