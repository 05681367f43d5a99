"""A real Chromium on the portal, watched: what it says, asks for and refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from portal.sessions import PORTALS, cookie_name
from tests.factories.cast import Person
from tests.portal.conftest import session_key

AXE: Final = (
    Path(__file__).resolve().parents[2] / "portal/frontend/node_modules/axe-core/axe.min.js"
)
Scheme = Literal["light", "dark"]


@dataclass
class Watch:
    """Everything that a page should not have done."""

    base: str
    said: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def on(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        self.said.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.base).netloc:
            self.foreign.append(request.url)

    @property
    def findings(self) -> list[str]:
        return self.said + [f"foreign host: {url}" for url in self.foreign]


@contextmanager
def visit(
    browser: Browser,
    base: str,
    person: Person | None,
    *,
    width: int = 1440,
    scheme: Scheme = "light",
    scripts: bool = True,
) -> Iterator[tuple[Page, Watch]]:
    """A page of a browser of its own, signed in as the person."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
        java_script_enabled=scripts,
        base_url=base,
    )
    context.set_default_timeout(10_000)
    if person:
        context.add_cookies(
            [
                {"name": cookie_name(prefix), "value": session_key(person, prefix), "url": base}
                for prefix in PORTALS
            ]
        )
    page = context.new_page()
    watch = Watch(base)
    watch.on(page)
    try:
        yield page, watch
    finally:
        context.close()


def axe_findings(page: Page) -> list[str]:
    """What axe-core objects to, a line each."""
    page.evaluate(AXE.read_text())
    found: Any = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary'][:200]}"
        for violation in found["violations"]
        for node in violation["nodes"][:3]
    ]


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
