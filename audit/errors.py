"""What can go wrong with a journal entry. All of these are faults of the calling code."""

from __future__ import annotations

from qcloud.kernel.errors import QCloudError


class AuditRefused(QCloudError):
    """``audit.entry_refused``, 500: the entry cannot be written, so the action must not happen."""

    def __init__(self, message: str) -> None:
        super().__init__("audit.entry_refused", 500, message)
