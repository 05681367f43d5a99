"""Exports from the page of requests, and the frozen usage of an invoice: used and seen."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser

from identity.services import account_close
from portal.kit import formats
from pulse.exports.running import exports_write
from pulse.exports.services import exports
from pulse.retention.holds import Extent, hold_release, hold_release_ask, hold_set, holds
from pulse.store.client import Store
from qcloud.kernel.permissions import Actor
from tests.factories.cast import Person
from tests.portal import test_browser
from tests.portal.browser import Scheme, visit
from tests.portal.conftest import sign_in
from tests.portal.world import World
from tests.pulse.test_retention import proved

browser = test_browser.browser
PLACE = "/c/acme/exports"


@pytest.fixture
def client(world: World, customer_owner: Person) -> Client:  # noqa: ARG001
    return sign_in(customer_owner)


@pytest.mark.django_db(transaction=True)
def test_a_filter_becomes_a_file_and_nobody_elses(
    client: Client, store: Store, customer_owner: Person, other_customer_owner: Person
) -> None:
    listed = client.get("/c/acme/requests?from=now-24h&f.method=GET").content.decode()
    assert 'href="/c/acme/exports?from=now-24h&amp;f.method=GET"' in listed
    page = client.get(f"{PLACE}?from=now-24h&f.method=GET").content.decode()
    assert 'data-field="export-count"' in page
    assert "Write the file" in page
    nothing = client.get(f"{PLACE}?from=now-24h&f.host=nobody.example").content.decode()
    assert "There is nothing to write." in nothing
    assert "Write the file" not in nothing
    assert client.post(f"{PLACE}?from=now-24h", {"format": "xls"}).status_code == 422
    assert client.post(f"{PLACE}?from=now-24h&f.method=GET", {"format": "csv"}).status_code == 302
    client.post(f"{PLACE}?from=now-24h&f.env=prod", {"format": "parquet"})
    waiting = client.get(PLACE).content.decode()
    assert waiting.count("Waiting for a worker.") == 2
    assert waiting.count("Being written</h2>") == 1
    assert "Production<" in waiting
    assert "method: GET<" in waiting
    (second, first) = exports(customer_owner.scope)
    with timezone.override(customer_owner.account.timezone):
        span = f"{formats.when(first.filter.since)} – {formats.when(first.filter.until)}"
    assert span in waiting
    assert client.post(f"{PLACE}/{second.id}/remove").status_code == 302
    assert exports_write(store=store) == 1
    (export,) = exports(customer_owner.scope)
    assert export.rows == export.total > 0
    answer = client.get(f"{PLACE}/{export.id}/file")
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert len(content) == int(answer["Content-Length"]) == export.size
    assert content.count(b"\n") >= export.rows + 1
    stranger = sign_in(other_customer_owner)
    for address in (f"{PLACE}/{export.id}/file", f"/c/birch/exports/{export.id}/file"):
        assert stranger.get(address).status_code == 404
    assert stranger.post(f"/c/birch/exports/{export.id}/remove").status_code == 404
    assert client.post(f"{PLACE}/{export.id}/remove").status_code == 302
    assert exports(customer_owner.scope) == []


@pytest.mark.django_db(transaction=True)
def test_the_seller_reads_why_a_held_account_stays(
    world: World,  # noqa: ARG001
    customer_owner: Person,
    reseller_owner: Person,
) -> None:
    page = f"/r/north/customers/{customer_owner.account.id}/lifecycle"
    above = sign_in(reseller_owner)
    assert "It cannot be erased now." not in above.get(page).content.decode()
    hold_set(actor=proved(customer_owner), extent=Extent(), reason="Court of Examples")
    shown = above.get(page).content.decode()
    assert "It cannot be erased now." in shown
    assert "Court of Examples" not in shown


@pytest.mark.django_db(transaction=True)
def test_a_closing_account_reads_why_it_waits(client: Client, customer_owner: Person) -> None:
    pages = ("/c/acme/settings/account", "/c/acme/settings/export")
    hold_set(actor=proved(customer_owner), extent=Extent(), reason="Court of Examples")
    for path in pages:
        assert "Erasing this account waits." not in client.get(path).content.decode()
    account_close(actor=Actor.system("test"), account_id=customer_owner.account.id, reason="over")
    for path in pages:
        shown = client.get(path).content.decode()
        assert "Erasing this account waits." in shown
        assert "Court of Examples" not in shown
    (hold,) = holds(customer_owner.scope)
    hold_release_ask(actor=proved(customer_owner), hold_id=hold.id, reason="settled")
    hold_release(actor=proved(customer_owner), hold_id=hold.id)
    for path in pages:
        assert "Erasing this account waits." not in client.get(path).content.decode()


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_pages_are_silent_fitting_and_accessible(
    browser: Browser,
    live_server: object,
    client: Client,
    store: Store,
    world: World,
    customer_owner: Person,
    scheme: Scheme,
    width: int,
) -> None:
    client.post(f"{PLACE}?from=now-24h&f.method=GET", {"format": "csv"})
    exports_write(store=store)
    client.post(f"{PLACE}?from=now-24h", {"format": "parquet"})
    pages = (PLACE, f"{PLACE}?from=now-24h", f"/c/acme/invoices/{world.invoice_id}/usage")
    found: dict[str, list[str]] = {}
    with visit(browser, str(live_server), customer_owner, width=width, scheme=scheme) as view:
        page, watch = view
        for path in pages:
            found[path] = test_browser._look(page, path) + watch.findings
            watch.said.clear()
            watch.foreign.clear()
    assert {path: findings for path, findings in found.items() if findings} == {}
