"""From a server that expires soon to an issue: a real server, the agent's watch, the platform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.core.cache import cache
from django.urls import reverse

from fleet.services import environment_create
from pulse.alerts.preview import preview
from pulse.alerts.readings import readings
from pulse.alerts.rules import Spec
from pulse.ingest.settings import IngestSettings
from pulse.issues.scan import scan
from pulse.issues.selectors import IssueFilter, IssueInfo, activity, issues
from pulse.loader.loader import Loader
from pulse.spool.folder import SpoolFolder
from pulse.store.certificates import certificate_accounts
from pulse.store.client import Store
from qcloud.kernel.clock import now
from qcloud.kernel.scope import scoped
from tests.agent.certificates.servers import Authority, tls_server
from tests.agent.certificates.test_watch import ON, Node
from tests.factories.cast import Person
from tests.portal.conftest import sign_in
from tests.portal.world import World
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import certificate, lines
from wire.events import CertificateEvent

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def deliver(person: Person, folder: Path, store: Store, *events: CertificateEvent) -> None:
    """Through the platform's door and into the store."""
    somebody = Somebody(UUID(int=7), person.account.id, UUID(int=10))
    spool = SpoolFolder(folder / "spool")
    with door(IngestSettings(spool=spool.path), Tokens(owner=somebody)) as client:
        answer = Sender(client).send(lines(*events), X_QCloud_Kind="certificate")
        assert answer.json()["accepted"] == len(events)
    loader = Loader(spool, store, linger=0)
    loader.recover()
    while loader.step() is not None:
        """Until all is loaded."""


def listed(person: Person) -> list[IssueInfo]:
    return issues(person.scope, IssueFilter(kind="certificate"), limit=500)[0]


def look(person: Person, moment: datetime) -> list[IssueInfo]:
    cache.clear()
    scan(person.scope, moment)
    return listed(person)


def shown_by_a_server(folder: Path, days: float) -> CertificateEvent:
    """What the agent's own watch reports of a real server."""
    authority = Authority(folder)
    file, _ = authority.issue("api.stripe.com", days=days)
    node = Node(folder, ON, roots=str(authority.roots))
    with tls_server(file) as heard:
        node.talk(heard.port, host="api.stripe.com")
        node.until(lambda: len(node.shown) == 1)
    node.close()
    return node.shown[0]


def test_a_server_that_expires_soon_becomes_an_issue_and_a_renewal_closes_it(
    customer_owner: Person, other_customer_owner: Person, store: Store, tmp_path: Path
) -> None:
    old = shown_by_a_server(tmp_path, days=20.5)
    deliver(customer_owner, tmp_path, store, old)
    assert certificate_accounts(now()) == [customer_owner.account.id]
    (found,) = look(customer_owner, now())
    assert (found.host, found.severity, found.state) == (
        f"api.stripe.com:{old.destination_port}", "info", "open")  # fmt: skip
    assert "expires in 20 days" in found.cause
    assert look(other_customer_owner, now()) == []
    assert [i.id for i in look(customer_owner, now())] == [found.id]
    page = sign_in(customer_owner).get(reverse("c:issue", args=("acme", found.id)))
    assert "Certificate expires of api.stripe.com" in page.content.decode()
    new = shown_by_a_server(tmp_path, days=90)
    port = {"destination_port": old.destination_port, "hostname": old.hostname}
    deliver(customer_owner, tmp_path, store, _moved(new, **port))
    (closed,) = look(customer_owner, now())
    assert (closed.id, closed.state, closed.regressions) == (found.id, "resolved", 0)
    assert [a.what for a in activity(customer_owner.scope, found.id)] == ["resolved", "found"]


def _moved(event: CertificateEvent, **changes: object) -> CertificateEvent:
    for name, value in changes.items():
        setattr(event, name, value)
    return event


def test_it_grows_worse_as_the_day_comes(
    customer_owner: Person, store: Store, tmp_path: Path
) -> None:
    moment = datetime.now(UTC)
    ends = int((moment + 6.5 * DAY).timestamp())
    late = int((moment + 31 * DAY).timestamp())
    deliver(
        customer_owner, tmp_path, store,
        certificate(timestamp=moment, not_after=ends),
        certificate(timestamp=moment, not_after=late, host="later.example.com"),
    )  # fmt: skip
    (found,) = look(customer_owner, moment + timedelta(minutes=1))
    assert (found.host, found.severity) == ("api.example.com:443", "warning")
    ended = certificate(timestamp=moment + timedelta(seconds=1), not_after=int(moment.timestamp()))
    deliver(customer_owner, tmp_path, store, ended)
    (worse,) = look(customer_owner, moment + timedelta(minutes=2))
    assert (worse.id, worse.severity, worse.state) == (found.id, "critical", "open")
    assert "expired 0 days ago" in worse.cause
    assert [a.what for a in activity(customer_owner.scope, found.id)] == ["worsened", "found"]


def test_a_rule_watches_the_days_that_are_left(
    customer_owner: Person, store: Store, tmp_path: Path
) -> None:
    minute = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    spec = Spec("certificate_days", above=False, threshold=14)
    with scoped(customer_owner.scope):
        (before,) = readings(customer_owner.scope, spec, None, minute, minute)
    assert (before.value, before.reading) == (None, "missing")
    ends = int((minute + 10 * DAY).timestamp())
    seen = datetime.now(UTC)
    deliver(
        customer_owner, tmp_path, store,
        certificate(timestamp=seen, not_after=ends),
        certificate(timestamp=seen, not_after=ends + 864_000, host="b.example.com"),
    )  # fmt: skip
    with scoped(customer_owner.scope):
        (after,) = readings(customer_owner.scope, spec, None, minute, minute)
    assert (after.value, after.reading) == (10.0, "bad")


def test_a_preview_knows_what_was_seen_then(
    customer_owner: Person, store: Store, tmp_path: Path
) -> None:
    """Renewed two days ago, on the last day but three; and one that nobody looked at since."""
    until = now().replace(second=0, microsecond=0)
    renewed = until - 2 * DAY

    def seen(days_ago: float, ends: datetime, host: str = "api.example.com") -> CertificateEvent:
        at = until - days_ago * DAY
        return certificate(timestamp=at, not_after=int(ends.timestamp()), host=host)

    ends = renewed + 3 * DAY
    events = [*(seen(5 - i, ends) for i in range(3)), seen(2, until + 90 * DAY)]
    deliver(customer_owner, tmp_path, store, *events, seen(6.5, until + 9 * DAY, "old.example"))
    spec = Spec("certificate_days", above=False, threshold=4)
    with scoped(customer_owner.scope):
        shown = preview(customer_owner.scope, spec, None, until, store=store)
        found = readings(customer_owner.scope, spec, None, until - 7 * DAY, until, store=store)
    assert shown.possible
    (firing,) = shown.firings
    # Below four days a day before it was renewed.
    assert firing.fired_at - (renewed - DAY) in {timedelta(0), timedelta(minutes=1)}
    assert firing.until == renewed
    assert firing.worst is not None
    assert 3 < firing.worst < 3.01
    days = {measured.at: measured.value for measured in found}
    assert days[until - 7 * DAY] is None
    assert days[until - 6 * DAY] == 15
    assert days[until - 5 * DAY] == 6
    assert days[until] == 90
    sentence = spec.sentence
    assert sentence == "Days until a certificate expires below 4 days"


def test_a_vendors_page_lists_its_servers_and_their_days(
    customer_owner: Person, world: World, store: Store, tmp_path: Path
) -> None:
    moment = datetime.now(UTC)

    def seen(host: str, days: float) -> CertificateEvent:
        ends = int((moment + days * DAY).timestamp())
        return certificate(timestamp=moment, not_after=ends, host=host)

    deliver(
        customer_owner, tmp_path, store,
        seen("api.stripe.com", 20.5), seen("files.stripe.com", -3.5), seen("other.example", 2)
    )  # fmt: skip
    page = reverse("c:vendor", args=(customer_owner.account.slug, world.vendor_id))
    shown = sign_in(customer_owner).get(page).content.decode()
    line = re.search(r"<dt>Certificates</dt><dd>(.*?)</dd>", shown, re.DOTALL)
    assert line is not None
    first, second = line[1].split("<br>")
    assert re.fullmatch(r"files.stripe.com:443 until .*, 3 d over: expired", first)
    assert re.fullmatch(r"api.stripe.com:443 until .*, 20 d left", second)


def test_switched_on_from_the_environments_page(customer_owner: Person) -> None:
    place = environment_create(actor=customer_owner.actor, name="Prod", slug="prod")
    client = sign_in(customer_owner)
    page = reverse("c:environment", args=(customer_owner.account.slug, place.id))
    switch = reverse("c:certificates-set", args=(customer_owner.account.slug, place.id))
    assert "Not looked at" in client.get(page).content.decode()
    shown = client.post(switch, {"looked_at": "on"}, follow=True).content.decode()
    assert "Agents follow within a minute." in shown
    assert "<dt>Certificates</dt><dd>Looked at once a day" in shown
    wrong = client.post(switch, {"looked_at": "<b>"})
    assert wrong.status_code == 422
    assert "Choose one of the list." in wrong.content.decode()
