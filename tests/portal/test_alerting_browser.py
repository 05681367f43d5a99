"""Issues and alerts in Chromium: silent, fitting, accessible, light and dark, wide and narrow."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, expect

from notify.selectors import DeliveryFilter, deliveries
from notify.services import channel_create
from pulse.alerts.evaluating import evaluate
from pulse.alerts.rules import Draft, Spec
from pulse.alerts.selectors import IncidentFilter, incidents
from pulse.alerts.services import rule_create, silence_create
from pulse.issues.scan import scan
from pulse.issues.selectors import IssueFilter, issues
from pulse.routes.selectors import path_hosts
from pulse.store.client import Store
from pulse.tables.alerts import AlertRule
from qcloud.kernel.clock import now
from qcloud.kernel.scope import scoped
from tests.factories.cast import Person
from tests.portal import test_browser
from tests.portal.browser import Scheme, visit
from tests.portal.world import HOSTILE_HOST, World
from tests.pulse.rows import put
from tests.pulse.test_route_tree import words
from tests.pulse.test_routes import Book

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300)]
MINUTE = timedelta(minutes=1)
browser = test_browser.browser


@pytest.fixture
def pages(world: World, customer_owner: Person, store: Store) -> list[str]:
    """An issue, a firing rule with everything set, a channel, a silence, deliveries, templates."""
    owner, start = customer_owner, now().replace(second=0, microsecond=0) - 20 * MINUTE
    put(store, owner.account.id, world.environment_id, start, 120, every=timedelta(seconds=10),
        host=HOSTILE_HOST, status=lambda i: 500 if i % 2 else 200)  # fmt: skip
    scan(owner.scope, start + 11 * MINUTE, store=store)
    channel, _ = channel_create(
        actor=owner.actor, kind="webhook", name="ops", url="https://hooks.example.org/T0/abcd"
    )
    spec = Spec("error_rate", above=True, threshold=10, repeat=5, escalate=2,
                filters={"host": HOSTILE_HOST})  # fmt: skip
    ids = (channel.id,)
    rule = rule_create(
        actor=owner.actor, draft=Draft("Half of it fails", "critical", spec, None, ids, ids)
    )
    silence_create(
        actor=owner.actor, reason="deploy of the shop", starts_at=now(),
        ends_at=now() + timedelta(hours=1), severity="info",
    )  # fmt: skip
    with scoped(owner.scope):
        AlertRule.objects.update(evaluated_at=start)
    evaluate(owner.scope, rule.id, start + 12 * MINUTE, store=store)
    (issue,), _ = issues(owner.scope, IssueFilter(text="evil"))
    (incident,), _ = incidents(owner.scope, IncidentFilter())
    book = Book()
    book.ask([f"/shops/{word}/orders/1" for word in words(60)], account=owner.account.id)
    (learned,) = path_hosts(owner.scope)
    (delivery, *_rest), _ = deliveries(owner.scope, DeliveryFilter(kind="webhook"))
    return [
        f"/c/acme/{path}"
        for path in (
            "issues", f"issues/{issue.id}", f"issues/{issue.id}?dialog=ignore", "alerts",
            f"alerts/incidents/{incident.id}", "alerts/rules", "alerts/rules/new?template=errors",
            f"alerts/rules/{rule.id}", "alerts/channels", "alerts/channels?dialog=create",
            f"alerts/channels/{channel.id}", "alerts/silences", "alerts/silences?dialog=silence",
            "deliveries", f"deliveries/{delivery.id}", "paths", "paths?dialog=template",
            f"paths/{learned.id}?path=/shops/mine/orders/2",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_every_page_is_silent_fits_and_is_accessible(
    browser: Browser,
    live_server: object,
    pages: list[str],
    customer_owner: Person,
    width: int,
    scheme: Scheme,
) -> None:
    found: dict[str, list[str]] = {}
    with visit(browser, str(live_server), customer_owner, width=width, scheme=scheme) as view:
        page, watch = view
        for path in pages:
            found[path] = test_browser._look(page, path) + watch.findings
            watch.said.clear()
            watch.foreign.clear()
        page.goto(pages[7])
        page.get_by_role("button", name="Preview on the past").click()
        page.wait_for_load_state("networkidle")
        assert "Would have fired" in page.inner_text("#preview")
    assert {path: findings for path, findings in found.items() if findings} == {}


def test_the_box_in_the_head_ticks_the_whole_page(
    browser: Browser, live_server: object, pages: list[str], customer_owner: Person
) -> None:
    with visit(browser, str(live_server), customer_owner) as (page, watch):
        page.goto(pages[0])
        every, rows = page.get_by_label("Choose all on this page"), page.locator("input[name=ids]")
        assert rows.count() >= 1
        every.check()
        assert page.locator("input[name=ids]:checked").count() == rows.count()
        rows.first.uncheck()
        assert not every.is_checked()
        every.check()
        page.get_by_role("button", name="Change issues").click()
        expect(page.locator("main")).to_contain_text("Resolved")
        assert watch.findings == []
    with visit(browser, str(live_server), customer_owner, scripts=False) as (page, _watch):
        page.goto(pages[0])
        assert not page.get_by_label("Choose all on this page").is_visible()


def test_repeat_escalation_and_silence_are_seen(
    browser: Browser,
    live_server: object,
    world: World,
    customer_owner: Person,
    store: Store,
) -> None:
    owner, start = customer_owner, now().replace(second=0, microsecond=0) - 40 * MINUTE
    put(store, owner.account.id, world.environment_id, start, 240, every=timedelta(seconds=10),
        host=HOSTILE_HOST, status=500)  # fmt: skip
    people = [
        channel_create(actor=owner.actor, kind="mail", name=who, addresses=[f"{who}@acme.example"])
        for who in ("first", "second")
    ]
    first, second = ((channel.id,) for channel, _ in people)
    spec = Spec("error_rate", above=True, threshold=10, repeat=5, escalate=7,
                filters={"host": HOSTILE_HOST})  # fmt: skip
    loud, quiet = (
        rule_create(actor=owner.actor, draft=Draft(name, severity, spec, None, first, second))
        for name, severity in (("Loud", "critical"), ("Quiet", "info"))
    )
    silence_create(
        actor=owner.actor, reason="deploy of the shop", starts_at=start,
        ends_at=now() + timedelta(hours=1), severity="info",
    )  # fmt: skip
    with scoped(owner.scope):
        AlertRule.objects.update(evaluated_at=start)
    for minute in range(2, 15):
        for one in (loud, quiet):
            evaluate(owner.scope, one.id, start + minute * MINUTE, store=store)
    by_name = {one.rule_name: one.id for one in incidents(owner.scope, IncidentFilter())[0]}
    with visit(browser, str(live_server), owner) as (page, watch):
        page.goto("/c/acme/alerts")
        lines = page.locator("[data-row]")
        expect(lines.filter(has_text="Quiet")).to_contain_text("silenced")
        expect(lines.filter(has_text="Loud")).to_contain_text("100 %")
        page.goto(f"/c/acme/alerts/incidents/{by_name['Loud']}")
        said = page.locator("ul.attention li")
        expect(said.filter(has_text="[Firing] Loud")).to_have_count(1)
        expect(said.filter(has_text="[Still firing] Loud")).to_have_count(2)
        expect(said.filter(has_text="[Escalated] Loud")).to_contain_text("second@acme.example")
        expect(page.locator("main")).to_contain_text("Escalated")
        page.get_by_role("button", name="I look after it").click()
        expect(page.locator("main")).to_contain_text(f"{owner.email}, ")
        page.goto(f"/c/acme/alerts/incidents/{by_name['Quiet']}")
        expect(page.locator("main")).to_contain_text("a silence covered it")
        expect(said).to_have_count(0)
        page.goto("/c/acme/alerts/silences")
        expect(page.locator("[data-row]")).to_contain_text("deploy of the shop")
        assert watch.findings == []
