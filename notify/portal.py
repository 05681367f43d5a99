"""Where the portal is, for links in messages that no request is there to tell."""

from __future__ import annotations

from notify.policies import PORTAL_ADDRESS
from qcloud.kernel.env import Env
from qcloud.kernel.settings import value


def portal_address() -> str:
    """``https://portal.example.org`` without a slash at its end; empty when nobody set it."""
    chosen = value(PORTAL_ADDRESS).rstrip("/")
    if chosen:
        return chosen
    env = Env()
    if env.text("QCLOUD_MODE", "embedded") != "embedded":
        return ""
    return f"http://127.0.0.1:{env.integer('QCLOUD_WEB_PORT', 8600, low=1, high=65_535)}"
