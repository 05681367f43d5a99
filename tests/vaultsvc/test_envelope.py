"""The format itself: an independent reading of it, a value from long ago, and properties."""

from __future__ import annotations

import hmac
import struct
from dataclasses import replace
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from qcloud.kernel.sealing import Place
from vaultsvc import envelope
from vaultsvc.envelope import Broken, Key

KEY = Key(UUID(int=0x1234), bytes(range(32)))
PLACE = Place(UUID(int=7), "fleet_registrationtoken", "token", "row-1")
LONG_AGO = bytes.fromhex(
    "010100000000000000000000000000001234497e7129101ac97da7ffefa05b13278cb2a02d65e011"
    "ad3847ea0a96fef9d4b5d85794720e717a3d0e44ace5ebab2eced3dbf069f89d8e377e361b450eed"
    "795fa242d7671d2d1cfbbdec635020feec22487dc2f72f32c48bbc55ddb8aa45d6a5b23ed6d5fc"
)
"""``b"swordfish"`` as version 1, suite 1 sealed it. Must open for ever."""

places = st.builds(
    Place,
    account_id=st.uuids(),
    table=st.text(max_size=20),
    column=st.text(max_size=20),
    row=st.text(max_size=20),
    schema_version=st.integers(0, 2**32 - 1),
)
keys = st.builds(Key, id=st.uuids(), secret=st.binary(min_size=32, max_size=32))


def read_by_the_book(key: Key, sealed: bytes, place: Place) -> bytes:
    """docs/encryption.md with the standard library and AES-GCM, nothing of ours."""
    salt, commitment, nonce = sealed[18:50], sealed[50:82], sealed[82:94]
    extracted = hmac.digest(salt, key.secret, "sha512")
    record = hmac.digest(extracted, b"qcloud sealed value 1/1 record key\x01", "sha512")
    assert sealed[:2] == b"\x01\x01"
    assert sealed[2:18] == key.id.bytes
    assert commitment == record[32:]
    bound = b""
    for part in (place.account_id.bytes, place.table.encode(), place.column.encode(),
                 place.row.encode(), struct.pack(">I", place.schema_version)):  # fmt: skip
        bound += struct.pack(">I", len(part)) + part
    return AESGCM(record[:32]).decrypt(nonce, sealed[94:], bound + sealed[:94])


def test_a_value_from_long_ago_opens() -> None:
    assert envelope.unseal(KEY, LONG_AGO, PLACE) == b"swordfish"
    assert read_by_the_book(KEY, LONG_AGO, PLACE) == b"swordfish"


@given(keys, st.binary(max_size=500), places)
def test_round_trip_as_the_book_says(key: Key, plaintext: bytes, place: Place) -> None:
    sealed = envelope.seal(key, plaintext, place)
    assert len(sealed) == len(plaintext) + envelope.OVERHEAD
    assert envelope.key_id(sealed) == key.id
    assert envelope.unseal(key, sealed, place) == plaintext
    assert read_by_the_book(key, sealed, place) == plaintext


@given(keys, st.binary(max_size=80), places, places)
def test_it_opens_nowhere_else(key: Key, plaintext: bytes, place: Place, other: Place) -> None:
    sealed = envelope.seal(key, plaintext, place)
    if other != place:
        with pytest.raises(Broken):
            envelope.unseal(key, sealed, other)


@given(keys, keys, st.binary(max_size=80))
def test_it_opens_under_no_other_key(key: Key, other: Key, plaintext: bytes) -> None:
    sealed = envelope.seal(key, plaintext, PLACE)
    for wrong in (other, replace(other, id=key.id)):
        if wrong != key and wrong.secret != key.secret:
            with pytest.raises(Broken):
                envelope.unseal(wrong, sealed, PLACE)


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(Broken):
        envelope.unseal(KEY, noise, PLACE)


@given(st.data())
def test_one_changed_bit_is_refused(data: st.DataObject) -> None:
    sealed = envelope.seal(KEY, b"swordfish", PLACE)
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    bent = bytearray(sealed)
    bent[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Broken):
        envelope.unseal(KEY, bytes(bent), PLACE)


def test_salts_nonces_and_indexes() -> None:
    sealed = [envelope.seal(KEY, b"x", PLACE) for _ in range(1_000)]
    assert len({value[18:50] for value in sealed}) == 1_000
    assert len({value[82:94] for value in sealed}) == 1_000
    index = envelope.blind_index(KEY, b"x", PLACE)
    assert index == envelope.blind_index(KEY, b"x", replace(PLACE, row="other", schema_version=2))
    assert index != envelope.blind_index(KEY, b"y", PLACE)
    # The lengths stand before the parts: what moves from one into the next is seen.
    shifted = replace(PLACE, table=PLACE.table + "t", column=PLACE.column[1:])
    assert index != envelope.blind_index(KEY, b"x", shifted)
