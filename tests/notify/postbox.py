"""A real SMTP server on loopback whose behaviour a test chooses."""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tests.pulse.conftest import free_port


@dataclass
class Postbox:
    """What came in, and what the server says at each step."""

    mails: list[EmailMessage] = field(default_factory=list)
    at_rcpt: list[str] = field(default_factory=list)
    """Answers to RCPT, used up one by one; then 250."""
    at_data: list[str] = field(default_factory=list)
    kill_after_data: int = 0
    """A process that dies when the mail is here and before it hears so."""
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if self.at_rcpt and (answer := self.at_rcpt.pop(0)):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.at_data and (answer := self.at_data.pop(0)):
            return answer
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        if self.kill_after_data:
            os.kill(self.kill_after_data, signal.SIGKILL)
        return "250 taken"

    def authenticate(
        self, _server: SMTP, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)


@contextmanager
def served(
    postbox: Postbox, *, tls: ssl.SSLContext | None = None, auth: bool = False
) -> Iterator[Postbox]:
    """``tls`` offers STARTTLS; ``auth`` demands a login."""
    postbox.port = free_port()
    extra: dict[str, Any] = (
        {"authenticator": postbox.authenticate, "auth_required": True} if auth else {}
    )
    controller = Controller(
        postbox, hostname="127.0.0.1", port=postbox.port, tls_context=tls, **extra
    )
    controller.start()
    try:
        yield postbox
    finally:
        controller.stop()
