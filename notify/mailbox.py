"""Mail as files, while no SMTP server is set: a person can open the invitation all the same."""

from __future__ import annotations

import os
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from notify.result import Result

KEPT: Final = 500
"""Newest files; older ones are removed."""


def put(mail: EmailMessage, *, folder: Path, name: str) -> Result:
    """Write ``name.eml`` (0600, folder 0700); the same name again replaces the same mail."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = folder / f".{name}.new"
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(mail.as_bytes())
            handle.flush()
            os.fsync(handle.fileno())
        scratch.replace(folder / f"{name}.eml")
        _forget_old(folder)
    except OSError as error:
        return Result("temporary", answer=f"{folder} cannot be written: {error.strerror}")
    return Result("sent", 250, f"{name}.eml")


def _forget_old(folder: Path) -> None:
    """Names begin with the time, so their order is their age."""
    for path in sorted(folder.glob("*.eml"))[:-KEPT]:
        path.unlink(missing_ok=True)
