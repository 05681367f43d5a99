"""The cut-off: what was billed is frozen, proven, and explained without a single event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from psycopg import sql

from billing.rating.frozen import reference_of
from billing.selectors import frozen_invoice, recomputed_equal
from billing.services import cutoff
from pulse.errors import StoreUnavailable
from pulse.metering import FrozenUsage, freeze_usage
from pulse.tables.frozen import UsageFreeze
from qcloud.kernel.errors import NotFound
from qcloud.kernel.scope import unscoped
from tests.billing.conftest import id_of, run
from tests.billing.metered import environment, forget, meter
from tests.factories.cast import Person
from tests.services.plugin import superuser

pytestmark = pytest.mark.django_db(transaction=True)
OCTOBER = datetime(2026, 10, 10, 12, tzinfo=UTC)
Clock = Callable[[datetime], None]


def references() -> list[str]:
    with unscoped("test"):
        return list(UsageFreeze.objects.order_by("number").values_list("reference", flat=True))


def test_a_period_that_is_over_is_frozen_for_both_invoices(
    shop: Person, reseller_owner: Person, cloud_admin: Person, other_reseller_owner: Person
) -> None:
    place = environment(shop)
    meter(shop, place, 3_000, OCTOBER)
    meter(shop, place, 500, OCTOBER + timedelta(hours=5))
    meter(shop, place, 7)  # November: not over
    retail, wholesale = run(reseller_owner, "2026-10"), run(cloud_admin, "2026-10")
    for report, readers in (
        (retail, (reseller_owner, shop)),
        (wholesale, (cloud_admin, reseller_owner)),
    ):
        invoice_id = id_of(report.drafts[0])
        for reader in readers:
            found = frozen_invoice(reader.scope, invoice_id)
            (part,) = found.parts
            assert (found.is_frozen, found.proven, found.missing) == (True, True, ())
            assert [hour.counts.requests for hour in part.hours] == [3_000, 500]
            assert part.hours[0].hour == OCTOBER
        with pytest.raises(NotFound):
            frozen_invoice(other_reseller_owner.scope, invoice_id)
    with pytest.raises(NotFound):
        frozen_invoice(shop.scope, id_of(wholesale.drafts[0]))
    assert {d.problem for d in (*retail.drafts, *wholesale.drafts)} == {""}
    assert len(references()) == 2
    november = frozen_invoice(shop.scope, id_of(run(reseller_owner).drafts[0]))
    assert (november.is_frozen, november.parts, november.missing) == (False, (), (shop.account.id,))


def test_the_month_is_not_frozen_before_it_has_settled(
    shop: Person, reseller_owner: Person, set_clock: Clock
) -> None:
    meter(shop, environment(shop), 3_000, OCTOBER)
    end = datetime(2026, 10, 31, 23, tzinfo=UTC)  # midnight in Berlin
    set_clock(end + timedelta(minutes=119))
    run(reseller_owner, "2026-10")
    assert references() == []
    set_clock(end + timedelta(minutes=120))
    draft = run(reseller_owner, "2026-10").drafts[0]
    assert (draft.state, references()) == ("unchanged", [reference_of(id_of(draft), 1)])


def test_late_usage_makes_a_revision_with_a_freeze_of_its_own(
    shop: Person, reseller_owner: Person
) -> None:
    place = environment(shop)
    meter(shop, place, 3_000, OCTOBER)
    invoice_id = id_of(run(reseller_owner, "2026-10").drafts[0])
    run(reseller_owner, "2026-10")
    assert references() == [reference_of(invoice_id, 1)]
    meter(shop, place, 3_001, OCTOBER)
    assert run(reseller_owner, "2026-10").drafts[0].drifts == 1
    assert references() == [reference_of(invoice_id, 1), reference_of(invoice_id, 2)]
    found = frozen_invoice(shop.scope, invoice_id)
    assert (found.proven, found.parts[0].number) == (True, 2)
    assert found.parts[0].hours[0].counts.requests == 3_001


def test_what_freezing_counts_anew_is_billed_as_well(
    shop: Person, reseller_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = environment(shop)
    meter(shop, place, 3_000, OCTOBER)
    came: list[int] = []

    def with_late_events(*args: object, **more: object) -> FrozenUsage:
        if not came:
            came.append(1)
            meter(shop, place, 3_500, OCTOBER)
        return freeze_usage(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(cutoff, "freeze_usage", with_late_events)
    draft = run(reseller_owner, "2026-10").drafts[0]
    found = frozen_invoice(shop.scope, id_of(draft))
    assert (draft.state, found.proven) == ("changed", True)
    assert found.parts[0].hours[0].counts.requests == 3_500


def test_killed_anywhere_the_next_run_freezes_once(
    shop: Person, reseller_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter(shop, environment(shop), 3_000, OCTOBER)

    class Killed(BaseException):
        pass

    def before(*_args: object, **_more: object) -> FrozenUsage:
        raise Killed

    def after(*args: object, **more: object) -> FrozenUsage:
        freeze_usage(*args, **more)  # type: ignore[arg-type]
        raise Killed

    for death in (before, after):
        with monkeypatch.context() as patch:
            patch.setattr(cutoff, "freeze_usage", death)
            with pytest.raises(Killed):
                run(reseller_owner, "2026-10")
    draft = run(reseller_owner, "2026-10").drafts[0]
    assert (draft.state, len(references())) == ("unchanged", 1)
    assert frozen_invoice(shop.scope, id_of(draft)).proven


def test_without_the_event_store_the_draft_stands_and_is_frozen_later(
    shop: Person, reseller_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter(shop, environment(shop), 3_000, OCTOBER)

    def away(*_args: object, **_more: object) -> FrozenUsage:
        raise StoreUnavailable("127.0.0.1:1")

    with monkeypatch.context() as patch:
        patch.setattr(cutoff, "freeze_usage", away)
        draft = run(reseller_owner, "2026-10").drafts[0]
    assert draft.state == "created"
    assert draft.problem == "Its usage is not frozen yet: the next run does it."
    assert references() == []
    run(reseller_owner, "2026-10")
    assert len(references()) == 1


def test_an_invoice_is_explained_without_events_and_a_forgery_is_seen(
    shop: Person, reseller_owner: Person
) -> None:
    place = environment(shop)
    meter(shop, place, 3_000, OCTOBER)
    invoice_id = id_of(run(reseller_owner, "2026-10").drafts[0])
    forget(place)  # not even metering knows it any more
    assert not recomputed_equal(shop.scope, invoice_id).usage_equal
    assert frozen_invoice(shop.scope, invoice_id).proven
    database = connection.settings_dict["NAME"]
    with superuser(database) as owner:
        # Past the trigger that refuses even the owner: somebody at the files themselves.
        owner.execute("SET session_replication_role = replica")
        owner.execute(
            sql.SQL("UPDATE pulse_usagefreeze SET document = replace(document, ',3000,', ',9000,')")
        )
    found = frozen_invoice(shop.scope, invoice_id)
    assert (found.is_frozen, found.proven) == (True, False)
    assert (found.parts[0].unbroken, found.parts[0].as_billed) == (False, False)
