"""Issues, alerts, channels, silences and deliveries, as people use them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import unescape
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse

from fleet.models import Agent
from fleet.services import environment_create
from notify.channels import channels
from notify.models import Delivery
from notify.selectors import DeliveryFilter, deliveries
from notify.services import mail_send
from pulse.alerts.evaluating import evaluate
from pulse.alerts.rules import Draft, Spec
from pulse.alerts.selectors import IncidentFilter, incidents, rules, silences
from pulse.alerts.services import rule_create
from pulse.issues.detectors import Finding
from pulse.issues.observing import Window, observe
from pulse.issues.selectors import IssueFilter, issues
from pulse.store.client import Store
from pulse.store.endpoints import Endpoint
from pulse.tables.alerts import AlertRule
from pulse.tables.issues import IssueKind
from qcloud.kernel.clock import now
from qcloud.kernel.scope import scoped, unscoped
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.portal.world import World
from tests.pulse.rows import put

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
HOSTILE = "<script>document.title='owned'</script>"
RULE = {
    "name": "Pay fails", "severity": "critical", "measure": "error_rate", "above": "1",
    "threshold": "10", "window": "5", "for_minutes": "0", "repeat": "0", "escalate": "0",
    "missing": "ignore",
}  # fmt: skip


@pytest.fixture
def client(customer_owner: Person) -> Client:
    return sign_in(customer_owner)


@pytest.fixture
def start() -> datetime:
    return now().replace(second=0, microsecond=0) - 3 * HOUR


@pytest.fixture
def prod(customer_owner: Person) -> UUID:
    return environment_create(actor=customer_owner.actor, name="Production", slug="prod").id


def to(name: str, *args: object) -> str:
    return reverse(f"c:{name}", args=("acme", *args))


def text(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return answer.content.decode()


def test_an_issue_from_found_to_resolved(
    client: Client,
    customer_owner: Person,
    prod: UUID,
    start: datetime,
    store: Store,  # noqa: ARG001  the requests are opened
) -> None:
    with scoped(customer_owner.scope):
        place = Endpoint(prod, HOSTILE, "/users/{id}")
        observe(customer_owner.scope, [Finding(place, IssueKind.ERRORS, "3 of 4 failed")],
                Window(start, start + MINUTE))  # fmt: skip
    listed = text(client, to("issues"))
    assert HOSTILE not in listed
    assert "3 of 4 failed" in listed
    (row,), _ = issues(customer_owner.scope, IssueFilter())
    page = text(client, to("issue", row.id))
    assert HOSTILE not in page
    assert "0 affected requests in 48 hours" in page
    assert page.count('data-value="0"') == 48
    samples = re.search(r'href="(/c/acme/requests\?[^"]+)"', page)
    assert samples is not None
    assert client.get(samples[1].replace("&amp;", "&")).status_code == 200
    change = to("issue-change", row.id)
    person = str(customer_owner.user.id)
    assert client.post(change, {"do": "assign", "user_id": person}).status_code == 302
    assert client.post(change, {"do": "ignore", "hours": "7"}).status_code == 422
    assert client.post(change, {"do": "resolve"}).status_code == 302
    assert client.post(change, {"do": "resolve"}).status_code == 409
    assert client.post(change, {"do": "destroy"}).status_code == 422
    after = text(client, to("issue", row.id))
    assert all(word in after for word in ("Resolved", customer_owner.email, "Open again"))
    assert "3 of 4 failed" not in text(client, f"{to('issues')}?f.state=open")
    exported = b"".join(client.get(f"{to('issues')}?export=csv")).decode()
    assert "3 of 4 failed" not in exported.splitlines()[0]
    assert len(exported.splitlines()) == 2


def test_a_rule_is_previewed_made_changed_and_removed(
    client: Client, customer_owner: Person, prod: UUID, start: datetime, store: Store
) -> None:
    put(store, customer_owner.account.id, prod, start, 60, every=timedelta(seconds=10), status=500)
    new = to("alert-rule-create")
    assert 'value="1000"' in text(client, f"{new}?template=latency")
    shown = client.post(new, RULE | {"preview": "1"})
    assert "Would have fired once in the last 7 days." in shown.content.decode()
    assert 'id="chart-preview"' in shown.content.decode()
    assert rules(customer_owner.scope) == [], "a preview makes nothing"
    quiet = client.post(new, RULE | {"preview": "1", "threshold": "100"})
    assert "Would not have fired" in quiet.content.decode()
    wrong = client.post(new, RULE | {"threshold": "many", "window": "0"})
    assert wrong.status_code == 422
    assert "A number." in wrong.content.decode()
    assert client.post(new, RULE).status_code == 302
    (made,) = rules(customer_owner.scope)
    page = to("alert-rule", made.id)
    assert 'value="10"' in text(client, page)
    assert client.post(page, RULE | {"name": "Renamed"}).status_code == 302
    assert "Renamed" in text(client, to("alert-rules"))
    client.post(to("alert-rule-switch", made.id), {"enabled": "0"})
    assert [r.enabled for r in rules(customer_owner.scope)] == [False]
    client.post(to("alert-rule-remove", made.id))
    assert rules(customer_owner.scope) == []


def test_what_has_no_past_is_previewed_for_now(
    client: Client, customer_owner: Person, world: World
) -> None:
    typed = RULE | {"measure": "silent_agents", "threshold": "0", "preview": "1"}
    heard = client.post(to("alert-rule-create"), typed).content.decode()
    assert "Only the present is known of this. It is 0 agents now, and would not fire." in heard
    with unscoped("test"):
        Agent.objects.filter(id=world.agent_id).update(last_heartbeat_at=now() - HOUR)
    silent = client.post(to("alert-rule-create"), typed).content.decode()
    assert "It is 1 agents now, and would fire." in silent
    assert rules(customer_owner.scope) == []


def test_who_may_not_change_a_rule_reads_it_in_closed_fields(
    client: Client, customer_owner: Person, customer_viewer: Person
) -> None:
    assert client.post(to("alert-rule-create"), RULE).status_code == 302
    (made,) = rules(customer_owner.scope)
    closed = '<fieldset class="bare" disabled>'
    page = text(sign_in(customer_viewer), to("alert-rule", made.id))
    assert closed in page
    assert "Your role does not include changing rules." in page
    assert closed not in text(client, to("alert-rule", made.id))


def test_what_is_no_traffic_is_not_narrowed_in_silence(client: Client) -> None:
    """It would watch every server's certificate while it names one host."""
    new = to("alert-rule-create")
    typed = RULE | {"measure": "certificate_days", "above": "0", "host": "api.example.com"}
    for asked in (typed, typed | {"preview": "1"}):
        refused = client.post(new, asked)
        assert refused.status_code == 422
        said = "“Days until a certificate expires” cannot be narrowed by this: leave it empty."
        assert said in refused.content.decode()
    assert client.post(new, typed | {"host": ""}).status_code == 302


def test_channels_show_their_secret_once(client: Client, customer_owner: Person) -> None:
    index = to("alert-channels")
    made = client.post(
        index, {"kind": "webhook", "name": "ops", "url": "https://hooks.example.org/abc"}
    )
    assert made["Cache-Control"] == "no-store"
    secret = re.search(r"whsec_[\w-]{43}", made.content.decode())
    assert secret is not None
    (row,) = channels(customer_owner.scope)
    page = to("alert-channel", row.id)
    assert secret[0] not in text(client, page) + text(client, index)
    rotated = client.post(page, {"do": "rotate"}).content.decode()
    assert "whsec_" in rotated
    assert secret[0] not in rotated
    assert client.post(page, {"do": "test"}).status_code == 302
    sent, _total = deliveries(customer_owner.scope, DeliveryFilter(kind="webhook"))
    assert [d.subject for d in sent] == ["[Test] This is a test of the channel “ops”"]
    assert client.post(page, {"do": "remove", "confirm": "no"}).status_code == 422
    assert client.post(page, {"do": "remove", "confirm": "ops"}).status_code == 302
    assert channels(customer_owner.scope) == []
    refused = client.post(index, {"kind": "webhook", "name": "x", "url": "ftp://x"})
    assert refused.status_code == 422


def test_an_incident_is_looked_after_and_silenced(
    client: Client, customer_owner: Person, prod: UUID, start: datetime, store: Store
) -> None:
    client.post(to("alert-channels"), {"kind": "mail", "name": "m", "addresses": "a@acme.example"})
    (channel,) = channels(customer_owner.scope)
    where = {"host": "api.example.com", "path_prefix": "/p", "status_class": "5xx",
             "environment": str(prod)}  # fmt: skip
    client.post(to("alert-rule-create"), RULE | where | {"channels": str(channel.id)})
    (made,) = rules(customer_owner.scope)
    with scoped(customer_owner.scope):
        AlertRule.objects.update(evaluated_at=start)
    put(store, customer_owner.account.id, prod, start, 60, every=timedelta(seconds=10), status=500)
    evaluate(customer_owner.scope, made.id, start + 5 * MINUTE + HOUR / 60, store=store)
    (row,), _ = incidents(customer_owner.scope, IncidentFilter())
    assert "Pay fails" in text(client, to("alerts"))
    page = text(client, to("incident", row.id))
    assert all(word in page for word in ("Firing", "[Firing] Pay fails", "a@acme.example"))
    link = re.search(r'href="([^"]+)">[^>]*>[^>]*>[^>]*>Traffic at that time', page)
    assert link is not None
    asked = dict(parse_qsl(urlsplit(unescape(link[1])).query))
    begins = datetime.fromisoformat(asked.pop("from"))
    assert begins == row.started_at - HOUR
    assert asked == {
        "f.host": "api.example.com",
        "f.path": "/p",
        "f.status": "5xx",
        "f.env": "prod",
    }
    assert "api.example.com" in text(client, unescape(link[1]))
    acknowledge = to("incident-acknowledge", row.id)
    assert client.post(acknowledge).status_code == 302
    assert client.post(acknowledge).status_code == 409
    assert customer_owner.email in text(client, to("incident", row.id))
    form = f"{to('alert-silences')}?rule={made.id}&dialog=silence"
    assert f'value="{made.id}" selected' in text(client, form)
    until = f"{now() + 30 * HOUR:%Y-%m-%dT%H:%M}"
    asked = {"reason": "deploy", "starts_at": "2026-01-01T00:00", "ends_at": until,
             "rule": str(made.id)}  # fmt: skip
    assert client.post(to("alert-silences"), asked).status_code == 422, "longer than 90 days"
    asked["starts_at"] = f"{now():%Y-%m-%dT%H:%M}"
    assert client.post(to("alert-silences"), asked).status_code == 302
    (quiet,) = silences(customer_owner.scope)
    assert "deploy" in text(client, to("alert-silences"))
    assert client.post(to("silence-end", quiet.id)).status_code == 302
    assert client.post(to("silence-end", quiet.id)).status_code == 409


def test_the_log_of_deliveries(
    client: Client, customer_owner: Person, other_customer_owner: Person, cloud_admin: Person
) -> None:
    link = "https://portal.example/reset/SECRETLINK"
    kept = mail_send(
        account_id=customer_owner.account.id, to="bob@acme.example", template="password_reset",
        context={"link": link, "expires": "soon"}, key="reset:1",
    )  # fmt: skip
    ours = mail_send(
        account_id=None, to="eve@nowhere.example", template="password_reset",
        context={"link": link, "expires": "soon"}, key="reset:2",
    )  # fmt: skip
    page = to("delivery", kept)
    for path in (to("deliveries"), page):
        assert "bob@acme.example" in text(client, path)
        assert "SECRETLINK" not in text(client, path)
    again = to("delivery-again", kept)
    assert client.post(again).status_code == 409
    with unscoped("test"):
        Delivery.objects.filter(id=kept).update(state="failed", finished_at=now())
    assert "Send again" in text(client, page)
    assert client.post(again).status_code == 302
    theirs = sign_in(other_customer_owner)
    assert theirs.get(reverse("c:delivery", args=("birch", kept))).status_code == 404
    admin = sign_in(cloud_admin)
    assert admin.get(reverse("admin:delivery", args=(kept,))).status_code == 404
    assert "eve@nowhere.example" in text(admin, reverse("admin:delivery", args=(ours,)))
    assert "eve@nowhere.example" not in text(client, to("deliveries"))
    for sort in ("to", "-attempts", "state", "-created_at"):
        assert "bob@acme.example" in text(client, f"{to('deliveries')}?sort={sort}&q=acme")
    exported = b"".join(client.get(f"{to('deliveries')}?export=json"))
    assert b"SECRETLINK" not in exported
    assert b"bob@acme.example" in exported


@pytest.mark.django_db(transaction=True)
def test_sellers_begin_with_what_they_can_watch(reseller_owner: Person) -> None:
    client, place = sign_in(reseller_owner), "/r/north/alerts/rules/new"
    for page in ("alerts", "alerts/rules"):
        shown = client.get(f"/r/north/{page}").content.decode()
        assert f'href="{place}?template=locks"' in shown
        assert "template=errors" not in shown
    chosen = {
        template: client.get(f"{place}?template={template}").content.decode()
        for template in ("locks", "odd", "errors")
    }
    assert 'value="sign_in_locks" selected' in chosen["locks"]
    assert 'value="sign_in_anomalies" selected' in chosen["odd"]
    assert 'value="sign_in_anomalies" selected' in chosen["errors"]


@pytest.mark.django_db(transaction=True)
def test_who_may_not_read_sign_ins_is_not_offered_them(
    customer_owner: Person, customer_teammate: Person
) -> None:
    draft = Draft("Locks", "critical", Spec("sign_in_locks", above=True, threshold=0), None, ())
    made = rule_create(actor=customer_owner.actor, draft=draft)
    editor, new = sign_in(customer_teammate), "/c/acme/alerts/rules/new"
    for page in (new, f"{new}?template=locks"):
        offered = editor.get(page).content.decode()
        assert 'value="p95"' in offered
        assert "sign_in_" not in offered
    typed = {"name": "Mine", "severity": "critical", "measure": "sign_in_locks", "above": "1",
             "threshold": "0", "window": "5"}  # fmt: skip
    for form in (typed, typed | {"preview": "1"}):
        assert editor.post(new, form).status_code == 403
    # A rule that is there keeps its measure on the page, and is not turned into another unseen.
    rule = f"/c/acme/alerts/rules/{made.id}"
    assert 'value="sign_in_locks" selected' in editor.get(rule).content.decode()
    assert editor.post(rule, typed).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_what_a_facet_leaves_out_is_not_said_to_be_missing(
    world: World,  # noqa: ARG001
    customer_owner: Person,
) -> None:
    client = sign_in(customer_owner)
    for page in ("requests", "objects"):
        shown = client.get(f"/c/acme/{page}?f.tag=team:shop").content.decode()
        assert "Nothing matches this filter" in shown
        assert "in this range</h2>" not in shown
