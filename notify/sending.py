"""From a claimed delivery to the transport of its kind."""

from __future__ import annotations

from email.utils import format_datetime

from notify import mailbox, smtp
from notify.brand import Brand
from notify.queue import Claimed
from notify.rendering import Rendered, message
from notify.result import Result
from notify.settings import MailSettings, mail_settings
from qcloud.kernel.sealing import SealerUnavailable


def send(claimed: Claimed) -> Result:
    try:
        return mail(claimed, mail_settings())
    except SealerUnavailable as error:
        return Result("temporary", answer=error.message)


def mail(claimed: Claimed, settings: MailSettings) -> Result:
    """By SMTP, or into the folder while no server is set."""
    brand = Brand(**claimed.payload["brand"])
    rendered = Rendered(*(claimed.payload[name] for name in ("subject", "text", "html")))
    sender = brand.sender or settings.sender
    built = message(
        rendered,
        to=claimed.to,
        brand=brand,
        sender=sender,
        message_id=f"<{claimed.id}@{sender.rpartition('@')[2]}>",
        date=format_datetime(claimed.created_at),
    )
    if settings.host:
        return smtp.send(built, sender=sender, to=claimed.to, settings=settings)
    name = f"{claimed.created_at:%Y%m%dT%H%M%S}-{claimed.what}-{claimed.id}"
    return mailbox.put(built, folder=settings.folder, name=name)
