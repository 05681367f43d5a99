"""Staff, roles and delegated access in Chromium: silent, readable, usable."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from tests.factories.cast import Person, invite, last_token
from tests.portal.browser import Scheme, axe_findings, overflow, visit
from tests.portal.test_browser import browser
from tests.portal.world import World

__all__ = ["browser"]

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_the_pages_of_people_are_silent_and_readable(
    live_server: LiveServer,
    browser: Browser,
    world: World,  # noqa: ARG001
    customer_owner: Person,
    customer_viewer: Person,
    width: int,
    scheme: Scheme,
) -> None:
    invite(customer_owner.account, "viewer", "new@acme.example", customer_owner.actor)
    paths = ["staff", "staff?dialog=invite", f"staff/{customer_viewer.user.id}", "roles",
             "roles?dialog=create", "delegated", "delegated?dialog=grant"]  # fmt: skip
    with visit(browser, live_server.url, customer_owner, width=width, scheme=scheme) as (
        page,
        watch,
    ):
        for path in paths:
            page.goto(f"/c/acme/{path}")
            assert axe_findings(page) == [], path
            assert overflow(page) <= 0, path
        assert watch.findings == []
    with visit(browser, live_server.url, None, width=width, scheme=scheme) as (page, watch):
        page.goto(f"/c/invitation-{last_token()}")
        assert axe_findings(page) == []
        assert watch.findings == []


def test_delegated_access_from_reason_to_end(
    live_server: LiveServer,
    browser: Browser,
    world: World,  # noqa: ARG001
    reseller_owner: Person,
    customer_owner: Person,
) -> None:
    with visit(browser, live_server.url, reseller_owner) as (page, watch):
        page.goto(f"/r/north/customers/{customer_owner.account.id}")
        page.get_by_role("link", name="View as Acme").click()
        page.get_by_label("Reason").fill("their agents fell silent")
        page.get_by_label("Ticket").fill("T-4711")
        page.get_by_role("button", name="Look into Acme").click()
        banner = page.locator(".banner.delegated")
        expect(banner).to_contain_text("T-4711")
        expect(banner.locator(".countdown")).to_contain_text("left")
        assert axe_findings(page) == []
        banner.get_by_role("button", name="End access").click()
        expect(page.get_by_text("Pages opened")).to_be_visible()
        page.goto("/c/acme/")
        expect(page.get_by_text("is over")).to_be_visible()
        assert [f for f in watch.findings if "403" not in f] == []
