"""The hours behind an invoice as both parties read them: proven, forged, not frozen yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from tests.billing.conftest import id_of, run
from tests.billing.metered import meter
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.portal.world import World
from tests.services.plugin import superuser

pytestmark = pytest.mark.django_db(transaction=True)
OCTOBER = datetime(2026, 10, 10, 12, tzinfo=UTC)


def test_sums_hours_and_a_forgery_are_seen(
    world: World, customer_owner: Person, reseller_owner: Person
) -> None:
    for i, requests in enumerate((3_000, 12_345)):
        meter(customer_owner, world.environment_id, requests, OCTOBER + timedelta(hours=i))
    invoice = id_of(run(reseller_owner, "2026-10").drafts[0])
    pages = {customer_owner: "c/acme", reseller_owner: "r/north"}

    def read(person: Person, invoice_id: object = invoice) -> str:
        path = f"/{pages[person]}/invoices/{invoice_id}/usage"
        return sign_in(person).get(path).content.decode()

    for person in pages:
        page = read(person)
        assert "Proven." in page
        for figure in ("15.3 k", "15,345", "3,000", "12,345"):
            assert figure in page
    assert "Production" in read(customer_owner)
    assert "Production" not in read(reseller_owner), "how it calls its places is the customer's"
    assert "Not frozen yet." in read(customer_owner, world.invoice_id)
    with superuser(connection.settings_dict["NAME"]) as owner:
        # Past the trigger that refuses even the owner: somebody at the files themselves.
        owner.execute("SET session_replication_role = replica")
        owner.execute(
            "UPDATE pulse_usagefreeze SET document = replace(document, ',3000,', ',9000,')"
        )
    forged = read(customer_owner)
    assert "Proven." not in forged
    assert "Not what was frozen." in forged
    assert "The hours below are what the database says now." in forged
    assert "9,000" in forged
