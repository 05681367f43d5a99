"""What people are told by mail about their own sign-in.

Written to the outbox where it happens and turned into mail by a task: sending takes time, and
how long an answer takes must not tell whether a name exists.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from identity.brands import seller_at
from identity.models import Account, Membership, User
from notify.services import mail_send
from qcloud.kernel import outbox
from qcloud.kernel.models import OutboxMessage
from qcloud.kernel.permissions import RoleName
from qcloud.kernel.scope import Tier, unscoped

LOCKED: Final = "identity.access.locked"
NEW_DEVICE: Final = "identity.access.new_device"
CHANGED: Final = "identity.access.changed"
BREAK_GLASS: Final = "identity.access.break_glass"
RESET_ASKED: Final = "identity.password.reset_asked"

TOPICS: Final = (LOCKED, NEW_DEVICE, CHANGED, BREAK_GLASS, RESET_ASKED)


def tell(topic: str, **payload: Any) -> None:
    with unscoped("notices: of a person, whatever the account"):
        outbox.publish(topic, payload, account_id=None)


def send(message: OutboxMessage) -> None:
    """One message as mail. Seeing it twice sends once."""
    words: dict[str, Any] = message.payload
    key = f"notice:{message.id}"
    if message.topic == BREAK_GLASS:
        for owner in cloud_owners():
            _notice(owner, key, "Break-glass sign-in was used", words["lines"], words["link"])
        return
    with unscoped("notices: of a person, whatever the account"):
        user = User.objects.filter(email=words["email"], is_active=True).first()
    if user is None:
        return
    if message.topic == CHANGED:
        _notice(user, key, words["heading"], words["lines"], words["link"])
        return
    words = words | {"link": words["link"] if is_own_address(words["link"], user) else ""}
    template = "locked_out" if message.topic == LOCKED else "new_device"
    context = {name: text for name, text in words.items() if name != "email"}
    mail_send(account_id=None, to=user.email, template=template, context=context, key=key)


def is_own_address(link: str, user: User) -> bool:
    """Whether a mail may lead the person to this address of a portal.

    Who asked chose its host name, and it may be a reseller's, who could read what arrives
    there: only people who work below that reseller and nowhere else are led to it.
    """
    seller = seller_at(urlsplit(link).hostname or "")
    if seller is None:
        return True
    with unscoped("notices: of a person, whatever the account"):
        places = Membership.objects.filter(user_id=user.id).values_list("account_id", flat=True)
        rows = Account.objects.filter(id__in=list(places))
        paths = list(rows.values_list("account_path", flat=True))
    return bool(paths) and all(path.startswith(seller) for path in paths)


def _notice(user: User, key: str, heading: str, lines: list[str], link: str) -> None:
    link = link if is_own_address(link, user) else ""
    mail_send(
        account_id=None,
        to=user.email,
        template="notice",
        context={"heading": heading, "lines": lines, "link": link},
        key=f"{key}:{user.id}",
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
