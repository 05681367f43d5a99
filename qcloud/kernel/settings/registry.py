"""What settings there are. Each room declares its own in ``policies.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from qcloud.kernel.env import Env, SettingError
from qcloud.kernel.settings import kinds
from qcloud.kernel.settings.kinds import Kind, Network

T = TypeVar("T")


class Candidate:
    """The values of a group as they would be after a change, for its check."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __call__(self, setting: Setting[T]) -> T:
        found: T = self._values[setting.key]
        return found


Check = Callable[[Candidate], dict[str, str]]
"""What is wrong with a combination: key → sentence; empty if nothing."""


def _nothing(_candidate: Candidate) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Group:
    """Settings that stand on one page, are saved together and checked together."""

    key: str
    title: str
    lead: str
    order: int
    """Of the pages."""
    check: Check = _nothing


@dataclass(frozen=True)
class Setting(Generic[T]):
    key: str
    """``room.object.name``."""
    label: str
    about: str
    group: Group
    kind: Kind[T]
    default: T
    sensitive: bool = False
    """Changing it asks for a fresh proof of identity."""
    unit: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that fixes the value."""
        return f"QCLOUD_{self.key.replace('.', '_').upper()}"

    @property
    def is_secret(self) -> bool:
        return isinstance(self.kind, kinds.Secret)

    def parse(self, text: str) -> T:
        """Raises ``ValueError`` with the sentence for the person."""
        return self.kind.parse(text.replace("\0", ""))

    def show(self, value: T) -> str:
        return self.kind.show(value)

    def from_environment(self) -> tuple[T] | None:
        """The value that a variable fixes. Raises ``SettingError`` for an unusable one."""
        env = Env()
        if not env.given(self.variable) and not (
            self.is_secret and env.given(f"{self.variable}_FILE")
        ):
            return None
        raw = env.secret(self.variable) if self.is_secret else env.text(self.variable)
        return (self._parsed(raw),)

    def _parsed(self, raw: str) -> T:
        known: tuple[str, T] | None = _parsed.get(self.key)
        if known is not None and known[0] == raw and not self.is_secret:
            return known[1]
        try:
            value = self.parse(raw)
        except ValueError as error:
            raise SettingError(f"{self.variable}: {error}") from error
        if not self.is_secret:
            _parsed[self.key] = (raw, value)
        return value


_parsed: Final[dict[str, tuple[str, Any]]] = {}


@dataclass
class _Registry:
    settings: dict[str, Setting[Any]] = field(default_factory=dict)


_registry: Final = _Registry()


def declared(group: Group | None = None) -> tuple[Setting[Any], ...]:
    """All settings, or a group's, in the order of their declaration."""
    every = _registry.settings.values()
    return tuple(s for s in every if group is None or s.group.key == group.key)


def groups() -> tuple[Group, ...]:
    found = {setting.group.key: setting.group for setting in declared()}
    return tuple(sorted(found.values(), key=lambda group: group.order))


def named(key: str) -> Setting[Any] | None:
    return _registry.settings.get(key)


def check_environment() -> None:
    """At start: raises ``SettingError`` that lists every unusable variable."""
    wrong = []
    for setting in declared():
        try:
            setting.from_environment()
        except SettingError as error:
            wrong.append(str(error))
    if wrong:
        raise SettingError("unusable settings:\n  " + "\n  ".join(wrong))


def _declare(setting: Setting[T]) -> Setting[T]:
    if setting.key in _registry.settings:
        raise RuntimeError(f"the setting {setting.key} is declared twice")
    setting.parse(setting.show(setting.default))  # a default is a value like any other
    _registry.settings[setting.key] = setting
    return setting


def flag(
    key: str,
    label: str,
    *,
    about: str,
    group: Group,
    default: bool,
    sensitive: bool = False,
) -> Setting[bool]:
    return _declare(Setting(key, label, about, group, kinds.Flag(), default, sensitive))


def integer(
    key: str,
    label: str,
    *,
    about: str,
    group: Group,
    default: int,
    low: int,
    high: int,
    unit: str = "",
    sensitive: bool = False,
) -> Setting[int]:
    kind = kinds.Integer(low, high)
    return _declare(Setting(key, label, about, group, kind, default, sensitive, unit))


def limit(
    key: str,
    label: str,
    *,
    about: str,
    group: Group,
    default: int | None,
    high: int,
    unit: str = "",
) -> Setting[int | None]:
    kind: Kind[int | None] = kinds.Limit(high)
    return _declare(Setting(key, label, about, group, kind, default, sensitive=False, unit=unit))


def duration(
    key: str,
    label: str,
    *,
    about: str,
    group: Group,
    default: timedelta,
    low: timedelta,
    high: timedelta,
    sensitive: bool = False,
) -> Setting[timedelta]:
    return _declare(
        Setting(key, label, about, group, kinds.Duration(low, high), default, sensitive)
    )


def text(
    key: str,
    label: str,
    *,
    about: str,
    group: Group,
    default: str,
    most: int = 200,
    optional: bool = False,
    sensitive: bool = False,
) -> Setting[str]:
    kind = kinds.Text(most, optional or not default)
    return _declare(Setting(key, label, about, group, kind, default, sensitive))


def choice(
    key: str,
    label: str,
    *,
    about: str,
    group: Group,
    default: str,
    options: tuple[tuple[str, str], ...],
    sensitive: bool = False,
) -> Setting[str]:
    return _declare(Setting(key, label, about, group, kinds.Choice(options), default, sensitive))


def email(
    key: str,
    label: str,
    *,
    about: str,
    group: Group,
    default: str = "",
    sensitive: bool = False,
) -> Setting[str]:
    return _declare(Setting(key, label, about, group, kinds.Email(), default, sensitive))


def host(
    key: str,
    label: str,
    *,
    about: str,
    group: Group,
    default: str = "",
    sensitive: bool = False,
) -> Setting[str]:
    return _declare(Setting(key, label, about, group, kinds.Host(), default, sensitive))


def networks(
    key: str,
    label: str,
    *,
    about: str,
    group: Group,
    default: tuple[Network, ...] = (),
    sensitive: bool = False,
) -> Setting[tuple[Network, ...]]:
    return _declare(Setting(key, label, about, group, kinds.Networks(), default, sensitive))


def secret(key: str, label: str, *, about: str, group: Group) -> Setting[str]:
    """Sealed where it is stored; always sensitive; its default is none."""
    return _declare(Setting(key, label, about, group, kinds.Secret(), "", sensitive=True))
