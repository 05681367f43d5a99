"""One sealed value, byte for byte (docs/encryption.md). Pure: no keys are looked up here.

``version 1 | suite 1 | data-key id 16 | salt 32 | commitment 32 | nonce 12 | ciphertext, tag 16``

A record key is HKDF-SHA512 (RFC 5869) of the data key with the value's own random salt; its
first half encrypts, its second half is the commitment, because GCM alone does not bind a
ciphertext to one key (the construction of the AWS Encryption SDK's committing suites). What
is authenticated beside the header is where the value lives.
"""

from __future__ import annotations

import hmac
import os
import struct
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qcloud.kernel.sealing import Place

VERSION: Final = 1
SUITE: Final = 1
"""1: HKDF-SHA512, AES-256-GCM, 32-byte commitment."""
SALT_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
KEY_ID: Final = slice(2, 18)
_SALT: Final = slice(18, 50)
_COMMITMENT: Final = slice(50, 82)
_NONCE: Final = slice(82, 94)
HEADER_BYTES: Final = 94
OVERHEAD: Final = HEADER_BYTES + TAG_BYTES
_PREFIX: Final = bytes((VERSION, SUITE))
_RECORD_INFO: Final = b"qcloud sealed value 1/1 record key"
_LENGTH: Final = struct.Struct(">I")
_SHA512: Final = SHA512()


class Broken(Exception):
    """The bytes are no value sealed in this place under this key. Which of it, is not told."""


@dataclass(frozen=True, slots=True)
class Key:
    """A data key in memory."""

    id: UUID
    secret: bytes


def seal(key: Key, plaintext: bytes, place: Place) -> bytes:
    """``OVERHEAD`` bytes longer than ``plaintext``; never twice the same."""
    noise = os.urandom(SALT_BYTES + NONCE_BYTES)
    salt, nonce = noise[:SALT_BYTES], noise[SALT_BYTES:]
    record = _record_key(key.secret, salt)
    header = b"".join((_PREFIX, key.id.bytes, salt, record[32:], nonce))
    return header + encrypt(record[:32], nonce, plaintext, _bound(place) + header)


def key_id(sealed: bytes) -> UUID:
    """Which data key sealed it. Raises ``Broken`` for what this version cannot read."""
    if len(sealed) < OVERHEAD or sealed[:2] != _PREFIX:
        raise Broken
    return UUID(bytes=sealed[KEY_ID])


def unseal(key: Key, sealed: bytes, place: Place) -> bytes:
    """Raises ``Broken``."""
    if key_id(sealed) != key.id:
        raise Broken
    record = _record_key(key.secret, sealed[_SALT])
    if not hmac.compare_digest(record[32:], sealed[_COMMITMENT]):
        raise Broken
    header = sealed[:HEADER_BYTES]
    return decrypt(record[:32], sealed[_NONCE], sealed[HEADER_BYTES:], _bound(place) + header)


def blind_index(key: Key, plaintext: bytes, place: Place) -> bytes:
    """HMAC-SHA512, cut to 32 bytes, of account, table, column and the plaintext."""
    message = _parts(place.account_id.bytes, place.table.encode(), place.column.encode(), plaintext)
    return hmac.digest(key.secret, message, "sha512")[:32]


def _record_key(secret: bytes, salt: bytes) -> bytes:
    return hkdf(secret, salt, _RECORD_INFO, 64)


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """HKDF-SHA512 (RFC 5869), extract and expand."""
    return HKDF(_SHA512, size, salt, info).derive(secret)


def encrypt(key: bytes, nonce: bytes, plaintext: bytes, bound: bytes) -> bytes:
    """AES-256-GCM: ciphertext and tag."""
    return AESGCM(key).encrypt(nonce, plaintext, bound)


def decrypt(key: bytes, nonce: bytes, ciphertext: bytes, bound: bytes) -> bytes:
    """The other way. Raises ``Broken``."""
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, bound)
    except InvalidTag:
        raise Broken from None


def _bound(place: Place) -> bytes:
    return _parts(
        place.account_id.bytes,
        place.table.encode(),
        place.column.encode(),
        place.row.encode(),
        _LENGTH.pack(place.schema_version),
    )


def _parts(*parts: bytes) -> bytes:
    """Each with its length before it: ("ab", "c") and ("a", "bc") must differ."""
    return b"".join(piece for part in parts for piece in (_LENGTH.pack(len(part)), part))
