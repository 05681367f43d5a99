"""How mail leaves the platform, read for each mail: a change holds at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from notify import policies
from qcloud.kernel.env import Env
from qcloud.kernel.settings import value


@dataclass(frozen=True)
class MailSettings:
    folder: Path
    """Where mails lie as files while no server is named."""
    host: str = ""
    """Of the SMTP server; empty: the folder."""
    port: int = 587
    security: str = "starttls"
    """``starttls``, ``tls`` (from the first byte) or ``none``, which carries no password."""
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = "qcloud@localhost"
    ca_file: str = ""
    """Certificates to trust instead of the system's."""

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]


def mail_settings() -> MailSettings:
    """Raises ``SealerUnavailable`` when the password cannot be opened."""
    return MailSettings(
        folder=Env().path("QCLOUD_MAIL_PATH", Path.cwd() / ".data" / "mail"),
        host=value(policies.MAIL_HOST),
        port=value(policies.MAIL_PORT),
        security=value(policies.MAIL_SECURITY),
        user=value(policies.MAIL_USER),
        password=value(policies.MAIL_PASSWORD) if value(policies.MAIL_USER) else "",
        sender=value(policies.MAIL_SENDER) or MailSettings.sender,
        ca_file=value(policies.MAIL_CA_FILE),
    )
