"""The pages in Chromium: silent, at home, readable, usable by keys and without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.chromium import CHROMIUM, FLAGS
from tests.factories.cast import Person
from tests.portal.browser import AXE, Scheme, axe_findings, overflow, visit
from tests.portal.world import HOSTILE, HOSTILE_HOST, SECRET, World
from tests.real import require_real

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for these tests alone: while it is there, its loop runs in this thread."""
    require_real("Chromium", CHROMIUM.exists(), "apt-get install chromium")
    require_real("axe-core", AXE.exists(), "npm ci in portal/frontend")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Django would refuse its database in a thread with a running loop.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


def _customer_pages(world: World) -> list[str]:
    return [
        "/c/acme/",
        "/c/acme/start",
        "/c/acme/live",
        "/c/acme/requests",
        f"/c/acme/requests?peek={world.hostile_id}",
        f"/c/acme/requests/{world.hostile_id}",
        f"/c/acme/requests/{world.hostile_id}?body=response&view=hex",
        f"/c/acme/requests/{world.bare_id}",
        "/c/acme/live?cmp=1d&by=node",
        "/c/acme/live?cmp=7d&by=tag",
        "/c/acme/requests?f.host=api.stripe.com&f.tag=team:shop",
        "/c/acme/objects",
        "/c/acme/dns",
        "/c/acme/vendors",
        f"/c/acme/vendors/{world.vendor_id}",
        f"/c/acme/vendors/{world.vendor_id}/callers",
        f"/c/acme/vendors/{world.vendor_id}/paths",
        "/c/acme/environments",
        "/c/acme/environments?dialog=create",
        f"/c/acme/environments/{world.environment_id}",
        f"/c/acme/environments/{world.environment_id}?dialog=dns",
        f"/c/acme/environments/{world.environment_id}?dialog=certificates",
        f"/c/acme/environments/{world.environment_id}?dialog=store-s3",
        "/c/acme/agents",
        f"/c/acme/agents/{world.agent_id}",
        "/c/acme/usage",
        "/c/acme/invoices",
        f"/c/acme/invoices/{world.invoice_id}",
        f"/c/acme/invoices/{world.invoice_id}/usage",
        "/c/acme/audit",
        "/c/acme/search?q=e",
    ]


def _look(page: Page, path: str) -> list[str]:
    answer = page.goto(path)
    assert answer is not None
    page.wait_for_load_state("networkidle")
    findings = [] if answer.status == 200 else [f"status {answer.status}"]
    wide = overflow(page)
    if wide > 0:
        findings.append(f"{wide} px too wide")
    return findings + axe_findings(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_customer_page_is_silent_fits_and_is_accessible(
    browser: Browser,
    live_server: object,
    world: World,
    customer_owner: Person,
    width: int,
    scheme: Scheme,
) -> None:
    found: dict[str, list[str]] = {}
    with visit(browser, str(live_server), customer_owner, width=width, scheme=scheme) as view:
        page, watch = view
        for path in _customer_pages(world):
            found[path] = _look(page, path) + watch.findings
            watch.said.clear()
            watch.foreign.clear()
    assert {path: findings for path, findings in found.items() if findings} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_sellers_pages_are_silent_fit_and_are_accessible(
    browser: Browser,
    live_server: object,
    world: World,
    reseller_owner: Person,
    cloud_admin: Person,
    customer_owner: Person,
    width: int,
    scheme: Scheme,
) -> None:
    account = customer_owner.account.id
    shared = [
        *("", "usage", "invoices", "price-books", "audit", "search?q=a", "deliveries"),
        *("alerts", "alerts/rules", "alerts/rules/new", "alerts/channels", "alerts/silences"),
    ]
    own = {
        reseller_owner: [
            *(f"/r/north/{name}" for name in [*shared, "customers", "customers?dialog=create"]),
            f"/r/north/customers/{account}",
            f"/r/north/invoices/{world.invoice_id}",
            "/r/north/price-books/retail/1",
        ],
        cloud_admin: [
            *(
                f"/admin/{name}"
                for name in [*shared, "accounts", "health", "keys", "keys?dialog=rotate"]
            ),
            f"/admin/accounts/{account}?dialog=suspend",
            f"/admin/invoices/{world.wholesale_id}",
        ],
    }
    found: dict[str, list[str]] = {}
    for person, paths in own.items():
        with visit(browser, str(live_server), person, width=width, scheme=scheme) as view:
            page, watch = view
            for path in paths:
                found[path] = _look(page, path) + watch.findings
                watch.said.clear()
                watch.foreign.clear()
    assert {path: findings for path, findings in found.items() if findings} == {}


def test_hostile_traffic_is_shown_and_not_run(
    browser: Browser, live_server: object, world: World, customer_owner: Person
) -> None:
    with visit(browser, str(live_server), customer_owner) as (page, watch):
        for path in (
            "/c/acme/requests",
            "/c/acme/live",
            f"/c/acme/requests?peek={world.hostile_id}",
            f"/c/acme/requests/{world.hostile_id}?view=raw",
            f"/c/acme/requests/{world.hostile_id}?view=tree",
        ):
            page.goto(path)
            page.wait_for_load_state("networkidle")
            assert "owned" not in page.title()
            assert page.locator("main script, #peek script, main img").count() == 0
        expect(page.locator("main")).to_contain_text(
            "</pre><script>document.title='owned'</script>"
        )
        expect(page.locator("main")).to_contain_text(HOSTILE)
        expect(page.locator("h1")).to_contain_text(HOSTILE_HOST)
        assert SECRET not in page.content()
        expect(page.locator("table.headers")).to_contain_text("Bearer ••••4242")
        assert watch.findings == []


def test_keys_do_what_the_help_says(
    browser: Browser,
    live_server: object,
    world: World,  # noqa: ARG001
    customer_owner: Person,
) -> None:
    with visit(browser, str(live_server), customer_owner) as (page, watch):
        page.goto("/c/acme/requests")
        page.keyboard.press("?")
        expect(page.locator("#keys-help")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#keys-help")).not_to_be_visible()
        page.keyboard.press("/")
        expect(page.locator("#requests-q")).to_be_focused()
        page.locator("h1").focus()
        page.keyboard.press("j")
        page.keyboard.press("j")
        expect(page.locator("[data-row]").nth(1)).to_have_class(re.compile("is-current"))
        page.keyboard.press("o")
        expect(page.locator("#peek h2")).to_be_focused()
        assert "peek=" in page.url
        page.keyboard.press("Escape")
        expect(page.locator("#peek > *")).to_have_count(0)
        assert "peek=" not in page.url
        page.keyboard.press("g")
        page.keyboard.press("a")
        expect(page.locator("h1")).to_have_text("Agents")
        assert watch.findings == []


def test_typing_a_filter_keeps_the_focus_and_changes_the_address(
    browser: Browser,
    live_server: object,
    world: World,  # noqa: ARG001
    customer_owner: Person,
) -> None:
    with visit(browser, str(live_server), customer_owner) as (page, watch):
        page.goto("/c/acme/requests")
        page.locator("#requests-q").press_sequentially("orders/1", delay=60)
        page.wait_for_url("**q=orders**")
        expect(page.locator("#requests-q")).to_be_focused()
        expect(page.locator("#requests-q")).to_have_value("orders/1")
        expect(page.locator("[data-row]")).to_have_count(11)
        page.go_back()
        expect(page.locator("[data-row]")).to_have_count(50)
        assert watch.findings == []


def test_a_brush_is_one_step_back(
    browser: Browser,
    live_server: object,
    world: World,  # noqa: ARG001
    customer_owner: Person,
) -> None:
    with visit(browser, str(live_server), customer_owner) as (page, watch):
        page.goto("/c/acme/live")
        box = page.locator("#chart-status .u-over").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 50, steps=5)
        page.mouse.up()
        page.wait_for_url("**from=20**")
        page.go_back()
        page.wait_for_url("**/live")
        chosen = page.get_by_role("link", name="1 h", exact=True)
        expect(chosen).to_have_attribute("aria-current", "true")
        assert watch.findings == []


def test_a_token_is_shown_once(
    browser: Browser, live_server: object, world: World, customer_owner: Person
) -> None:
    with visit(browser, str(live_server), customer_owner) as (page, watch):
        page.goto(f"/c/acme/environments/{world.environment_id}")
        page.get_by_role("link", name="Create token").first.click()
        page.get_by_label("Name", exact=True).fill("rack 5")
        page.get_by_role("button", name="Create token").click()
        secret = page.locator("#new-token").inner_text()
        assert re.fullmatch(r"qcr_[A-Za-z0-9_-]{43}", secret)
        page.get_by_role("link", name="I stored it").click()
        expect(page.locator("#new-token")).to_have_count(0)
        page.wait_for_load_state()
        assert secret not in page.content()
        assert secret[-4:] in page.content()
        with pytest.raises(PlaywrightError, match="ERR_CACHE_MISS"):
            page.go_back()
        # What Chromium shows instead comes when it likes; this looks until it is there.
        expect(page.locator("html")).not_to_contain_text(secret)
        assert watch.foreign == []


def test_everything_works_without_scripts(
    browser: Browser, live_server: object, world: World, customer_owner: Person
) -> None:
    with visit(browser, str(live_server), customer_owner, scripts=False) as (page, _watch):
        page.goto("/c/acme/requests")
        page.locator("#requests-q").fill("orders/1")
        page.get_by_role("button", name="Apply").click()
        assert page.locator("[data-row]").count() == 11
        page.goto(f"/c/acme/environments/{world.environment_id}")
        page.get_by_role("link", name="Create token").first.click()
        page.get_by_label("Name", exact=True).fill("by hand")
        page.get_by_role("button", name="Create token").click()
        assert page.locator("#new-token").inner_text().startswith("qcr_")
        page.goto("/c/acme/live")
        page.get_by_text("Show the numbers").first.click()
        assert page.locator("table[data-series]").first.is_visible()


def test_signing_in_leads_to_the_page_first_meant(
    browser: Browser,
    live_server: object,
    world: World,  # noqa: ARG001
    customer_owner: Person,
) -> None:
    with visit(browser, str(live_server), None) as (page, watch):
        page.goto("/c/acme/agents?q=node")
        page.get_by_label("E-mail address").fill(customer_owner.email)
        page.get_by_label("Password").fill("wrong password here")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("do not match")
        page.get_by_label("Password").fill("correct horse battery staple")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("h1")).to_have_text("Agents")
        assert page.url.endswith("/c/acme/agents?q=node")
        assert [line for line in watch.findings if "403" not in line] == []
