"""The settings of this room: the mail server that messages leave by, and from whom."""

from __future__ import annotations

from typing import Final

from qcloud.kernel.settings import Candidate, Group, choice, email, host, integer, secret, text


def _usable(candidate: Candidate) -> dict[str, str]:
    wrong = {}
    if candidate(MAIL_HOST) and not candidate(MAIL_SENDER):
        wrong[MAIL_SENDER.key] = "Mail needs a sender that its readers can answer or filter by."
    if candidate(MAIL_USER) and candidate(MAIL_SECURITY) == "none":
        wrong[MAIL_SECURITY.key] = "Without TLS the user's password would travel in the clear."
    if candidate(MAIL_PASSWORD) and not candidate(MAIL_USER):
        wrong[MAIL_USER.key] = "A password needs its user."
    return wrong


MAIL: Final = Group(
    "mail",
    "Mail",
    "The server that invitations, notices and invoices leave by. Without one no mail is sent.",
    40,
    _usable,
)
MAIL_HOST: Final = host(
    "notify.mail.host", "Server", about="Name or address. Empty: no mail.", group=MAIL
)
MAIL_PORT: Final = integer(
    "notify.mail.port",
    "Port",
    about="587 for STARTTLS, 465 for TLS from the first byte, 25 for none.",
    group=MAIL,
    default=587,
    low=1,
    high=65_535,
)
MAIL_SECURITY: Final = choice(
    "notify.mail.security",
    "Encryption",
    about="None only for a relay on the same machine or network.",
    group=MAIL,
    default="starttls",
    options=(("starttls", "STARTTLS"), ("tls", "TLS from the first byte"), ("none", "None")),
    sensitive=True,
)
MAIL_USER: Final = text(
    "notify.mail.user",
    "User",
    about="Empty where the server asks for none.",
    group=MAIL,
    default="",
    most=254,
)
MAIL_PASSWORD: Final = secret(
    "notify.mail.password", "Password", about="Sealed; never shown again.", group=MAIL
)
MAIL_SENDER: Final = email(
    "notify.mail.sender",
    "Sender's address",
    about="Of the provider's own mail, and of everybody whose brand has none.",
    group=MAIL,
)
MAIL_SENDER_NAME: Final = text(
    "notify.mail.sender_name",
    "Sender's name",
    about="What readers see beside the address.",
    group=MAIL,
    default="QCloud",
    most=100,
)
