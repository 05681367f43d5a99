"""Templates into messages. Text is plain; in HTML every value is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from django.template import Context, Engine

from notify.brand import Brand
from notify.models import MAX_SUBJECT

TEMPLATES: Final[dict[str, frozenset[str]]] = {
    "invitation": frozenset({"inviter", "account", "role", "link", "expires"}),
    "password_reset": frozenset({"link", "expires"}),
    "new_device": frozenset({"account", "when", "ip", "device", "link"}),
    "locked_out": frozenset({"when", "ip", "until", "link"}),
    "notice": frozenset({"heading", "lines"}),
    "alert": frozenset({"heading", "state", "severity", "facts", "link", "silence_link"}),
}
"""Every template and the names it must be given; more may be given."""

_FOLDER: Final = Path(__file__).parent / "templates" / "mail"
_TEXT: Final = Engine(dirs=[str(_FOLDER)], autoescape=False)
_HTML: Final = Engine(dirs=[str(_FOLDER)], autoescape=True)


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str
    text: str
    html: str


def render(template: str, context: Mapping[str, Any], brand: Brand) -> Rendered:
    """Raises ``ValueError`` for an unknown template, a missing name or a link that is none."""
    if template not in TEMPLATES:
        raise ValueError(f"no mail template {template!r}; known: {', '.join(sorted(TEMPLATES))}")
    if missing := TEMPLATES[template] - context.keys():
        raise ValueError(f"mail {template!r} needs {', '.join(sorted(missing))}")
    for name, value in context.items():
        if name.endswith("link") and value and urlsplit(str(value)).scheme not in {"http", "https"}:
            raise ValueError(f"mail {template!r}: {name} must be an http or https address")
    values = {**context, "brand": brand}
    subject = _TEXT.get_template(f"{template}.subject.txt").render(
        Context(values, autoescape=False)
    )
    text = _TEXT.get_template(f"{template}.txt").render(Context(values, autoescape=False))
    html = _HTML.get_template(f"{template}.html").render(Context(values))
    return Rendered(one_line(subject)[:MAX_SUBJECT], text.strip() + "\n", html)


def one_line(text: str) -> str:
    """Line ends and other control characters become spaces: a header is one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def message(
    rendered: Rendered, *, to: str, brand: Brand, sender: str, message_id: str, date: str
) -> EmailMessage:
    """The mail. ``to`` and ``sender`` have passed ``mail_address``.

    ``email`` refuses a line end in any header (``ValueError``); nothing here should get so far.
    """
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = rendered.subject
    mail["From"] = Address(one_line(brand.product)[:100], addr_spec=brand.sender or sender)
    mail["To"] = Address(addr_spec=to)
    if brand.reply_to:
        mail["Reply-To"] = Address(addr_spec=brand.reply_to)
    mail["Date"] = date
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(rendered.text)
    mail.add_alternative(rendered.html, subtype="html")
    return mail
