"""What the audit needs to know of the configuration in force."""

from __future__ import annotations

from typing import Protocol

from agent.capture.source import Connection
from agent.link.settings import About, LinkSettings
from agent.plugins.subject import Subject
from agent.stores.base import Event


class DnsPolicy(Protocol):
    """A configuration at work, as ``agent.config.policy.Policy`` is."""

    link: LinkSettings

    @property
    def audits_dns(self) -> bool:
        """It is asked for, and there is somebody to tell."""
        ...

    @property
    def reports_connections(self) -> bool: ...

    def describe_dns(self, connection: Connection) -> About | None:
        """``None``: this process's lookups are left alone."""
        ...

    def allows(self, subject: Subject) -> bool: ...

    def emit(self, event: Event) -> None: ...
