"""Typed readers for settings from the environment.

A secret can also come from the file named by ``NAME_FILE``, as container platforms and
secret agents deliver it, or from the source installed in ``qcloud.kernel.secrets``. A reader
raises ``SettingError`` with the variable's name and what it should hold, so that a process
refuses to start instead of running unsafely.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from qcloud.kernel import secrets

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class SettingError(RuntimeError):
    """A setting is missing or unusable; the message says which and what to set."""


class Env:
    """Reads ``QCLOUD_…`` variables from a mapping, the process's environment by default."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def given(self, name: str) -> bool:
        """Whether somebody set the variable, rather than leaving it at its default."""
        return name in self._values

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, default)
        if value is None:
            raise SettingError(f"{name} is not set")
        return value

    def secret(self, name: str, default: str | None = None) -> str:
        """The value of ``name``, the content of the file that ``name_FILE`` names, or what the
        installed source has.
        """
        path = self._values.get(f"{name}_FILE")
        if path is None:
            kept = None if name in self._values else _from_source(name)
            return self.text(name, default) if kept is None else kept
        if name in self._values:
            raise SettingError(f"set {name} or {name}_FILE, not both")
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"{name}_FILE: cannot read {path}: {error}") from error

    def flag(self, name: str, *, default: bool) -> bool:
        raw = self._values.get(name)
        if raw is None:
            return default
        if raw.lower() in _TRUE:
            return True
        if raw.lower() in _FALSE:
            return False
        raise SettingError(f"{name} must be true or false, not {raw!r}")

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        raw = self._values.get(name)
        if raw is None:
            return default
        try:
            value = int(raw)
        except ValueError:
            raise SettingError(f"{name} must be a whole number, not {raw!r}") from None
        if not low <= value <= high:
            raise SettingError(f"{name} must be between {low} and {high}, not {value}")
        return value

    def names(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A comma-separated list."""
        raw = self._values.get(name)
        if raw is None:
            return default
        return tuple(part for part in (piece.strip() for piece in raw.split(",")) if part)

    def path(self, name: str, default: Path | None = None) -> Path:
        raw = self._values.get(name)
        if raw is None:
            if default is None:
                raise SettingError(f"{name} is not set")
            return default
        return Path(raw).expanduser().resolve()


def _from_source(name: str) -> str | None:
    source = secrets.source()
    return source.read(name) if source else None
