"""One thing to tell, in the three shapes that channels take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_SLACK_TEXT: Final = 300
_SLACK_FIELDS: Final = 10


@dataclass(frozen=True, slots=True)
class Notice:
    event: str
    """``alert.firing``, for programs."""
    heading: str
    state: str
    """A word for people: Firing, Recovered, Test."""
    severity: str
    facts: tuple[tuple[str, str], ...]
    """Names and values, in order."""
    link: str
    """To the page that shows it; may be empty."""
    silence_link: str = ""
    colour: str = "#0A5BAE"
    data: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs."""


def mail_context(notice: Notice) -> dict[str, Any]:
    return {
        "heading": notice.heading,
        "state": notice.state,
        "severity": notice.severity,
        "facts": [list(fact) for fact in notice.facts],
        "link": notice.link,
        "silence_link": notice.silence_link,
    }


def webhook_body(notice: Notice, *, sent_at: str) -> dict[str, Any]:
    return {
        "event": notice.event,
        "at": sent_at,
        "heading": notice.heading,
        "state": notice.state,
        "severity": notice.severity,
        "link": notice.link,
        "data": dict(notice.data),
    }


def slack_body(notice: Notice) -> dict[str, Any]:
    """As Slack's incoming webhooks take it, and Mattermost, Rocket.Chat and Zulip."""
    title = f"[{notice.state}] {notice.heading}"
    attachment: dict[str, Any] = {
        "color": notice.colour,
        "fallback": _escaped(title),
        "title": _escaped(title),
        "fields": [
            {"title": _escaped(name), "value": _escaped(value), "short": len(value) < 40}
            for name, value in notice.facts[:_SLACK_FIELDS]
        ],
    }
    if notice.link:
        attachment["title_link"] = notice.link
    return {"text": _escaped(title), "attachments": [attachment]}


def _escaped(text: str) -> str:
    """Slack's three characters: ``<!channel>`` in a path must not call everybody."""
    cut = text[:_SLACK_TEXT]
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
