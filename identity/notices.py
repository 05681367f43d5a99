"""What people are told by mail about their own sign-in.

Written to the outbox where it happens and turned into mail by a task: sending takes time, and
how long an answer takes must not tell whether a name exists.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from identity import access
from identity.access import Visitor
from identity.brands import mail_brand
from identity.hosts import address
from identity.models import Account, Membership, User
from identity.selectors import memberships_of
from notify.services import Brand, mail_send
from qcloud.kernel import outbox
from qcloud.kernel.clock import now
from qcloud.kernel.models import OutboxMessage
from qcloud.kernel.permissions import RoleName
from qcloud.kernel.scope import Tier, unscoped

LOCKED: Final = "identity.access.locked"
NEW_DEVICE: Final = "identity.access.new_device"
CHANGED: Final = "identity.access.changed"
BREAK_GLASS: Final = "identity.access.break_glass"
RESET_ASKED: Final = "identity.password.reset_asked"

TOPICS: Final = (LOCKED, NEW_DEVICE, CHANGED, BREAK_GLASS, RESET_ASKED)


def tell(topic: str, visitor: Visitor, **payload: Any) -> None:
    site = visitor.site.account_id
    payload |= {"portal": visitor.portal, "site": str(site) if site else ""}
    with unscoped("notices: of a person, whatever the account"):
        outbox.publish(topic, payload, account_id=None)


def changed(user: User, visitor: Visitor, heading: str, what: str) -> None:
    """Tell somebody that something about its own sign-in was changed."""
    lines = [
        f"{what} on {clock(now())} from {visitor.ip or 'the platform'}.",
        "If it was not you, ask for a new password at once and tell whoever runs the platform.",
    ]
    tell(CHANGED, visitor, email=user.email, heading=heading, lines=lines)


def send(message: OutboxMessage) -> None:
    """One message as mail. Seeing it twice sends once."""
    words: dict[str, Any] = dict(message.payload)
    key, portal = f"notice:{message.id}", words.pop("portal", "")
    site = UUID(text) if (text := words.pop("site", "")) else None
    if message.topic == BREAK_GLASS:
        for owner in cloud_owners():
            link = door_link(owner, None, "admin")
            _notice(owner, key, words, link, "admin")
        return
    with unscoped("notices: of a person, whatever the account"):
        user = User.objects.filter(email=words["email"], is_active=True).first()
    if user is None:
        return
    link = door_link(user, site, portal)
    if message.topic == CHANGED:
        _notice(user, key, words, link, portal)
        return
    template = "locked_out" if message.topic == LOCKED else "new_device"
    context = {name: text for name, text in words.items() if name != "email"} | {"link": link}
    mail_send(
        account_id=None,
        to=user.email,
        template=template,
        context=context,
        key=key,
        brand=brand_for(user, portal),
    )


def door_link(user: User, site: UUID | None, portal: str) -> str:
    """The sign-in page, for a mail to the person. ``site``: whose host name was typed."""
    return (
        f"{address_for(user, site)}/{portal}/sign-in"
        if portal
        else f"{address_for(user, site)}/sign-in"
    )


def address_for(user: User, site: UUID | None) -> str:
    return address(site, [m.account.path for m in memberships_of(user.id)])


def brand_for(user: User, portal: str) -> Brand:
    """Of the account that the person works for in that portal."""
    home = access.home(user.id, portal)
    return mail_brand(home.path) if home else Brand()


def _notice(user: User, key: str, words: dict[str, Any], link: str, portal: str) -> None:
    mail_send(
        account_id=None,
        to=user.email,
        template="notice",
        context={"heading": words["heading"], "lines": words["lines"], "link": link},
        key=f"{key}:{user.id}",
        brand=brand_for(user, portal),
    )


def cloud_owners() -> list[User]:
    with unscoped("notices: of a person, whatever the account"):
        root = Account.objects.filter(tier=Tier.CLOUD).first()
        rows = Membership.objects.select_related("user").filter(
            account_id=root.id if root else None, role=RoleName.OWNER
        )
        return [row.user for row in rows]


def clock(moment: datetime) -> str:
    return f"{moment:%d %B %Y, %H:%M} UTC"
