"""Draws the README's picture: the traffic page of a platform that replays the demo recording.

``python -m tests.e2e.picture docs/pictures/traffic.svg``. The page is printed by Chromium and
turned into SVG, so that it stays text in the repository and sharp at any size.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

from qcloud.platform.environment import Ports
from qcloud.platform.folder import DataFolder
from tests.chromium import CHROMIUM, FLAGS
from tests.e2e import nodes
from tests.e2e.platform import Platform, wait_for

WIDTH: Final = 1280
HEIGHT: Final = 900


def main() -> None:
    nodes.enter_own_namespace("tests.e2e.picture")
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="qcloud-picture-") as name:
        folder = Path(name)
        platform = Platform(DataFolder(folder / "data"), Ports())
        platform.start()
        try:
            platform.command("replay", "--demo")
            wait_for("the replayed events", lambda: _stored(platform), 60, pause=1)
            _print_page(platform, folder / "page.pdf")
        finally:
            platform.stop()
        target.parent.mkdir(parents=True, exist_ok=True)
        drawn = subprocess.check_output(["pdftocairo", "-svg", folder / "page.pdf", "-"], text=True)
        # Thousandths, in coordinates and scales, are finer than any screen.
        target.write_text(re.sub(r"(\d+\.\d{3})\d+", r"\1", drawn), encoding="utf-8")


def _stored(platform: Platform) -> bool:
    return int(platform.store().query("SELECT count() FROM requests").result_rows[0][0]) > 1_000


def _print_page(platform: Platform, target: Path) -> None:
    person = platform.logins["people"]["acme"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"{platform.web}/sign-in")
        page.fill("input[name=email]", person["email"])
        page.fill("input[name=password]", person["password"])
        page.click("button[type=submit]")
        page.goto(f"{platform.web}/c/acme/live?from=now-15m&to=now")
        page.wait_for_timeout(1_500)
        _as_on_screen(page)
        page.pdf(path=target, width=f"{WIDTH}px", height=f"{HEIGHT}px", print_background=True,
                 page_ranges="1")  # fmt: skip
        browser.close()


def _as_on_screen(page: Page) -> None:
    """What is for paper or for the keyboard stays away: the picture shows what one sees."""
    page.emulate_media(media="screen")
    page.evaluate("document.querySelector('.skip').remove()")


if __name__ == "__main__":
    main()
