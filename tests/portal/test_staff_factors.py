"""The list of people says who has a second factor."""

from __future__ import annotations

import csv
import io

import pytest

from identity.models import TotpDevice
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.portal.conftest import sign_in

pytestmark = pytest.mark.django_db


def test_the_list_says_who_has_a_second_factor(
    customer_owner: Person, customer_viewer: Person, customer_teammate: Person
) -> None:
    with unscoped("test"):
        for person, confirmed in ((customer_viewer, True), (customer_teammate, False)):
            TotpDevice.objects.create(user=person.user, seed=b"0" * 20, confirmed=confirmed)
    answer = sign_in(customer_owner).get("/c/acme/staff", {"export": "csv"})
    text = b"".join(answer).decode("utf-8-sig")
    found = {r["email"]: r["factor"] for r in csv.DictReader(io.StringIO(text))}
    assert found == {
        customer_owner.email: "none",
        customer_viewer.email: "set up",
        customer_teammate.email: "none",
    }
