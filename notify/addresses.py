"""Mail addresses: one, plain, and nothing that could become a second header."""

from __future__ import annotations

import re
from typing import Final

from qcloud.kernel.errors import Invalid

_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
_LONGEST: Final = 254


def mail_address(text: str) -> str:
    """The address with its domain in ASCII (IDNA).

    Quoted local parts, address literals, lists and display names are refused: no person's
    address needs them, and each is a way to smuggle something in. Raises ``Invalid``.
    """
    local, _, domain = text.rpartition("@")
    try:
        domain = domain.encode("idna").decode() if domain else ""
    except UnicodeError:
        domain = ""
    labels = domain.split(".")
    if (
        not _LOCAL.match(local)
        or len(local) > 64
        or not all(_LABEL.match(label) for label in labels)
        or len(local) + 1 + len(domain) > _LONGEST
    ):
        raise Invalid(
            "This is not a mail address that can be written to.",
            code="notify.address",
            fields={"to": "One address like name@example.org, in plain letters before the @."},
        )
    return f"{local}@{domain}"
