"""Many issues at once, notes, filters, and the way to the traffic; who reads addresses."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from uuid import UUID

import pytest
from django.test import Client

from audit.selectors import EntryFilter, entries
from fleet.services import environment_create
from notify.models import Delivery
from notify.selectors import masked_address
from notify.services import mail_send
from pulse.issues.detectors import Finding
from pulse.issues.observing import Window, observe
from pulse.issues.selectors import IssueFilter, IssueInfo, activity, issues
from pulse.store.client import Store
from pulse.store.endpoints import Endpoint
from pulse.tables.issues import Issue, IssueKind
from qcloud.kernel.clock import now, told
from qcloud.kernel.scope import scoped, unscoped
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.portal.test_alerting_pages import HOSTILE, text, to

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def prod(customer_owner: Person) -> UUID:
    return environment_create(actor=customer_owner.actor, name="Production", slug="prod").id


def found(person: Person, place: UUID, count: int = 4) -> list[IssueInfo]:
    moment = now().replace(second=0, microsecond=0)
    with scoped(person.scope):
        observe(
            person.scope,
            [Finding(Endpoint(place, f"h{i}.example", "/x"), IssueKind.ERRORS, "broken")
             for i in range(count)],
            Window(moment - timedelta(minutes=10), moment),
        )  # fmt: skip
    return known(person)


def known(person: Person, **chosen: object) -> list[IssueInfo]:
    return issues(person.scope, IssueFilter(**chosen), sort="host", descending=False)[0]  # type: ignore[arg-type]


def test_several_are_changed_at_once_and_each_is_journalled(
    customer_owner: Person, prod: UUID
) -> None:
    rows = found(customer_owner, prod)
    client = sign_in(customer_owner)
    listed = text(client, to("issues"))
    assert listed.count('name="ids"') == 4
    some = [str(row.id) for row in rows[:3]]
    done = client.post(to("issues"), {"ids": some, "do": "resolve"}, follow=True)
    assert "3 changed." in done.content.decode()
    assert [row.state for row in known(customer_owner)] == ["resolved"] * 3 + ["open"]
    again = client.post(to("issues"), {"ids": [*some, str(rows[3].id)], "do": "resolve"},
                        follow=True)  # fmt: skip
    assert "1 changed. 3 were so already." in again.content.decode()
    me = str(customer_owner.user.id)
    client.post(to("issues"), {"ids": some[:2], "do": "assign", "user_id": me})
    client.post(to("issues"), {"ids": some[:1], "do": "ignore", "hours": "24"})
    assert [row.assignee for row in known(customer_owner)] == [customer_owner.email] * 2 + [""] * 2
    assert known(customer_owner)[0].state == "ignored"
    written = entries(customer_owner.scope, EntryFilter(action="pulse.issue.resolved")).entries
    assert len(written) == 4
    for typed in ({}, {"ids": some}, {"do": "resolve"}, {"ids": ["x"], "do": "resolve"},
                  {"ids": some, "do": "erase"}):  # fmt: skip
        refused = client.post(to("issues"), typed)
        assert refused.status_code == 422
        assert "Tick at least one issue" in refused.content.decode()
    wrong = client.post(to("issues"), {"ids": some, "do": "ignore", "hours": "9"})
    assert wrong.status_code == 422


def test_who_and_where_narrow_the_list_and_its_export(customer_owner: Person, prod: UUID) -> None:
    rows = found(customer_owner, prod)
    client = sign_in(customer_owner)
    me = str(customer_owner.user.id)
    client.post(to("issues"), {"ids": [str(rows[0].id)], "do": "assign", "user_id": me})

    def hosts(**query: str) -> list[str]:
        answer = client.get(to("issues"), {"export": "json", "sort": "first_seen", **query})
        return sorted(re.findall(r"h\d", json.dumps(json.loads(b"".join(answer)))))

    assert hosts(**{"f.who": "me"}) == ["h0"]
    assert hosts(**{"f.who": "nobody"}) == ["h1", "h2", "h3"]
    assert len(hosts(**{"f.env": "prod"})) == 4
    environment_create(actor=customer_owner.actor, name="Test", slug="test")
    assert hosts(**{"f.env": "test"}) == []


def test_a_note_stays_is_escaped_and_leads_to_the_traffic(
    customer_owner: Person,
    customer_viewer: Person,
    prod: UUID,
    store: Store,  # noqa: ARG001  the traffic is opened
) -> None:
    (row,) = found(customer_owner, prod, 1)
    client = sign_in(customer_owner)
    change = to("issue-change", row.id)
    typed = {"do": "note", "text": f" {HOSTILE}\r\nsee 4711 "}
    assert client.post(change, typed).status_code == 302
    for empty in ("", " ", "x" * 2_001):
        assert client.post(change, {"do": "note", "text": empty}).status_code == 422
    (entry, _) = activity(customer_owner.scope, row.id)
    assert (entry.what, entry.text) == ("noted", f"{HOSTILE}\nsee 4711")
    viewer = sign_in(customer_viewer)
    page = text(viewer, to("issue", row.id))
    assert HOSTILE not in page
    assert html.escape(HOSTILE) in page
    assert "Add note" not in page
    assert viewer.post(change, {"do": "note", "text": "x"}).status_code == 403
    assert viewer.post(to("issues"), {"ids": [str(row.id)], "do": "resolve"}).status_code == 403
    live = re.search(r'href="(/c/acme/live\?[^"]*f\.host[^"]+)"', page)
    assert live is not None
    shown = text(viewer, html.unescape(live[1]))
    assert "h0.example" in shown
    (written,) = entries(customer_owner.scope, EntryFilter(action="pulse.issue.noted")).entries
    assert "4711" not in str(written)


def test_who_may_not_send_again_reads_no_address(
    customer_owner: Person, customer_viewer: Person
) -> None:
    with scoped(customer_owner.scope):
        mail_send(
            account_id=customer_owner.account.id, to="somebody@partner.example",
            template="notice", context={"heading": "Hello", "lines": ["x"], "link": ""}, key="k",
        )  # fmt: skip
    with unscoped("test"):
        sent = Delivery.objects.get(to="somebody@partner.example").id
    owner, viewer = sign_in(customer_owner), sign_in(customer_viewer)
    for client, address, other in (
        (owner, "somebody@partner.example", "s…@partner.example"),
        (viewer, "s…@partner.example", "somebody@partner.example"),
    ):
        for path in (to("deliveries"), to("delivery", sent)):
            page = text(client, path)
            assert address in page
            assert other not in page
        exported = b"".join(client.get(to("deliveries"), {"export": "csv"})).decode()
        assert address in exported
        assert other not in exported
    assert len(_listed(owner, q="somebody")) == 1
    assert _listed(viewer, q="somebody") == []


def _listed(client: Client, **query: str) -> list[dict[str, object]]:
    answer = client.get(to("deliveries"), {"export": "json", **query})
    rows: list[dict[str, object]] = json.loads(b"".join(answer))
    return rows


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("carla@acme.example", "c…@acme.example"), ("@x", "…@x"), ("plain", "plain"),
        ("https://hooks.example/services/T0/secret?x=1", "https://hooks.example/…"),
    ],
)  # fmt: skip
def test_masked(address: str, shown: str) -> None:
    assert masked_address(address) == shown


def test_times_in_the_activity_are_those_of_the_account(customer_owner: Person, prod: UUID) -> None:
    (row,) = found(customer_owner, prod, 1)
    client = sign_in(customer_owner)
    client.post(to("issue-change", row.id), {"do": "ignore", "hours": "24"})
    (said, _) = activity(customer_owner.scope, row.id)
    until = known(customer_owner)[0].ignored_until
    assert until is not None
    assert said.text == f"until {told(until, 'Europe/Berlin')}"
    assert re.search(r" CES?T \(.* UTC\)$", said.text)


def test_the_worst_comes_first_when_sorted_by_severity(customer_owner: Person, prod: UUID) -> None:
    rows = found(customer_owner, prod)
    with scoped(customer_owner.scope):
        for row, severity in zip(rows, ("info", "critical", "warning", "info"), strict=True):
            Issue.objects.filter(id=row.id).update(severity=severity)
    client = sign_in(customer_owner)

    def listed(**query: str) -> list[str]:
        answer = client.get(to("issues"), {"export": "json", **query})
        return [row["severity"] for row in json.loads(b"".join(answer))]

    assert listed(sort="-severity") == ["critical", "warning", "info", "info"]
    assert listed(sort="severity") == ["info", "info", "warning", "critical"]
    assert listed(**{"f.severity": "warning"}) == ["warning"]
    assert len(listed(**{"f.severity": "worst"})) == 4
    assert "Severity: Critical" in text(client, to("issues") + "?f.severity=critical")
