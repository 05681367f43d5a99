"""From a claimed delivery to the transport of its kind."""

from __future__ import annotations

from email.utils import format_datetime

from notify import mailbox, outside, policies, signing, smtp
from notify.brand import Brand
from notify.channels import target_of
from notify.models import Kind
from notify.queue import Claimed
from notify.rendering import Rendered, message
from notify.result import Result
from notify.settings import MailSettings, mail_settings
from qcloud.kernel.clock import now
from qcloud.kernel.sealing import SealerUnavailable
from qcloud.kernel.settings import Network, value


def send(claimed: Claimed) -> Result:
    try:
        if claimed.kind == Kind.MAIL:
            return mail(claimed, mail_settings())
        return webhook(claimed)
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


def webhook(claimed: Claimed) -> Result:
    """POST to the channel as it is now: a corrected address holds for what still waits."""
    target = target_of(claimed.channel_id, claimed.account_id)
    if target is None:
        return Result("permanent", answer="The channel was removed.")
    body = str(claimed.payload["body"]).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "QCloud-Webhook/1",
        "QCloud-Delivery": str(claimed.id),
        "QCloud-Event": claimed.what,
    }
    if target.secrets:
        stamp = int(now().timestamp())
        headers["QCloud-Signature"] = signing.header(target.secrets, stamp, body)
    networks: tuple[Network, ...] = value(policies.WEBHOOK_NETWORKS)
    return outside.post(
        target.url,
        body,
        headers,
        networks=networks,
        ca_file=value(policies.WEBHOOK_CA_FILE),
    )
