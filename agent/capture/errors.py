"""What can keep capture from starting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Finding(NamedTuple):
    """Something that capture lacks, in words for an operator."""

    what: str
    why: str
    todo: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}. {self.todo}"


class CaptureUnavailable(Exception):
    """Capture cannot run here; ``findings`` say why and what to do."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(" ".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


class BpfError(Exception):
    """The kernel or libbpf refused a call; the message is for the operator."""
