"""Charts in Chromium: drawn by fingers as by a mouse, and what has no neighbour is seen."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from pulse.store.client import Store
from qcloud.kernel.clock import now
from tests.factories.cast import Person
from tests.portal import test_browser
from tests.portal.browser import visit
from tests.portal.world import World
from tests.pulse.rows import put

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300)]
browser = test_browser.browser

_SWIPE: Final = """([from, to]) => {
  const over = document.querySelector("#chart-status .u-over");
  const box = over.getBoundingClientRect();
  const send = (name, share) => over.dispatchEvent(new PointerEvent(name, {
    pointerType: "touch", isPrimary: true, bubbles: true,
    clientX: box.left + box.width * share, clientY: box.top + 20,
  }));
  send("pointerdown", from);
  send("pointermove", (from + to) / 2);
  send("pointerup", to);
}"""
_INK: Final = """(name) => {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  const canvas = document.querySelector("#chart-latency canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255) count += 1;
  return count;
}"""


def swipe(page: Page, start: float, end: float) -> None:
    """A finger across the chart, in shares of its width."""
    page.evaluate(_SWIPE, [start, end])


def test_a_finger_chooses_a_range_and_a_tap_does_not(
    browser: Browser,
    live_server: object,
    world: World,  # noqa: ARG001
    customer_owner: Person,
) -> None:
    with visit(browser, str(live_server), customer_owner, width=390) as (page, watch):
        page.goto("/c/acme/live")
        page.wait_for_selector("#chart-status .u-over")
        swipe(page, 0.5, 0.5)
        assert page.url.endswith("/c/acme/live")
        touch = page.evaluate(
            "getComputedStyle(document.querySelector('#chart-status .u-over')).touchAction"
        )
        assert touch == "pan-y", "the page still scrolls"
        swipe(page, 0.9, 0.6)
        page.wait_for_url("**from=20**")
        assert watch.findings == []


def test_one_request_alone_is_seen_in_every_chart(
    browser: Browser,
    live_server: object,
    world: World,
    customer_owner: Person,
    store: Store,
) -> None:
    at = now().replace(second=0, microsecond=0) - timedelta(minutes=30)
    put(store, customer_owner.account.id, world.environment_id, at, host="alone.example")
    since, until = (f"{t.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for t in _around(at))
    address = f"/c/acme/live?from={since}&to={until}&f.host=alone.example"
    with visit(browser, str(live_server), customer_owner) as (page, watch):
        page.goto(address)
        page.wait_for_selector("#chart-latency canvas")
        page.wait_for_load_state("networkidle")
        assert "1 requests;" in page.inner_text("#by-status")
        # The last percentile lies on top of the others, which are the same here.
        assert page.evaluate(_INK, "series-5") >= 12
        assert watch.findings == []


def test_a_live_page_without_answers_says_since_when(
    browser: Browser,
    live_server: object,
    world: World,  # noqa: ARG001
    customer_owner: Person,
) -> None:
    with visit(browser, str(live_server), customer_owner) as (page, _watch):
        page.goto("/c/acme/live")
        badge = page.locator("[data-live-state]")
        expect(badge).to_have_attribute("data-live-state", "live")
        page.context.set_offline(True)
        expect(badge).to_have_attribute("data-live-state", "lost", timeout=15_000)
        said = badge.inner_text()
        assert re.fullmatch(r"No answer since \d\d:\d\d:\d\d; asked again every few seconds", said)
        page.wait_for_timeout(2_000)
        assert badge.inner_text() == said, "the time stays that of the first"
        page.context.set_offline(False)
        expect(badge).to_have_attribute("data-live-state", "live", timeout=15_000)


def test_without_scripts_nothing_pretends_to_be_live(
    browser: Browser,
    live_server: object,
    world: World,  # noqa: ARG001
    customer_owner: Person,
) -> None:
    with visit(browser, str(live_server), customer_owner, scripts=False) as (page, _watch):
        page.goto("/c/acme/live")
        assert "Live, every" not in page.inner_text("main")
        assert page.locator("[data-plot]:visible").count() == 0
        page.get_by_text("Show the numbers").first.click()
        assert page.locator("table[data-series]").first.is_visible()


def _around(at: datetime) -> tuple[datetime, datetime]:
    return at - timedelta(seconds=30), at + timedelta(seconds=30)
