"""Accounts, their export and their face in Chromium: silent, readable, usable."""

from __future__ import annotations

import os
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from identity.services import account_close
from identity.services.packing import takeouts_pack
from qcloud.kernel.permissions import Actor
from tests.factories.cast import Person
from tests.portal.browser import Scheme, axe_findings, overflow, visit
from tests.portal.test_browser import browser
from tests.portal.world import World

__all__ = ["browser"]

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_the_pages_of_accounts_are_silent_and_readable(
    live_server: LiveServer,
    browser: Browser,
    world: World,  # noqa: ARG001
    reseller_owner: Person,
    customer_owner: Person,
    width: int,
    scheme: Scheme,
) -> None:
    place = f"customers/{customer_owner.account.id}"
    visits = [
        (reseller_owner, "/r/north/", ["", "customers", "customers?dialog=create", place,
            f"{place}/quotas", f"{place}/networks", f"{place}/lifecycle", "settings/branding",
            "settings/account", "settings/export", "search?q=acme"]),
        (customer_owner, "/c/acme/", ["settings/account", "settings/export"]),
    ]  # fmt: skip
    for person, root, paths in visits:
        with visit(browser, live_server.url, person, width=width, scheme=scheme) as (page, watch):
            for path in paths:
                page.goto(f"{root}{path}")
                if shots := os.environ.get("QCLOUD_SHOTS"):
                    name = f"{root}{path}".replace("/", "_").replace("?", "_")[-40:]
                    page.screenshot(path=f"{shots}/{name}-{width}-{scheme}.png", full_page=True)
                assert axe_findings(page) == [], path
                assert overflow(page) <= 0, path
            assert watch.findings == []


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])
def test_a_closing_account_takes_its_data_along(
    live_server: LiveServer,
    browser: Browser,
    world: World,  # noqa: ARG001
    customer_owner: Person,
    width: int,
    scheme: Scheme,
    tmp_path: Path,
) -> None:
    account_close(actor=Actor.system("test"), account_id=customer_owner.account.id, reason="over")
    shots = os.environ.get("QCLOUD_SHOTS")
    with visit(browser, live_server.url, customer_owner, width=width, scheme=scheme) as (
        page,
        watch,
    ):
        page.goto("/c/acme/settings/account")
        page.get_by_role("link", name="Export", exact=True).click()
        page.get_by_role("button", name="Pack an archive").click()
        page.get_by_text("Waiting for a worker").wait_for()
        if shots:
            page.screenshot(path=f"{shots}/export-going-{width}-{scheme}.png", full_page=True)
        assert axe_findings(page) == []
        assert takeouts_pack() == 1
        page.goto("/c/acme/settings/export")
        if shots:
            page.screenshot(path=f"{shots}/export-ready-{width}-{scheme}.png", full_page=True)
        assert axe_findings(page) == []
        assert overflow(page) <= 0
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        download.value.save_as(tmp_path / "acme.zip")
        assert download.value.suggested_filename.startswith("acme-")
        assert "account.json" in ZipFile(tmp_path / "acme.zip").namelist()
        assert watch.findings == []
