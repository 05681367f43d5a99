"""What a certificate says, bounded: a server may put anything into one."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final, NamedTuple

from wire.events import MAX_NAME_BYTES, MAX_TEXT_BYTES

MOST_NAMES: Final = 100


class LeafError(ValueError):
    """It cannot be read."""


class Leaf(NamedTuple):
    subject: str
    """The common name; empty: it has none."""
    issuer: str
    names: tuple[str, ...]
    """Host names and addresses that it is for, as many as fit."""
    serial: str
    """Hexadecimal."""
    sha256: str
    not_before: int
    """Seconds since 1970, as ``not_after``; never below 0."""
    not_after: int

    def covers(self, name: str) -> bool:
        """Whether it is for this name (RFC 6125: one ``*``, the first label alone)."""
        below = "*." + name.partition(".")[2]
        return any(one.lower() in {name, below} for one in self.names)


def read_leaf(der: bytes) -> Leaf:
    """Raises ``LeafError``."""
    # Late: only nodes that look at certificates pay for the library's memory.
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        read = x509.load_der_x509_certificate(der)
        common = read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return Leaf(
            subject=printable(str(common[0].value), MAX_NAME_BYTES) if common else "",
            issuer=printable(read.issuer.rfc4514_string(), MAX_NAME_BYTES),
            names=_names(read),
            serial=f"{read.serial_number:x}"[:64],
            sha256=hashlib.sha256(der).hexdigest(),
            not_before=_seconds(read.not_valid_before_utc),
            not_after=_seconds(read.not_valid_after_utc),
        )
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as e:
        raise LeafError(str(e)[:200]) from e


def _names(read: object) -> tuple[str, ...]:
    from cryptography import x509

    assert isinstance(read, x509.Certificate)  # noqa: S101  tells mypy, never false
    try:
        found = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = [*found.get_values_for_type(x509.DNSName)]
    names += [str(ip) for ip in found.get_values_for_type(x509.IPAddress)]
    kept: list[str] = []
    room = MAX_TEXT_BYTES
    for name in names[:MOST_NAMES]:
        text = printable(name, 253)
        room -= len(text.encode()) + 1
        if room < 0:
            break
        kept.append(text)
    return tuple(kept)


def printable(text: str, limit: int) -> str:
    """At most ``limit`` bytes, without control characters."""
    plain = "".join(c if c.isprintable() else "\ufffd" for c in text[:limit])
    return plain.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def _seconds(moment: datetime) -> int:
    return max(int(moment.timestamp()), 0)
