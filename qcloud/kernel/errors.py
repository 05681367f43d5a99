"""One kind of error for everything that a caller can do something about.

Rooms raise these, each door (portal, API, ingest, command line) translates them once.
"""

from __future__ import annotations

from typing import Any


class QCloudError(Exception):
    """What happened and what to do, in one sentence for the person who reads it.

    ``code`` is stable and names the room: ``billing.period_open``. ``data`` is for
    programs: field names, limits, lines.
    """

    def __init__(self, code: str, http_status: int, message: str, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.message = message
        self.data = data


class Denied(QCloudError):
    """The actor is known and lacks a right; the reason is a sentence that the actor reads."""

    def __init__(self, reason: str, *, code: str = "kernel.denied", **data: Any) -> None:
        super().__init__(code, 403, reason, **data)


class StepUpNeeded(Denied):
    """The person must prove once more who it is; the door asks and comes back."""

    def __init__(self) -> None:
        super().__init__(
            "This needs a fresh proof that it is you: confirm with your second factor,"
            " or with your password where none is set up.",
            code="kernel.step_up",
        )


class NotFound(QCloudError):
    """It does not exist, or not for this actor: the answer is the same."""

    def __init__(self, message: str, *, code: str = "kernel.not_found", **data: Any) -> None:
        super().__init__(code, 404, message, **data)


class Conflict(QCloudError):
    """The object's state forbids it now; the message says which state would allow it."""

    def __init__(self, message: str, *, code: str = "kernel.conflict", **data: Any) -> None:
        super().__init__(code, 409, message, **data)


class Invalid(QCloudError):
    """The input is wrong; ``data["fields"]`` may map field names to messages."""

    def __init__(self, message: str, *, code: str = "kernel.invalid", **data: Any) -> None:
        super().__init__(code, 422, message, **data)


class ScopeMissing(RuntimeError):
    """A tenant table was touched with no scope open. A defect, never an answer to a caller."""
