"""A mail from the caller's transaction to a real SMTP server."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction

from notify import smtp as transport
from notify.models import Attempt, Delivery, State
from notify.queue import due
from notify.selectors import delivery
from notify.services import Brand, mail_send
from notify.tasks import deliver, forget, sweep
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Invalid
from qcloud.kernel.scope import scoped, unscoped
from tests.e2e.certificates import write_certificate
from tests.factories.cast import Person
from tests.notify.conftest import Invite, attempts, make_due, row, stored, use
from tests.notify.postbox import Postbox, served

SECRET = "SECRETLINK"


def test_a_mail_arrives_once_and_its_content_is_gone(smtp: Postbox, invite: Invite) -> None:
    first = invite()
    assert invite() == first, "the same key is the same mail"
    assert SECRET in row(first).payload.reveal()
    assert SECRET not in str(stored(first))
    assert deliver(str(first)) is True
    assert deliver(str(first)) is False
    (mail,) = smtp.mails
    assert (mail["To"], mail["Subject"]) == (
        "bob@acme.example",
        "Ada invites you to Acme on QCloud",
    )
    assert mail["From"] == "QCloud <qcloud@provider.example>"
    assert mail["Message-ID"] == f"<{first}@provider.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    bodies = [mail.get_body((kind,)) for kind in ("plain", "html")]
    assert all(body is not None and SECRET in body.get_content() for body in bodies)
    sent = row(first)
    assert (sent.state, sent.payload, sent.reason) == (State.SENT, None, "")
    assert attempts(first) == [(1, "sent", 250)]


def test_nothing_leaves_before_the_commit_and_nothing_after_a_rollback(
    smtp: Postbox, invite: Invite
) -> None:
    with transaction.atomic():
        kept = invite()
        transaction.set_rollback(True)
    with unscoped("test"):
        assert not Delivery.objects.filter(id=kept).exists()
    assert deliver(str(kept)) is False
    assert smtp.mails == []


def test_two_transactions_with_one_key_make_one_mail(
    smtp: Postbox, invite: Invite, customer_owner: Person
) -> None:
    account, ids = customer_owner.account.id, []
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        ids.append(invite(account))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 4
    assert len(set(ids)) == 1
    assert [deliver(str(i)) for i in ids] == [True, False, False, False]
    assert len(smtp.mails) == 1


def test_one_account_can_have_a_mail_written_to_anothers_log(
    smtp: Postbox, invite: Invite, customer_owner: Person, reseller_owner: Person
) -> None:
    """A reseller invites its customer's first person; the customer's staff see it."""
    with scoped(reseller_owner.scope):
        kept = invite(customer_owner.account.id)
        assert not Delivery.objects.filter(id=kept).exists(), "own rows are nobody else's"
    with scoped(customer_owner.scope):
        assert Delivery.objects.filter(id=kept).exists()
    assert deliver(str(kept))
    assert len(smtp.mails) == 1


def test_greylisting_is_waited_out(smtp: Postbox, invite: Invite) -> None:
    smtp.at_rcpt = ["451 4.7.1 come back later", "451 4.7.1 come back later"]
    kept = invite()
    assert deliver(str(kept)) is True
    waiting = row(kept)
    assert (waiting.state, waiting.reason) == (State.WAITING, "4.7.1 come back later")
    assert waiting.next_at is not None
    assert timedelta(seconds=20) < waiting.next_at - now() < timedelta(seconds=40)
    assert deliver(str(kept)) is False, "not before its time"
    make_due(kept)
    assert deliver(str(kept)) is True
    make_due(kept)
    assert due(10) == [kept]
    assert deliver(str(kept)) is True
    assert attempts(kept) == [(1, "temporary", 451), (2, "temporary", 451), (3, "sent", 250)]
    assert len(smtp.mails) == 1


@pytest.mark.parametrize("step", ["rcpt", "data"])
def test_a_refusal_for_good_is_not_repeated(smtp: Postbox, invite: Invite, step: str) -> None:
    setattr(smtp, f"at_{step}", ["550 5.1.1 no such person"])
    kept = invite()
    assert deliver(str(kept)) is True
    failed = row(kept)
    assert (failed.state, failed.reason) == (State.FAILED, "5.1.1 no such person")
    assert failed.payload is not None, "it can be sent again"
    assert due(10) == []
    assert attempts(kept) == [(1, "permanent", 550)]


def test_a_day_of_trouble_is_enough(smtp: Postbox, invite: Invite) -> None:
    smtp.at_rcpt = ["451 later"]
    kept = invite()
    make_due(kept, age=timedelta(hours=24, minutes=1))
    assert deliver(str(kept)) is True
    assert row(kept).state == State.FAILED


def test_a_server_that_hangs_is_left(invite: Invite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        use(monkeypatch, Postbox(port=server.getsockname()[1]))
        kept = invite()
        assert deliver(str(kept)) is True
    assert row(kept).state == State.WAITING
    assert "timed out" in row(kept).reason


def test_a_server_that_drips_is_cut_off(invite: Invite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time; the greeting never ends."""
    monkeypatch.setattr(transport, "WHOLE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            peer, _ = server.accept()
            with peer:
                while not stop.wait(0.05):
                    try:
                        peer.send(b"2")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        use(monkeypatch, Postbox(port=server.getsockname()[1]))
        kept, began = invite(), now()
        assert deliver(str(kept)) is True
        stop.set()
        thread.join()
    assert now() - began < timedelta(seconds=5)
    assert row(kept).state == State.WAITING


def test_nobody_listens(invite: Invite, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        use(monkeypatch, Postbox(port=probe.getsockname()[1]))
        kept = invite()
        assert deliver(str(kept)) is True
    assert "Connection refused" in row(kept).reason


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> tuple[Path, Path]:
        return write_certificate(tmp_path, ["localhost"], ["127.0.0.1"])

    @staticmethod
    def context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        return context

    def test_a_trusted_server_gets_password_and_mail(
        self, certificate: tuple[Path, Path], invite: Invite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with served(Postbox(), tls=self.context(certificate), auth=True) as postbox:
            use(monkeypatch, postbox, SECURITY="starttls", CA_FILE=str(certificate[0]),
                USER="qcloud", PASSWORD="right")  # fmt: skip
            assert deliver(str(kept := invite())) is True
            assert postbox.logins == [(b"qcloud", b"right")]
            assert len(postbox.mails) == 1
        assert row(kept).state == State.SENT

    def test_an_unknown_certificate_gets_neither(
        self, certificate: tuple[Path, Path], invite: Invite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with served(Postbox(), tls=self.context(certificate), auth=True) as postbox:
            use(monkeypatch, postbox, SECURITY="starttls", USER="qcloud",
                PASSWORD="right")  # fmt: skip
            assert deliver(str(kept := invite())) is True
            assert (postbox.logins, postbox.mails) == ([], [])
        assert row(kept).state == State.WAITING
        assert "certificate verify failed" in row(kept).reason

    def test_another_names_certificate_gets_neither(
        self, tmp_path: Path, invite: Invite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        certificate = write_certificate(tmp_path, ["mail.elsewhere.example"], [])
        with served(Postbox(), tls=self.context(certificate)) as postbox:
            use(monkeypatch, postbox, SECURITY="starttls", CA_FILE=str(certificate[0]))
            assert deliver(str(kept := invite())) is True
            assert postbox.mails == []
        assert "certificate" in row(kept).reason

    def test_a_server_without_tls_gets_nothing(
        self, smtp: Postbox, invite: Invite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QCLOUD_NOTIFY_MAIL_SECURITY", "starttls")
        assert deliver(str(kept := invite())) is True
        assert smtp.mails == []
        assert "STARTTLS" in row(kept).reason

    def test_no_password_without_tls(
        self, smtp: Postbox, invite: Invite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QCLOUD_NOTIFY_MAIL_USER", "qcloud")
        assert deliver(str(kept := invite())) is True
        assert (smtp.logins, smtp.mails) == ([], [])
        assert "without TLS" in row(kept).reason

    def test_a_wrong_password_is_the_operators_to_mend(
        self, certificate: tuple[Path, Path], invite: Invite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with served(Postbox(), tls=self.context(certificate), auth=True) as postbox:
            use(monkeypatch, postbox, SECURITY="starttls", CA_FILE=str(certificate[0]),
                USER="qcloud", PASSWORD="wrong")  # fmt: skip
            assert deliver(str(kept := invite())) is True
            assert postbox.mails == []
        assert row(kept).state == State.WAITING, "5xx, but not about this mail"
        assert attempts(kept) == [(1, "temporary", 535)]


def test_a_worker_killed_between_server_and_note_sends_again_with_the_same_id(
    smtp: Postbox, invite: Invite
) -> None:
    """At least once: the receiver can tell by the Message-ID that it is the same mail."""
    kept = invite()
    inherited, connection.connection = connection.connection, None
    child = os.fork()
    if child == 0:
        smtp.kill_after_data = 0
        deliver(str(kept))
        os._exit(1)
    connection.connection = inherited
    smtp.kill_after_data = child
    assert os.waitpid(child, 0)[1] == 9
    smtp.kill_after_data = 0
    assert (row(kept).state, len(smtp.mails)) == (State.SENDING, 1)
    assert deliver(str(kept)) is False, "the claim still holds"
    assert due(10) == []
    make_due(kept)
    assert due(10) == [kept]
    assert deliver(str(kept)) is True
    assert [mail["Message-ID"] for mail in smtp.mails] == [f"<{kept}@provider.example>"] * 2
    assert row(kept).state == State.SENT


def test_the_sweep_finds_what_no_worker_was_told_of(smtp: Postbox, invite: Invite) -> None:
    kept = invite()
    assert sweep() == 1
    assert deliver(str(kept)) is True
    assert sweep() == 0
    assert len(smtp.mails) == 1


@pytest.mark.parametrize(
    "address",
    [
        "bob@acme.example\r\nBcc: all@acme.example",
        "bob@acme.example, eve@evil.example",
        "Bob <bob@acme.example>",
        '"bob\r\n"@acme.example',
        "bob@[127.0.0.1]",
        "bob@acme..example",
        "bob@-acme.example",
        "@acme.example",
        "bob",
        "",
        "b" * 65 + "@acme.example",
        "bob@" + ("a" * 60 + ".") * 5 + "example",
        "böb@acme.example",
    ],
)
def test_hostile_addresses_are_refused(invite: Invite, address: str) -> None:
    with pytest.raises(Invalid) as refused:
        invite(to=address)
    assert refused.value.code == "notify.address"
    with unscoped("test"):
        assert Delivery.objects.count() == 0


def test_a_hostile_name_is_shown_and_not_run(smtp: Postbox, invite: Invite) -> None:
    name = "<script>alert(1)</script>\r\nBcc: eve@evil.example"
    kept = invite(context={"account": name, "inviter": "{% load x %}{{ brand }}"},
                  brand=Brand(product="Evil\r\nBcc: eve@evil.example"))  # fmt: skip
    assert deliver(str(kept)) is True
    (mail,) = smtp.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("{% load x %}{{ brand }} invites you to <script>")
    html = mail.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html.get_content()


def test_a_link_that_is_a_script_is_refused(invite: Invite) -> None:
    with pytest.raises(ValueError, match="http"):
        invite(context={"link": "javascript:alert(1)"})


def test_an_international_domain_is_written_in_ascii(smtp: Postbox, invite: Invite) -> None:
    assert deliver(str(invite(to="bob@bücher.example"))) is True
    assert smtp.mails[0]["To"] == "bob@xn--bcher-kva.example"


def test_callers_mistakes_are_told_at_once(db: None) -> None:  # noqa: ARG001
    for template, context, words in (
        ("nosuch", {}, "no mail template"),
        ("password_reset", {"link": "https://x.example"}, "expires"),
    ):
        with pytest.raises(ValueError, match=words):
            mail_send(
                account_id=None, to="a@b.example", template=template, context=context, key="k"
            )
    with pytest.raises(ValueError, match="colour"):
        Brand(accent="red;background:url(//evil)")


def test_without_a_server_mails_are_files_for_the_operator_alone(
    invite: Invite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mail"
    monkeypatch.setenv("QCLOUD_MAIL_PATH", str(folder))
    kept = invite()
    assert deliver(str(kept)) is True
    (path,) = folder.iterdir()
    assert path.suffix == ".eml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert SECRET in path.read_text()
    assert row(kept).state == State.SENT


def test_old_messages_and_rows_are_forgotten(smtp: Postbox, invite: Invite) -> None:
    smtp.at_rcpt = ["550 no"]
    failed, sent, fresh = (invite(key=str(n)) for n in range(3))
    for kept in (failed, sent, fresh):
        deliver(str(kept))
    with unscoped("test"):
        old = Delivery.objects.filter(id=failed)
        old.update(finished_at=now() - timedelta(days=8))
        Delivery.objects.filter(id=sent).update(finished_at=now() - timedelta(days=91))
    assert forget() == 1
    assert row(failed).payload is None
    assert attempts(sent) == []
    assert row(fresh).state == State.SENT


def test_who_may_not_read_addresses_reads_none_in_answers(
    customer_owner: Person, invite: Invite
) -> None:
    kept = invite(customer_owner.account.id)
    said = "550 5.1.1 <Bob@acme.example>: Recipient address rejected: bob@acme.example"
    with unscoped("test"):
        Delivery.objects.filter(id=kept).update(reason=said)
        Attempt.objects.create(
            account_id=customer_owner.account.id, delivery_id=kept, number=1, at=now(),
            duration_ms=1, outcome="permanent", status=550, answer=said,
        )  # fmt: skip
    whole = delivery(customer_owner.scope, kept)
    hidden = delivery(customer_owner.scope, kept, masked=True)
    assert whole is not None
    assert hidden is not None
    assert whole[1][0].answer == whole[0].reason == said
    shown = "550 5.1.1 <b…@acme.example>: Recipient address rejected: b…@acme.example"
    assert (hidden[1][0].answer, hidden[0].reason) == (shown, shown)
