"""Types of setting: from text to a value and back.

``parse`` raises ``ValueError`` with the sentence that stands beside the field; ``show`` gives
the canonical text, as it is stored, and ``parse(show(v)) == v``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Protocol, TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

T = TypeVar("T")
Network = IPv4Network | IPv6Network

NOT_A_LIMIT: Final = "no limit"
_UNITS: Final = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_SPAN: Final = re.compile(r"(?:\d{1,9} ?(?:s|min|h|d)(?: |$))+")
_PART: Final = re.compile(r"(\d+) ?(s|min|h|d)")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_MOST_NETWORKS: Final = 200
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
"""Whoever comes from such an address is known by the IPv4 address inside."""


class Kind(Protocol[T]):
    @property
    def name(self) -> str: ...

    def parse(self, text: str) -> T: ...

    def show(self, value: T) -> str: ...


@dataclass(frozen=True)
class Flag:
    name: str = "flag"

    def parse(self, text: str) -> bool:
        wanted = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
        if text.strip().lower() not in wanted:
            raise ValueError("Say on or off.")
        return wanted[text.strip().lower()]

    def show(self, value: bool) -> str:  # noqa: FBT001  the value itself
        return "on" if value else "off"


@dataclass(frozen=True)
class Integer:
    low: int
    high: int
    name: str = "integer"

    def parse(self, text: str) -> int:
        return _whole(text, self.low, self.high)

    def show(self, value: int) -> str:
        return str(value)


@dataclass(frozen=True)
class Limit:
    """A number, or ``None`` for no limit at all, which an empty field means as well."""

    high: int
    name: str = "limit"

    def parse(self, text: str) -> int | None:
        if text.strip().lower() in {"", NOT_A_LIMIT}:
            return None
        return _whole(text, 0, self.high)

    def show(self, value: int | None) -> str:
        return NOT_A_LIMIT if value is None else str(value)


@dataclass(frozen=True)
class Duration:
    low: timedelta
    high: timedelta
    name: str = "duration"

    def parse(self, text: str) -> timedelta:
        written = " ".join(text.lower().split())
        if not _SPAN.fullmatch(written):
            raise ValueError(
                "Say a number and a unit (s, min, h, d), such as 15 min or 1 h 30 min."
            )
        bounds = f"Between {self.show(self.low)} and {self.show(self.high)}."
        try:
            found = sum((int(n) * _UNITS[unit] for n, unit in _PART.findall(written)), timedelta())
        except OverflowError as error:
            raise ValueError(bounds) from error
        if not self.low <= found <= self.high:
            raise ValueError(bounds)
        return found

    def show(self, value: timedelta) -> str:
        seconds = int(value.total_seconds())
        for unit in ("d", "h", "min"):
            size = int(_UNITS[unit].total_seconds())
            if seconds and seconds % size == 0:
                return f"{seconds // size} {unit}"
        return f"{seconds} s"


@dataclass(frozen=True)
class Text:
    most: int
    optional: bool
    name: str = "text"

    def parse(self, text: str) -> str:
        written = text.strip()
        if not self.optional and not written:
            raise ValueError("This cannot be empty.")
        if len(written) > self.most or not written.isprintable():
            raise ValueError(f"At most {self.most} printable characters.")
        return written

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True)
class Choice:
    options: tuple[tuple[str, str], ...]
    """Value and words."""
    name: str = "choice"

    def parse(self, text: str) -> str:
        if text not in dict(self.options):
            raise ValueError(f"Choose one of: {', '.join(dict(self.options))}.")
        return text

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True)
class Email:
    """Empty for none."""

    name: str = "email"

    def parse(self, text: str) -> str:
        written = text.strip().lower()
        if not written:
            return ""
        try:
            validate_email(written)
        except ValidationError as error:
            raise ValueError("Like name@example.org.") from error
        if len(written) > 254:
            raise ValueError("At most 254 characters.")
        return written

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True)
class Host:
    """A host name or an IP address, without scheme, port or path; empty for none."""

    name: str = "host"

    def parse(self, text: str) -> str:
        written = text.strip().lower().rstrip(".")
        if not written or _is_address(written):
            return written
        labels = written.split(".")
        if len(written) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
            raise ValueError("A host name or address without scheme and port: mail.example.org.")
        return written

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True)
class Networks:
    """IPv4 and IPv6 networks, one a line or separated by commas; a single address is a /32."""

    name: str = "networks"

    def parse(self, text: str) -> tuple[Network, ...]:
        parts = [part for part in re.split(r"[\s,]+", text) if part]
        if len(parts) > _MOST_NETWORKS:
            raise ValueError(f"At most {_MOST_NETWORKS} networks.")
        return tuple(dict.fromkeys(_network(part) for part in parts))

    def show(self, value: tuple[Network, ...]) -> str:
        return "\n".join(str(network) for network in value)


@dataclass(frozen=True)
class Secret:
    """Text that is sealed where it is stored and never shown again; empty for none."""

    most: int = 500
    name: str = "secret"

    def parse(self, text: str) -> str:
        if len(text) > self.most or not text.isprintable():
            raise ValueError(f"At most {self.most} printable characters.")
        return text

    def show(self, value: str) -> str:
        return value


def _whole(text: str, low: int, high: int) -> int:
    written = text.strip().replace(",", "").replace("_", "")
    if not re.fullmatch(r"-?[0-9]{1,18}", written):
        raise ValueError("A whole number.")
    if not low <= int(written) <= high:
        raise ValueError(f"Between {low:,} and {high:,}.")
    return int(written)


def _network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"“{text[:60]}” is no network: write it like 192.0.2.0/24 or 2001:db8::/32,"
            " with no bits set behind the prefix."
        ) from error
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError(f"“{text[:60]}” is IPv4 in disguise: write it like 192.0.2.0/24.")
    return network


def _is_address(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return "/" not in text
