"""Sealed columns as models see them."""

from __future__ import annotations

import copy
import json
import pickle
from uuid import uuid4

import pytest
from django.core import serializers
from django.core.exceptions import FieldError

from fleet.models import RegistrationToken
from qcloud.kernel.scope import scoped, unscoped
from qcloud.kernel.sealing import SealBroken
from tests.factories.cast import Person
from tests.vaultsvc.values import entries, environment_of, fill, revealed
from vaultsvc.fields import SealedBytes, Secret

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("keyring")]


def one(person: Person) -> RegistrationToken:
    fill(person, environment_of(person), 1)
    with scoped(person.scope):
        row: RegistrationToken = RegistrationToken.objects.get()
    return row


def test_a_row_of_the_table_holds_no_plaintext(customer_owner: Person) -> None:
    row = one(customer_owner)
    with unscoped("test"):
        (stored,) = RegistrationToken.objects.values_list("token", flat=True)
    assert isinstance(stored, SealedBytes)
    assert str(row.id).encode() not in bytes(stored)
    assert row.token.reveal() == str(row.id)


def test_nothing_shows_itself(customer_owner: Person) -> None:
    row = one(customer_owner)
    secret = Secret("swordfish")
    for shown in (repr(row.token), str(row.token), f"{row.token:>4}", f"{secret}", repr([secret])):
        assert shown.strip("[]") in {"<sealed>", "<secret>"}
    assert "swordfish" not in repr({**row.__dict__, "token": secret})
    assert copy.deepcopy(secret).reveal() == "swordfish"
    for write in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError):
            write(secret)
        with pytest.raises(TypeError):
            write(row.token)
    with pytest.raises(TypeError, match="is sealed; it is not serialized"):
        serializers.serialize("json", [row])


def test_an_assigned_value_is_sealed_at_save_and_readable_before(customer_owner: Person) -> None:
    row = one(customer_owner)
    row.token = "changed"
    assert row.token.reveal() == "changed"
    with scoped(customer_owner.scope):
        row.save(update_fields=["token"])
    assert revealed(customer_owner) == {row.id: "changed"}
    row.token = None
    with scoped(customer_owner.scope):
        row.save()
        assert RegistrationToken.objects.filter(token__isnull=True).count() == 1


def test_saving_other_columns_leaves_the_sealed_value(customer_owner: Person) -> None:
    row = one(customer_owner)
    with unscoped("test"):
        before = bytes(RegistrationToken.objects.values_list("token", flat=True)[0])
    row.name = "renamed"
    with scoped(customer_owner.scope):
        row.save()
        deferred = RegistrationToken.objects.defer("token").get()
        assert deferred.token.reveal() == str(row.id)
        assert bytes(RegistrationToken.objects.values_list("token", flat=True)[0]) == before


def test_what_does_not_tell_the_row_is_refused(customer_owner: Person) -> None:
    row = one(customer_owner)
    with scoped(customer_owner.scope):
        with pytest.raises(TypeError, match="load the object, assign and save"):
            RegistrationToken.objects.update(token="x")
        row.token = "y"
        with pytest.raises(TypeError, match="load the object, assign and save"):
            RegistrationToken.objects.bulk_update([row], ["token"])
        with pytest.raises(FieldError, match="a row cannot be found by it"):
            RegistrationToken.objects.filter(token="y")


def test_a_value_is_not_carried_to_another_row(customer_owner: Person) -> None:
    row = one(customer_owner)
    with pytest.raises(TypeError, match="must be revealed and assigned"):
        RegistrationToken(account_id=row.account_id, token=row.token)
    with pytest.raises(ValueError, match="account_id must be set before sealing"):
        RegistrationToken(token=row.token)
    row.pk = uuid4()
    row._state.adding = True
    with scoped(customer_owner.scope), pytest.raises(TypeError, match="a copied row"):
        row.save()


def test_a_value_moved_by_hand_stays_shut_and_is_journalled(customer_owner: Person) -> None:
    first, second = fill(customer_owner, environment_of(customer_owner), 2)
    with scoped(customer_owner.scope):
        stolen = RegistrationToken.objects.values_list("token", flat=True).get(id=first)
        RegistrationToken.objects.filter(id=second).update(token=stolen)
        moved = RegistrationToken.objects.get(id=second)
        with pytest.raises(SealBroken):
            moved.token.reveal()
    (entry,) = entries("vaultsvc.value.unseal")
    assert (entry.account_id, entry.object_id) == (customer_owner.account.id, str(second))
    assert entry.data["column"] == "token"
