"""Webhooks and Slack: signed, sent to a checked address, and never further."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from audit.selectors import EntryFilter, entries
from notify import outside, signing
from notify.channels import channels
from notify.models import Channel, Delivery, State
from notify.outside import _allowed, post
from notify.selectors import DeliveryFilter, deliveries, delivery
from notify.services import (
    Notice,
    channel_change,
    channel_create,
    channel_remove,
    channel_secret_rotate,
    channel_send,
    channel_test,
    delivery_send_again,
)
from notify.tasks import deliver
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound
from qcloud.kernel.scope import scoped, unscoped
from tests.e2e.certificates import write_certificate
from tests.factories.cast import Person
from tests.notify.conftest import attempts, make_due, row
from tests.notify.postbox import Postbox
from tests.notify.receiver import Receiver, receiving

NOTICE = Notice(
    event="alert.firing", heading="Errors on <!channel> & co", state="Firing", severity="critical",
    facts=(("Path", "/<script>"), ("Value", "12 %")), link="https://portal.example/c/acme/alerts",
    data={"rule": "errors"},
)  # fmt: skip


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """On loopback, which a test's cloud administrator has allowed."""
    monkeypatch.setenv("QCLOUD_NOTIFY_WEBHOOK_NETWORKS", "127.0.0.0/8")
    with receiving(Receiver()) as found:
        yield found


@pytest.fixture(autouse=True)
def _real(transactional_db: None) -> None:
    """Workers and callers are in transactions of their own."""


def hook(person: Person, url: str, kind: str = "webhook") -> tuple[UUID, str]:
    made, secret = channel_create(actor=person.actor, kind=kind, name=f"ops {kind}", url=url)
    return made.id, secret


def tell(person: Person, channel: UUID, key: str = "incident:1") -> UUID:
    (kept,) = channel_send(account_id=person.account.id, channel_id=channel, notice=NOTICE, key=key)
    return kept


def signatures(headers: dict[str, str]) -> tuple[int, list[str]]:
    parts = [part.split("=", 1) for part in headers["QCloud-Signature"].split(",")]
    return int(parts[0][1]), [value for name, value in parts[1:] if name == "v1"]


def test_a_webhook_is_signed_over_time_and_body(receiver: Receiver, customer_owner: Person) -> None:
    channel, secret = hook(customer_owner, receiver.url())
    kept = tell(customer_owner, channel)
    assert tell(customer_owner, channel) == kept
    assert deliver(str(kept)) is True
    ((path, headers, body),) = receiver.requests
    assert path == "/hooks/T0?key=abcd"
    assert (headers["QCloud-Event"], headers["QCloud-Delivery"]) == ("alert.firing", str(kept))
    stamp, found = signatures(headers)
    assert abs(stamp - time.time()) < 5
    assert found == [signing.signature(secret, stamp, body)]
    assert found != [signing.signature(secret, stamp + 1, body)]
    assert found != [signing.signature(secret, stamp, body + b" ")]
    told = json.loads(body)
    assert told.pop("at")
    assert told == {
        "event": "alert.firing", "heading": NOTICE.heading, "state": "Firing",
        "severity": "critical", "link": NOTICE.link, "data": {"rule": "errors"},
    }  # fmt: skip
    assert (row(kept).state, row(kept).to) == (State.SENT, "127.0.0.1 …abcd")


def test_two_secrets_sign_for_a_day_after_rotation(
    receiver: Receiver, customer_owner: Person
) -> None:
    channel, old = hook(customer_owner, receiver.url())
    made, new = channel_secret_rotate(actor=customer_owner.actor, channel_id=channel)
    assert made.old_secret_until is not None
    deliver(str(tell(customer_owner, channel, "a")))
    with scoped(customer_owner.scope):
        Channel.objects.filter(id=channel).update(old_secret_until=now() - timedelta(seconds=1))
    deliver(str(tell(customer_owner, channel, "b")))
    valid = []
    for _path, headers, body in receiver.requests:
        stamp, found = signatures(headers)
        by_secret = {
            signing.signature(s, stamp, body): name for name, s in (("old", old), ("new", new))
        }
        valid.append([by_secret[f] for f in found])
    assert valid == [["new", "old"], ["new"]]


def test_slack_gets_its_json_and_no_signature(receiver: Receiver, customer_owner: Person) -> None:
    channel, secret = hook(customer_owner, receiver.url(), "slack")
    assert secret == ""
    assert deliver(str(tell(customer_owner, channel))) is True
    ((_path, headers, body),) = receiver.requests
    assert "QCloud-Signature" not in headers
    told = json.loads(body)
    assert told["text"] == "[Firing] Errors on &lt;!channel&gt; &amp; co"
    assert told["attachments"][0]["fields"][0] == {
        "title": "Path", "value": "/&lt;script&gt;", "short": True,
    }  # fmt: skip


def test_a_mail_channel_writes_to_each_address_once(smtp: Postbox, customer_owner: Person) -> None:
    made, _ = channel_create(
        actor=customer_owner.actor, kind="mail", name="on call",
        addresses=["a@acme.example", "b@acme.example", "a@acme.example"],
    )  # fmt: skip
    for _again in range(2):
        for kept in channel_send(
            account_id=customer_owner.account.id, channel_id=made.id, notice=NOTICE, key="i"
        ):
            deliver(str(kept))
    assert [mail["To"] for mail in smtp.mails] == ["a@acme.example", "b@acme.example"]
    html = smtp.mails[0].get_body(("html",))
    assert html is not None
    assert "/&lt;script&gt;" in html.get_content()


def test_neither_address_nor_secret_is_readable_in_the_database(customer_owner: Person) -> None:
    url = "https://hooks.slack.example/services/T0/B0/SECRETPART"
    _channel, secret = hook(customer_owner, url)
    with scoped(customer_owner.scope):
        values = str(list(Channel.objects.values_list()))
    assert "SECRETPART" not in values
    assert secret not in values
    journal = entries(customer_owner.scope, EntryFilter(action="notify.channel")).entries
    assert [e.action for e in journal] == ["notify.channel.create"]
    assert "SECRETPART" not in str(journal)
    assert [c.shown for c in channels(customer_owner.scope)] == ["hooks.slack.example …PART"]


@pytest.mark.parametrize(
    ("status", "state"),
    [(200, "sent"), (204, "sent"), (301, "failed"), (400, "failed"), (404, "waiting"),
     (410, "failed"), (429, "waiting"), (500, "waiting"), (503, "waiting")],
)  # fmt: skip
def test_what_a_status_means(
    receiver: Receiver, customer_owner: Person, status: int, state: str
) -> None:
    receiver.answers = [(status, {"Location": receiver.url()}, b"<b>words</b>\x00\xff")]
    channel, _ = hook(customer_owner, receiver.url())
    kept = tell(customer_owner, channel)
    assert deliver(str(kept)) is True
    assert row(kept).state == state
    assert len(receiver.requests) == 1, "a redirect is not followed"
    found = delivery(customer_owner.scope, kept)
    assert found is not None
    assert [a.status for a in found[1]] == [status]
    if status == 500:
        assert found[1][0].answer.startswith("<b>words</b>")


def test_an_endless_answer_is_left_after_its_beginning(
    receiver: Receiver, customer_owner: Person
) -> None:
    receiver.endless, receiver.answers = True, [(200, {}, b"ok ")]
    channel, _ = hook(customer_owner, receiver.url())
    kept, began = tell(customer_owner, channel), now()
    assert deliver(str(kept)) is True
    assert now() - began < timedelta(seconds=5)
    assert row(kept).state == State.SENT


def test_a_target_that_hangs_is_left(
    customer_owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QCLOUD_NOTIFY_WEBHOOK_NETWORKS", "127.0.0.0/8")
    monkeypatch.setattr(outside, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        channel, _ = hook(customer_owner, f"http://127.0.0.1:{server.getsockname()[1]}/")
        kept = tell(customer_owner, channel)
        assert deliver(str(kept)) is True
    assert row(kept).state == State.WAITING
    assert "timed out" in row(kept).reason


def test_one_accounts_slow_targets_hold_two_workers_at_most(
    receiver: Receiver, customer_owner: Person, other_customer_owner: Person
) -> None:
    mine, _ = hook(customer_owner, receiver.url())
    theirs, _ = hook(other_customer_owner, receiver.url())
    ids = [tell(customer_owner, mine, str(n)) for n in range(3)]
    with unscoped("test"):
        Delivery.objects.filter(id__in=ids[:2]).update(
            state=State.SENDING, next_at=now() + timedelta(minutes=1)
        )
    assert deliver(str(ids[2])) is False
    assert deliver(str(tell(other_customer_owner, theirs))) is True


class TestWhere:
    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
         "0.0.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
         "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1",
         "2001:0:0:0:0:0:f5ff:fffe"],
    )  # fmt: skip
    def test_what_is_not_public_is_refused(self, address: str) -> None:
        assert not _allowed(ip_address(address), ())

    @pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
    def test_what_is_public_is_allowed(self, address: str) -> None:
        assert _allowed(ip_address(address), ())

    def test_a_listed_network_and_no_other(self) -> None:
        listed = (ip_network("10.1.0.0/16"),)
        assert _allowed(ip_address("10.1.2.3"), listed)
        assert _allowed(ip_address("::ffff:10.1.2.3"), listed)
        assert not _allowed(ip_address("10.2.0.1"), listed)

    def test_loopback_is_refused_by_default_and_says_who_can_change_it(
        self, customer_owner: Person
    ) -> None:
        with receiving(Receiver()) as receiver:
            channel, _ = hook(customer_owner, receiver.url("localhost"))
            kept = tell(customer_owner, channel)
            assert deliver(str(kept)) is True
            assert receiver.requests == []
        assert row(kept).state == State.FAILED
        assert "cloud administrator" in row(kept).reason

    def test_the_name_is_asked_once_and_that_answer_is_used(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name that would lead elsewhere at the second question gets no second question."""
        asked: list[str] = []
        real = socket.getaddrinfo

        def lookup(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            if host == "rebind.example":
                asked.append(host)
                host = "127.0.0.1" if len(asked) == 1 else "127.0.0.9"
            return real(host, port, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        url = receiver.url("rebind.example")
        result = post(url, b"{}", {}, networks=[ip_network("127.0.0.1/32")])
        assert (result.outcome, asked) == ("sent", ["rebind.example"])
        assert receiver.requests[0][1]["Host"] == f"rebind.example:{receiver.port}"
        refused = post(url, b"{}", {}, networks=[ip_network("127.0.0.1/32")])
        assert (refused.outcome, len(receiver.requests)) == ("permanent", 1)

    @pytest.mark.parametrize(
        "url",
        ["ftp://example.org/", "https://", "https://user:pw@example.org/", "example.org",
         "https://exa mple.org/", "https://example.org/\r\nX: y", "https://example.org:0/",
         "https://example.org:99999/", "https://bücher.example/", "file:///etc/passwd"],
    )  # fmt: skip
    def test_addresses_that_are_none(self, customer_owner: Person, url: str) -> None:
        with pytest.raises(Invalid) as refused:
            hook(customer_owner, url)
        assert "url" in refused.value.data["fields"]

    @pytest.mark.parametrize("host", ["a..example", "a" * 64 + ".example"])
    def test_a_name_that_nobody_can_look_up_is_no_fault_of_ours(self, host: str) -> None:
        result = post(f"https://{host}/x", b"", {}, networks=())
        assert result.outcome == "temporary"
        assert "is no name of a host" in result.answer
        assert outside.head(f"https://{host}/x", networks=()) == 0

    def test_tls_is_verified(self, tmp_path: Path) -> None:
        certificate = write_certificate(tmp_path, ["localhost"], ["127.0.0.1"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        here = [ip_network("127.0.0.0/8")]
        with receiving(Receiver(), context) as receiver:
            url = receiver.url("localhost", "https")
            refused = post(url, b"{}", {}, networks=here)
            assert (refused.outcome, receiver.requests) == ("temporary", [])
            assert "certificate verify failed" in refused.answer
            taken = post(url, b"{}", {}, networks=here, ca_file=str(certificate[0]))
            assert (taken.outcome, len(receiver.requests)) == ("sent", 1)


def test_a_corrected_address_holds_for_what_waits(
    receiver: Receiver, customer_owner: Person
) -> None:
    receiver.answers = [(503, {}, b"")]
    channel, _ = hook(customer_owner, receiver.url())
    kept = tell(customer_owner, channel)
    deliver(str(kept))
    channel_change(
        actor=customer_owner.actor, channel_id=channel, name="ops", url=receiver.url() + "&v=2"
    )
    make_due(kept)
    deliver(str(kept))
    assert [path for path, *_ in receiver.requests][1].endswith("&v=2")
    assert attempts(kept) == [(1, "temporary", 503), (2, "sent", 204)]


def test_a_given_up_delivery_is_sent_again(receiver: Receiver, customer_owner: Person) -> None:
    receiver.answers = [(410, {}, b"gone")]
    channel, _ = hook(customer_owner, receiver.url())
    kept = tell(customer_owner, channel)
    deliver(str(kept))
    delivery_send_again(actor=customer_owner.actor, delivery_id=kept)
    assert deliver(str(kept)) is True
    assert row(kept).state == State.SENT
    with pytest.raises(Conflict):
        delivery_send_again(actor=customer_owner.actor, delivery_id=kept)


def test_a_channel_of_another_account_is_nothing(
    receiver: Receiver,
    customer_owner: Person,
    customer_viewer: Person,
    other_customer_owner: Person,
    cloud_admin: Person,
) -> None:
    channel, _ = hook(customer_owner, receiver.url())
    kept = tell(customer_owner, channel)
    for call in (channel_remove, channel_secret_rotate):
        with pytest.raises(NotFound):
            call(actor=other_customer_owner.actor, channel_id=channel)
        with pytest.raises(Denied):
            call(actor=customer_viewer.actor, channel_id=channel)
    assert channel_send(
        account_id=other_customer_owner.account.id, channel_id=channel, notice=NOTICE, key="x"
    ) == ()  # fmt: skip
    by_channel = DeliveryFilter(channel_ids=(channel,))
    assert deliveries(customer_owner.scope, by_channel)[1] == 1
    for other in (other_customer_owner, cloud_admin):
        assert deliveries(other.scope, by_channel) == ([], 0)
        assert delivery(other.scope, kept) is None
        with pytest.raises(NotFound):
            delivery_send_again(actor=other.actor, delivery_id=kept)


def test_a_removed_channel_sends_nothing_more(receiver: Receiver, customer_owner: Person) -> None:
    channel, _ = hook(customer_owner, receiver.url())
    kept = tell(customer_owner, channel)
    channel_remove(actor=customer_owner.actor, channel_id=channel)
    assert deliver(str(kept)) is True
    assert receiver.requests == []
    assert (row(kept).state, row(kept).reason) == (State.FAILED, "The channel was removed.")


def test_the_test_button_says_that_it_is_a_test(receiver: Receiver, customer_owner: Person) -> None:
    channel, _ = hook(customer_owner, receiver.url())
    for kept in channel_test(
        actor=customer_owner.actor, channel_id=channel, link="https://portal.example/c/acme/alerts"
    ):
        deliver(str(kept))
    assert json.loads(receiver.requests[0][2])["state"] == "Test"
    actions = [e.action for e in entries(customer_owner.scope, EntryFilter()).entries][:2]
    assert actions == ["notify.channel.test", "notify.channel.create"]
