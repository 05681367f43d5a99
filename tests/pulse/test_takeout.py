"""What an account takes along of issues, alerts, vendors and retention: its own, and all of it."""

from __future__ import annotations

import csv
import io
import json

import pytest

from pulse import takeout
from pulse.tables.alerts import Incident
from pulse.tables.issues import Issue, IssueActivity
from pulse.tables.vendors import Vendor, VendorSighting
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import Scope, unscoped
from qcloud.kernel.takeout import parts
from tests.factories.cast import Person

pytestmark = pytest.mark.django_db(transaction=True)


def files(scope: Scope, part: str) -> dict[str, str]:
    (found,) = (one for one in parts() if one.name == part)
    return {name: b"".join(contents).decode() for name, contents in found.files(scope)}


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def seed(owner: Person, count: int) -> None:
    account, moment, place = owner.account.id, now(), new_id()
    with unscoped("test"):
        for number in range(count):
            issue = Issue.objects.create(
                account_id=account, fingerprint=f"{number}", kind="errors", environment_id=place,
                host="=cmd()", cause="x", first_seen=moment, last_seen=moment, opened_at=moment,
            )  # fmt: skip
            IssueActivity.objects.create(
                account_id=account, issue_id=issue.id, environment_id=place, at=moment,
                who="platform", what="found",
            )  # fmt: skip
            Incident.objects.create(
                account_id=account, rule_id=new_id(), rule_name=f"rule {number}", severity="info",
                started_at=moment, fired_at=moment,
            )  # fmt: skip
            vendor = Vendor.objects.create(
                account_id=account, fingerprint=f"{number}", name=f"{owner.slug} {number}"
            )
            VendorSighting.objects.create(
                account_id=account, vendor_id=vendor.id, environment_id=place, first_seen=moment,
                last_seen=moment, noticed_at=moment,
            )  # fmt: skip


def test_everything_that_is_the_accounts_own_and_nothing_else(
    customer_owner: Person,
    other_customer_owner: Person,
    reseller_owner: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(takeout, "_PAGE", 2)
    seed(customer_owner, 5)
    seed(other_customer_owner, 1)
    mine = customer_owner.scope
    issues = files(mine, "Issues")
    assert len(rows(issues["issues/issues.csv"])) == 5
    assert len(rows(issues["issues/activity.csv"])) == 5
    assert {row["host"] for row in rows(issues["issues/issues.csv"])} == {"'=cmd()"}
    alerts = files(mine, "Alerts")
    assert {row["rule_name"] for row in rows(alerts["alerts/incidents.csv"])} == {
        f"rule {n}" for n in range(5)
    }
    assert json.loads(alerts["alerts/rules.json"]) == []
    vendors = files(mine, "Vendors")
    assert [r["name"] for r in rows(vendors["vendors/vendors.csv"])] == [
        f"acme {n}" for n in range(5)
    ]
    assert len(rows(vendors["vendors/seen.csv"])) == 5
    kept = json.loads(files(mine, "Retention")["retention.json"])
    assert (len(kept["kept"]), kept["holds"]) == (8, [])
    for part in ("Issues", "Alerts", "Vendors", "Retention"):
        assert files(reseller_owner.scope, part) == {}
