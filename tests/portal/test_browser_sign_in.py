"""Coming in, in Chromium: both steps, the set-up, recovery, confirmation, an ended session."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache
from django_otp.oath import totp
from playwright.sync_api import Browser, Page, expect, sync_playwright

from identity import tasks
from identity.models import Session, TotpDevice
from notify.models import Delivery
from portal.sessions import cookie_name
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped
from tests.chromium import CHROMIUM, FLAGS
from tests.factories.cast import PASSWORD, Person, accept, invite, last_token
from tests.portal.browser import AXE, axe_findings, overflow, visit
from tests.real import require_real

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require_real("Chromium", CHROMIUM.exists(), "apt-get install chromium")
    require_real("axe-core", AXE.exists(), "npm ci in portal/frontend")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Django would refuse its database in a thread with a running loop.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(autouse=True)
def _no_counts_from_before() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def _fill(page: Page, person: Person) -> None:
    page.get_by_label("E-mail address").fill(person.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def _code(person: Person, *, confirmed: bool) -> str:
    """What the app shows; what was used before is forgotten, so that nobody has to wait."""
    with unscoped("test"):
        TotpDevice.objects.filter(user=person.user).update(
            last_t=-1, throttling_failure_count=0, throttling_failure_timestamp=None
        )
        row = TotpDevice.objects.get(user=person.user, confirmed=confirmed)
    return f"{totp(row.seed.reveal_bytes()):06d}"


def _set_up(page: Page, person: Person) -> list[str]:
    """Through the steps; returns the recovery codes."""
    page.get_by_role("link", name="Begin").click()
    expect(page.locator("svg.qr")).to_be_visible()
    page.get_by_role("link", name="I added it").click()
    page.get_by_label("Code of the app").fill(_code(person, confirmed=False))
    page.get_by_role("button", name="Try the code").click()
    codes = page.locator("#codes li").all_inner_texts()
    assert len(codes) == 10
    page.get_by_label("Enter one of them").fill(codes[2])
    page.get_by_role("button", name="Finish").click()
    return codes


@pytest.mark.parametrize("width", [1440, 390])
def test_the_first_login_of_the_provider(
    browser: Browser, live_server: object, cloud_admin: Person, width: int
) -> None:
    """Why → QR code → a code → recovery codes → the page first meant; then both factors."""
    with visit(browser, str(live_server), None, width=width) as (page, watch):
        page.goto("/admin/access?f.outcome=allowed")
        assert page.url.startswith(f"{live_server}/admin/sign-in?next=")
        _fill(page, cloud_admin)
        page.wait_for_url("**/admin/set-up?**")
        page.goto("/admin/accounts")
        page.wait_for_url("**/admin/set-up?**")
        page.goto("/admin/set-up?next=%2Fadmin%2Faccess%3Ff.outcome%3Dallowed")
        codes = _set_up(page, cloud_admin)
        page.wait_for_url("**/admin/access?f.outcome=allowed")
        page.locator("summary[aria-label*=sign-out]").click()
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.wait_for_url("**/admin/sign-in?left=1")
        _fill(page, cloud_admin)
        page.wait_for_url("**/admin/sign-in/code")
        page.get_by_label("Code of your").fill("000000")
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("This code was not taken")
        page.get_by_label("Code of your").fill(_code(cloud_admin, confirmed=True))
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url("**/admin/")
        page.context.clear_cookies()
        page.goto("/admin/sign-in")
        _fill(page, cloud_admin)
        page.get_by_role("link", name="The app is not at hand").click()
        page.get_by_label("One of your recovery codes").fill(codes[0])
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url("**/admin/")
        page.goto("/admin/my/sign-in")
        expect(page.get_by_text("9 left")).to_be_visible()
        assert [line for line in watch.findings if "403" not in line] == []


@pytest.mark.parametrize("tier", ["c", "r"])
def test_the_other_tiers_come_in_with_a_password_and_can_set_up(
    browser: Browser,
    live_server: object,
    customer_owner: Person,
    reseller_owner: Person,
    tier: str,
) -> None:
    person = customer_owner if tier == "c" else reseller_owner
    home = f"/{tier}/{person.slug}"
    with visit(browser, str(live_server), None) as (page, watch):
        page.goto(f"/{tier}/sign-in?next={home}/my/sign-in")
        _fill(page, person)
        page.wait_for_url(f"**{home}/my/sign-in")
        page.get_by_role("link", name="Set up a second factor").click()
        _set_up(page, person)
        page.wait_for_url(f"**{home}/my/sign-in")
        expect(page.get_by_text("10 left")).to_be_visible()
        assert watch.findings == []


def test_a_confirmation_leads_back_and_sends_nothing_again(
    browser: Browser, live_server: object, cloud_admin: Person
) -> None:
    with visit(browser, str(live_server), cloud_admin) as (page, _watch):
        with unscoped("test"):
            Session.objects.update(proved_at=now() - timedelta(hours=1))
        page.goto("/admin/mfa")
        page.get_by_label("Whom").first.select_option("all")
        page.get_by_role("button", name="Preview who is affected").click()
        expect(page.get_by_text("Nothing has changed yet.")).to_be_visible()
        page.get_by_role("button", name="Save the rule").click()
        page.wait_for_url("**/admin/confirm?**")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Confirm").click()
        expect(page.get_by_role("alert")).to_contain_text("does not prove")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()
        page.wait_for_url("**/admin/mfa/preview?**")
        expect(page.get_by_text("Nothing was changed yet: send the form again.")).to_be_visible()
        page.get_by_role("button", name="Save the rule").click()
        page.wait_for_url("**/admin/mfa")
        expect(page.get_by_text("Everybody: required")).to_be_visible()


def test_an_ended_session_says_so_and_comes_back_to_the_page(
    browser: Browser, live_server: object, customer_owner: Person
) -> None:
    with visit(browser, str(live_server), customer_owner) as (page, _watch):
        page.goto("/c/acme/access")
        with unscoped("test"):
            Session.objects.update(seen_at=now() - timedelta(hours=2))
        page.reload()
        expect(page.get_by_text("Your session has ended.")).to_be_visible()
        _fill(page, customer_owner)
        page.wait_for_url("**/c/acme/access")


def test_from_portal_to_portal_by_one_click(
    browser: Browser, live_server: object, customer_owner: Person, reseller_owner: Person
) -> None:
    with visit(browser, str(live_server), reseller_owner) as (page, _watch):
        page.context.clear_cookies(name=cookie_name("c"))
        page.context.clear_cookies(name=cookie_name("admin"))
        page.goto(f"/c/{customer_owner.slug}/")
        page.get_by_role("button", name="Continue as this person").click()
        # The reseller's owner works for no customer: the portal stays shut.
        expect(page.get_by_text("You work for no account of this portal.")).to_be_visible()


def test_a_reseller_with_a_job_there_goes_on_into_the_other_portal(
    browser: Browser, live_server: object, customer_owner: Person, reseller_owner: Person
) -> None:
    invite(customer_owner.account, "viewer", reseller_owner.email, customer_owner.actor)
    accept(last_token())
    with visit(browser, str(live_server), reseller_owner) as (page, watch):
        page.context.clear_cookies(name=cookie_name("c"))
        page.context.clear_cookies(name=cookie_name("admin"))
        page.goto("/c/acme/environments")
        page.get_by_role("button", name="Continue as this person").click()
        page.wait_for_url("**/c/acme/environments")
        expect(page.get_by_role("heading", name="Environments", exact=True)).to_be_visible()
        page.goto("/r/north/usage")
        assert page.url.endswith("/r/north/usage")
        assert watch.findings == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_steps_and_links_are_silent_fit_and_accessible(
    browser: Browser,
    live_server: object,
    customer_owner: Person,
    width: int,
    scheme: str,
    request: pytest.FixtureRequest,
) -> None:
    """The code, recovery codes shown, and choosing a new password."""
    shots = request.config.getoption("--basetemp")
    with visit(browser, str(live_server), None, width=width, scheme=scheme) as (page, watch):  # type: ignore[arg-type]

        def look(name: str) -> None:
            page.wait_for_load_state("networkidle")
            assert overflow(page) <= 0, name
            assert axe_findings(page) + watch.findings == [], name
            if shots:
                page.screenshot(path=f"{shots}-{name}-{width}-{scheme}.png", full_page=True)

        page.goto("/c/sign-in?next=/c/acme/my/sign-in")
        _fill(page, customer_owner)
        page.get_by_role("link", name="Set up a second factor").click()
        page.get_by_role("link", name="Begin").click()
        page.get_by_role("link", name="I added it").click()
        page.get_by_label("Code of the app").fill(_code(customer_owner, confirmed=False))
        page.get_by_role("button", name="Try the code").click()
        expect(page.locator("#codes li")).to_have_count(10)
        look("codes")
        page.context.clear_cookies()
        page.goto("/c/sign-in")
        _fill(page, customer_owner)
        page.wait_for_url("**/c/sign-in/code")
        look("code")
        page.goto("/c/password")
        page.get_by_label("E-mail address").fill(customer_owner.email)
        page.get_by_role("button", name="Mail me a link").click()
        expect(page.get_by_text("Look into your mail.")).to_be_visible()
        look("asked")
        with unscoped("test"):
            tasks.send_notices()
            row = Delivery.objects.get(what="password_reset")
            assert row.payload is not None
            link = re.findall(r"8600(/c/password/[\w-]+)", row.payload.reveal())[0]
        page.goto(link)
        look("new-password")
        for label in ("New password", "New password again"):
            page.get_by_label(label, exact=True).fill("a wholly different battery staple")
        page.get_by_role("button", name="Set password").click()
        expect(page.get_by_text("Your new password holds.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_pages_are_silent_fit_and_are_accessible(
    browser: Browser,
    live_server: object,
    cloud_admin: Person,
    customer_owner: Person,
    width: int,
    scheme: str,
    request: pytest.FixtureRequest,
) -> None:
    found: dict[str, list[str]] = {}
    shots = request.config.getoption("--basetemp")
    own = {
        cloud_admin: [
            "/admin/mfa", "/admin/mfa/preview?subject=all&value=&required=yes&grace_days=7",
            "/admin/access", "/admin/my/sign-in", "/admin/audit", "/admin/confirm?next=/admin/",
            "/admin/set-up", "/admin/set-up?step=app", "/admin/set-up?step=try",
        ],
        customer_owner: ["/c/acme/access", "/c/acme/my/sign-in"],
        None: ["/c/sign-in", "/c/password"],
    }  # fmt: skip
    for person, paths in own.items():
        with visit(browser, str(live_server), person, width=width, scheme=scheme) as (page, watch):  # type: ignore[arg-type]
            for path in paths:
                answer = page.goto(path)
                page.wait_for_load_state("networkidle")
                assert answer is not None
                bad = [f"status {answer.status}"] if answer.status != 200 else []
                bad += [f"{wide} px too wide"] if (wide := overflow(page)) > 0 else []
                found[path] = bad + axe_findings(page) + watch.findings
                watch.said.clear()
                if shots:
                    name = re.sub(r"\W+", "-", path)
                    page.screenshot(path=f"{shots}{name}-{width}-{scheme}.png", full_page=True)
    assert {path: bad for path, bad in found.items() if bad} == {}
