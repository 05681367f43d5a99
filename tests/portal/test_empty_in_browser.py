"""Every page of a customer that has nothing yet: silent, fitting, accessible, and not blank."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from pulse.store.client import Store
from tests.factories.cast import Person
from tests.portal import test_browser
from tests.portal.browser import Scheme, visit

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.django_db(transaction=True),
]
browser = test_browser.browser
PAGES = (
    "live", "live?by=tag", "requests", "objects", "dns", "paths", "vendors", "issues", "alerts",
    "alerts/rules", "alerts/channels", "alerts/silences", "environments", "agents", "usage",
    "invoices", "exports", "deliveries", "settings/retention", "settings/retention/holds",
    "settings/retention/removals", "settings/export", "search?q=nothing",
)  # fmt: skip


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_pages_with_nothing_on_them(
    browser: Browser,
    live_server: object,
    store: Store,  # noqa: ARG001  empty
    customer_owner: Person,
    scheme: Scheme,
    width: int,
) -> None:
    found: dict[str, list[str]] = {}
    with visit(browser, str(live_server), customer_owner, width=width, scheme=scheme) as view:
        page, watch = view
        for path in PAGES:
            found[path] = test_browser._look(page, f"/c/acme/{path}") + watch.findings
            watch.said.clear()
            watch.foreign.clear()
            if len(page.inner_text("main").split()) < 12:
                found[path].append("says next to nothing")
    assert {path: findings for path, findings in found.items() if findings} == {}
