"""Values sealed and opened through the kernel's protocol, over a real database and keyring."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from audit.models import Entry
from qcloud.kernel.scope import unscoped
from qcloud.kernel.sealing import PLATFORM, Place, SealBroken, sealer, signer
from vaultsvc.backends.keyring import Keyring
from vaultsvc.envelope import HEADER_BYTES, OVERHEAD
from vaultsvc.keys import held

pytestmark = pytest.mark.django_db(transaction=True)

PLACE = Place(uuid4(), "fleet_objectstore", "secret_key", "7")


def entries() -> list[Any]:
    with unscoped("test"):
        return list(Entry.objects.order_by("id"))


def assert_refused(sealed: bytes, place: Place = PLACE) -> None:
    """It stays shut, with a journal entry that holds neither value nor key."""
    before = len(entries())
    with pytest.raises(SealBroken, match=place.table):
        sealer().unseal(sealed, place)
    entry = entries()[-1]
    assert len(entries()) == before + 1
    assert (entry.action, entry.outcome) == ("vaultsvc.value.unseal", "denied")
    assert (entry.object_kind, entry.object_id) == (place.table, place.row)
    assert entry.data == {
        "column": place.column,
        "account_id": str(place.account_id),
        "schema_version": place.schema_version,
    }


@pytest.mark.usefixtures("keyring")
def test_what_was_sealed_opens_in_its_place() -> None:
    sealed = sealer().seal(b"swordfish", PLACE)
    assert len(sealed) == len(b"swordfish") + OVERHEAD
    assert b"swordfish" not in sealed
    assert sealer().unseal(sealed, PLACE) == b"swordfish"
    assert sealer().seal(b"swordfish", PLACE) != sealed
    assert entries() == []


@pytest.mark.usefixtures("keyring")
@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, account_id=PLATFORM),
        replace(PLACE, account_id=uuid4()),
        replace(PLACE, table="fleet_objectstor", column="esecret_key"),
        replace(PLACE, table="fleet_environment"),
        replace(PLACE, column="access_key"),
        replace(PLACE, row="8"),
        replace(PLACE, schema_version=2),
    ],
)
def test_a_value_cannot_be_moved(elsewhere: Place) -> None:
    sealed = sealer().seal(b"swordfish", PLACE)
    sealer().seal(b"theirs", elsewhere)
    assert_refused(sealed, elsewhere)
    assert sealer().unseal(sealed, PLACE) == b"swordfish"


@pytest.mark.usefixtures("keyring")
def test_every_byte_counts() -> None:
    sealed = sealer().seal(b"xy", PLACE)
    for at in range(len(sealed)):
        bent = bytearray(sealed)
        bent[at] ^= 1
        assert_refused(bytes(bent))
    assert at == HEADER_BYTES + 2 + 16 - 1


@pytest.mark.usefixtures("keyring")
def test_truncated_at_every_length_and_lengthened() -> None:
    sealed = sealer().seal(b"xy", PLACE)
    for length in range(len(sealed)):
        assert_refused(sealed[:length])
    assert_refused(sealed + b"\0")


@pytest.mark.usefixtures("keyring")
@pytest.mark.parametrize("head", [b"\x02\x01", b"\x01\x02", b"\xff\xff", b"\x00\x01"])
def test_a_later_version_is_refused(head: bytes) -> None:
    assert_refused(head + sealer().seal(b"swordfish", PLACE)[2:])


@pytest.mark.usefixtures("keyring")
def test_a_blind_index_is_equal_for_equal_values_of_one_column_of_one_account() -> None:
    index = sealer().blind_index
    same = index(b"ada@acme.example", PLACE)
    assert len(same) == 32
    assert index(b"ada@acme.example", replace(PLACE, row="8")) == same
    others = {
        index(b"ida@acme.example", PLACE),
        index(b"ada@acme.example", replace(PLACE, column="x")),
        index(b"ada@acme.example", replace(PLACE, table="x")),
        index(b"ada@acme.example", replace(PLACE, account_id=uuid4())),
    }
    assert len(others | {same}) == 5


@pytest.mark.usefixtures("keyring")
def test_no_key_is_touched_before_first_use(keyring: Keyring) -> None:
    assert not keyring._file.path.exists()
    assert signer().public_keys(purpose="audit") == {}
    assert not keyring._file.path.exists()
    signed = signer().sign(b"checkpoint", purpose="audit")
    assert list(signer().public_keys(purpose="audit")) == [signed.key_id]


@pytest.mark.usefixtures("keyring")
def test_a_data_key_outlives_the_transaction_that_needed_it_first() -> None:
    place = replace(PLACE, account_id=uuid4())
    kept = []

    def fails() -> None:
        with unscoped("test"):
            kept.append(sealer().seal(b"kept elsewhere", place))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    held.forget()
    assert sealer().unseal(kept[0], place) == b"kept elsewhere"
