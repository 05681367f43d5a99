"""The settings of this room: the mail server that messages leave by, and from whom."""

from __future__ import annotations

from typing import Final

from qcloud.kernel import erasure
from qcloud.kernel.settings import (
    Candidate,
    Group,
    choice,
    email,
    host,
    integer,
    networks,
    secret,
    text,
)


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
    "The server that invitations, notices and invoices leave by. Without one each mail is"
    " written as a file into the platform's data folder, for its operator alone.",
    40,
    _usable,
)
MAIL_HOST: Final = host(
    "notify.mail.host", "Server", about="Name or address. Empty: files.", group=MAIL
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
MAIL_CA_FILE: Final = text(
    "notify.mail.ca_file",
    "Certificate authority",
    about="A PEM file on the platform's machines, for a server whose certificate your own"
    " authority signed. Empty: the system's authorities.",
    group=MAIL,
    default="",
    most=400,
)

WEBHOOKS: Final = Group(
    "webhooks",
    "Webhooks",
    "Where customers may have alerts sent to. Public addresses are always allowed; every other"
    " one only if it is listed, so that nobody reaches into the platform's own network.",
    45,
)
WEBHOOK_NETWORKS: Final = networks(
    "notify.webhook.networks",
    "Private networks",
    about="Private, loopback and link-local networks that webhooks may reach, one a line,"
    " such as 10.20.0.0/16. Empty: none.",
    group=WEBHOOKS,
    sensitive=True,
)
WEBHOOK_CA_FILE: Final = text(
    "notify.webhook.ca_file",
    "Certificate authority",
    about="A PEM file on the platform's machines, for receivers whose certificates your own"
    " authority signed. Empty: the system's authorities.",
    group=WEBHOOKS,
    default="",
    most=400,
)
PORTAL_ADDRESS: Final = text(
    "notify.portal.address",
    "Portal's address",
    about="What links in mails and webhooks begin with: https://portal.example.org. Empty: no"
    " links, or this machine's own where the platform runs on one.",
    group=MAIL,
    default="",
    most=200,
)

erasure.step("notify", order=95)
