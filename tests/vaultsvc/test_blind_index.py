"""A sealed value that can be found, on a model of this test alone."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import models
from django.test.utils import isolate_apps

from qcloud.kernel.sealing import PLATFORM
from vaultsvc.fields import BlindIndexField, EncryptedField

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("keyring")]


def contact() -> type[Any]:
    class Contact(models.Model):
        id = models.UUIDField(primary_key=True, default=uuid4)
        account_id = models.UUIDField()
        email_index = BlindIndexField(source="email", null=True)
        email = EncryptedField(null=True)
        phone = EncryptedField(owner=PLATFORM, schema_version=3)
        phone_index = BlindIndexField(source="phone")

        class Meta:
            app_label = "vaultsvc"

        def __str__(self) -> str:
            return "contact"

    return Contact


def saved(row: Any) -> dict[str, Any]:
    """What save() would write, in the order of the columns."""
    return {
        f.attname: f.get_prep_value(f.pre_save(row, row._state.adding))
        for f in row._meta.concrete_fields
    }


@isolate_apps("vaultsvc")
def test_equal_values_of_one_account_have_equal_indexes_wherever_the_field_stands() -> None:
    model, ours, theirs = contact(), uuid4(), uuid4()

    def columns(account_id: UUID, email: str) -> dict[str, Any]:
        return saved(model(account_id=account_id, email=email, phone="1"))

    first, second = columns(ours, "ada@acme.example"), columns(ours, "ada@acme.example")
    index = model._meta.get_field("email_index")
    assert bytes(first["email_index"]) == index.of(ours, "ada@acme.example")
    assert bytes(first["email_index"]) == bytes(second["email_index"])
    assert bytes(first["email"]) != bytes(second["email"])
    assert bytes(first["email_index"]) != bytes(columns(theirs, "ada@acme.example")["email_index"])
    assert bytes(first["email_index"]) != bytes(columns(ours, "Ada@acme.example")["email_index"])
    # The platform's own key, whoever's row it is.
    assert bytes(first["phone_index"]) == bytes(columns(theirs, "x")["phone_index"])


@isolate_apps("vaultsvc")
def test_it_follows_its_source_and_stays_while_that_stays() -> None:
    row = contact()(account_id=uuid4(), email="a", phone="1")
    before = saved(row)
    row._state.adding = False
    kept = saved(row)
    assert (bytes(kept["email"]), bytes(kept["email_index"])) == (
        bytes(before["email"]),
        bytes(before["email_index"]),
    )
    row.email = None
    gone = saved(row)
    assert (gone["email"], gone["email_index"]) == (None, None)
    del row.__dict__["email"]  # as defer() leaves it
    row.email_index = b"kept"
    index = row._meta.get_field("email_index")
    assert index.pre_save(row, False) == b"kept"
    row.email = "b"
    fresh = saved(row)
    assert fresh["email_index"] not in {None, before["email_index"]}
    assert row.email.reveal() == "b"


@isolate_apps("vaultsvc")
def test_what_a_migration_keeps_of_a_field() -> None:
    fields = contact()._meta
    assert fields.get_field("email").deconstruct()[1:] == (
        "vaultsvc.fields.EncryptedField",
        [],
        {"null": True},
    )
    assert fields.get_field("phone").deconstruct()[3] == {"owner": PLATFORM, "schema_version": 3}
    assert fields.get_field("email_index").deconstruct()[3] == {"null": True, "source": "email"}
