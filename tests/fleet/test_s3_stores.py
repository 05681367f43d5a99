"""Objects in a real S3 store: links that the platform signs, for a short while, journalled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
from django.db import connection

from audit.selectors import EntryFilter, entries
from fleet import signed
from fleet.selectors import EnvironmentInfo, config_document, object_store_of
from fleet.services import object_locate, object_open, object_store_s3_set, object_store_set
from qcloud.kernel.clock import now
from qcloud.kernel.errors import Denied, Invalid, NotFound, QCloudError, StepUpNeeded
from qcloud.kernel.scope import scoped, unscoped
from tests.agent.stores.gateway import BUCKET, REGION, ROOT, Gateway, gateway
from tests.factories.cast import Person

pytestmark = pytest.mark.django_db(transaction=True)
BODY = b'{"request": {}}'
DIGEST = hashlib.sha1(BODY, usedforsecurity=False).hexdigest()
ABSENT = "0" * 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("s3")) as running:
        assert running.call("PUT", f"/{BUCKET}/{DIGEST}", body=BODY)[0] == 200
        yield running


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a cloud administrator had allowed the store's network."""
    monkeypatch.setenv("QCLOUD_NOTIFY_WEBHOOK_NETWORKS", "127.0.0.0/8")


def set_store(person: Person, place: EnvironmentInfo, server: Gateway, **changes: Any) -> Any:
    typed: dict[str, Any] = {
        "endpoint": server.endpoint, "bucket": BUCKET, "region": REGION, "insecure": True,
        "access_key": ROOT.access_key, "secret_key": ROOT.secret_key,
    } | changes  # fmt: skip
    fresh = replace(person.actor, proved_at=now())
    return object_store_s3_set(actor=fresh, environment_id=place.id, **typed)


def journal(person: Person, action: str) -> list[Any]:
    return list(entries(person.scope, EntryFilter(action=action), limit=50).entries)


@pytest.mark.usefixtures("reachable")
def test_a_link_opens_the_object_for_two_minutes(
    customer_owner: Person, production: EnvironmentInfo, server: Gateway
) -> None:
    set_store(customer_owner, production, server)
    link = object_locate(actor=customer_owner.actor, environment_id=production.id, digest=DIGEST)
    with urlopen(link, timeout=10) as answer:  # noqa: S310  a link of ours to loopback
        assert answer.read() == BODY
        assert "attachment" in answer.headers["Content-Disposition"]
    query = parse_qs(urlsplit(link).query)
    assert query["X-Amz-Expires"] == ["120"]
    assert server.transport.send("GET", link[:-1] + "x", {}, b"").status == 403
    other = link.replace(DIGEST, ABSENT)
    assert server.transport.send("GET", other, {}, b"").status == 403
    (entry,) = journal(customer_owner, "fleet.object.locate")
    assert (entry.object_id, entry.data["signed"]) == (DIGEST, True)
    assert ROOT.secret_key not in str(entry) + link
    assert "X-Amz-Signature" not in str(entry)


def test_an_expired_link_opens_nothing(
    customer_owner: Person, production: EnvironmentInfo, server: Gateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store = set_store(customer_owner, production, server)
    earlier = (now() - timedelta(minutes=10)).timestamp()
    monkeypatch.setattr("fleet.signed.time.time", lambda: earlier)
    link = signed.signed_address(store, ROOT.secret_key, DIGEST)
    monkeypatch.undo()
    assert server.transport.send("GET", link, {}, b"").status == 403


@pytest.mark.usefixtures("reachable")
def test_missing_objects_and_wrong_keys_are_said_in_words(
    customer_owner: Person, production: EnvironmentInfo, server: Gateway
) -> None:
    actor = customer_owner.actor
    set_store(customer_owner, production, server)
    with pytest.raises(NotFound, match="is not in the store") as missing:
        object_locate(actor=actor, environment_id=production.id, digest=ABSENT)
    assert missing.value.code == "fleet.object_missing"
    set_store(customer_owner, production, server, secret_key="wrong")
    with pytest.raises(QCloudError, match="refuses the platform's keys") as refused:
        object_locate(actor=actor, environment_id=production.id, digest=DIGEST)
    assert refused.value.code == "fleet.object_store_refuses"
    assert "wrong" not in refused.value.message
    with pytest.raises(Invalid, match="40 hexadecimal"):
        object_locate(actor=actor, environment_id=production.id, digest="../" + DIGEST)
    with pytest.raises(Invalid, match="stay in the store"):
        object_open(actor=actor, environment_id=production.id, digest=DIGEST)
    assert journal(customer_owner, "fleet.object.locate") == []


def test_a_store_that_only_browsers_reach_gets_its_link_all_the_same(
    customer_owner: Person, production: EnvironmentInfo, server: Gateway
) -> None:
    """Loopback is no public address: the platform does not ask there, and signs."""
    set_store(customer_owner, production, server)
    link = object_locate(actor=customer_owner.actor, environment_id=production.id, digest=ABSENT)
    assert server.transport.send("GET", link, {}, b"").status == 404


def test_keys_are_sealed_kept_and_forgotten(
    customer_owner: Person, production: EnvironmentInfo, server: Gateway
) -> None:
    store = set_store(customer_owner, production, server)
    assert (store.type, store.has_keys, store.opens) == ("s3", True, True)
    assert ROOT.secret_key not in str(store)
    with unscoped("test"), connection.cursor() as cursor:
        cursor.execute("SELECT secret_key, fleet_objectstore::text FROM fleet_objectstore")
        ((sealed, row),) = cursor.fetchall()
    assert ROOT.secret_key.encode() not in bytes(sealed)
    assert ROOT.secret_key not in row
    assert set_store(customer_owner, production, server, secret_key="").has_keys
    kept = [entry.data["keys"] for entry in journal(customer_owner, "fleet.object_store.set")]
    assert kept == ["kept", "new"]
    with pytest.raises(Invalid, match="cannot be used") as moved:
        set_store(customer_owner, production, server, endpoint="evil.example", secret_key="")
    assert "secret_key" in moved.value.data["fields"]
    bare = set_store(customer_owner, production, server, access_key="", secret_key="")
    assert (bare.has_keys, bare.opens) == (False, False)


def test_agents_get_the_store_and_never_the_keys(
    customer_owner: Person, production: EnvironmentInfo, server: Gateway
) -> None:
    set_store(customer_owner, production, server, access_url="https://s3.example/{{DIGEST}}")
    with scoped(customer_owner.scope):
        document = config_document(production.id)
    assert document["services"]["object_stores"] == [
        {"id": production.slug, "type": "s3", "endpoint": server.endpoint, "bucket": BUCKET,
         "region": REGION, "access_url": "https://s3.example/{{DIGEST}}", "insecure": True}
    ]  # fmt: skip
    assert ROOT.access_key not in str(document)


def test_who_may_not_or_proved_nothing_is_refused(
    customer_owner: Person, other_customer_owner: Person, production: EnvironmentInfo,
    server: Gateway,
) -> None:  # fmt: skip
    stale = replace(customer_owner.actor, proved_at=now() - timedelta(days=1))
    with pytest.raises(StepUpNeeded):
        object_store_s3_set(
            actor=stale, environment_id=production.id, endpoint=server.endpoint, bucket=BUCKET
        )
    with pytest.raises((NotFound, Denied)):
        set_store(other_customer_owner, production, server)
    with scoped(customer_owner.scope):
        assert object_store_of(production.id) is None


def test_keys_are_not_dropped_for_a_directory_without_a_fresh_proof(
    customer_owner: Person, production: EnvironmentInfo, server: Gateway, tmp_path: Path
) -> None:
    set_store(customer_owner, production, server)
    stale = replace(customer_owner.actor, proved_at=now() - timedelta(days=1))
    wanted: dict[str, Any] = {"environment_id": production.id, "path": str(tmp_path)}
    with pytest.raises(StepUpNeeded):
        object_store_set(actor=stale, **wanted)
    with scoped(customer_owner.scope):
        kept = object_store_of(production.id)
    assert kept is not None
    assert kept.has_keys
    assert len(journal(customer_owner, "fleet.object_store.set")) == 1
    fresh = replace(customer_owner.actor, proved_at=now())
    assert not object_store_set(actor=fresh, **wanted).has_keys
    # What holds no keys is replaced as before.
    assert object_store_set(actor=stale, **wanted).type == "directory"


@pytest.mark.parametrize(
    ("field", "typed"),
    [("endpoint", "https://s3.example"), ("endpoint", "a/b"), ("endpoint", "user@host"),
     ("endpoint", ""), ("endpoint", "a" * 250 + "!"), ("endpoint", "a..b"),
     ("endpoint", "a" * 64 + ".example"), ("endpoint", "s3.example:0"),
     ("endpoint", "s3.example:65536"), ("bucket", "a"), ("bucket", "a/b"), ("region", "eu west"),
     ("access_url", "javascript:alert(1)"), ("access_key", "two words")],
)  # fmt: skip
def test_what_is_no_place_is_refused(
    customer_owner: Person, production: EnvironmentInfo, server: Gateway, field: str, typed: str
) -> None:
    with pytest.raises(Invalid) as refused:
        set_store(customer_owner, production, server, **{field: typed})
    assert field in refused.value.data["fields"]


def test_a_directory_again_forgets_the_keys(
    customer_owner: Person, production: EnvironmentInfo, server: Gateway, tmp_path: Path
) -> None:
    set_store(customer_owner, production, server)
    fresh = replace(customer_owner.actor, proved_at=now())
    store = object_store_set(actor=fresh, environment_id=production.id, path=str(tmp_path))
    assert (store.type, store.has_keys, store.endpoint) == ("directory", False, "")
