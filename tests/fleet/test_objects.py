"""Payloads out of the customer's own store, and nothing else out of anywhere."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pytest

from audit.selectors import EntryFilter, entries
from fleet import readers
from fleet.errors import ObjectDamaged
from fleet.selectors import EnvironmentInfo
from fleet.services import object_open
from qcloud.kernel.errors import Denied, Invalid, NotFound
from tests.factories.cast import Person, hire
from wire.objects import object_digest

BODY = b'{"card": "4111"}'
DIGEST = object_digest(BODY)


@pytest.fixture
def kept(store: Path) -> Path:
    path = store / DIGEST
    path.write_bytes(BODY)
    return path


def reads(person: Person) -> list[tuple[str, str, str]]:
    page = entries(person.scope, EntryFilter(action="fleet.object.read"))
    return [(e.actor_label, e.object_id, e.outcome) for e in page.entries]


@pytest.mark.usefixtures("kept")
def test_opening_a_payload_is_in_the_journal(
    customer_owner: Person, reseller_owner: Person, production: EnvironmentInfo
) -> None:
    actor = customer_owner.actor
    assert object_open(actor=actor, environment_id=production.id, digest=DIGEST) == BODY
    assert reads(customer_owner) == [("carla@acme.example", DIGEST, "allowed")]
    assert BODY.decode() not in str(entries(reseller_owner.scope))


@pytest.mark.usefixtures("kept")
def test_who_may_not_open_payloads_gets_none(
    customer_owner: Person,
    reseller_owner: Person,
    other_customer_owner: Person,
    production: EnvironmentInfo,
) -> None:
    support = hire(customer_owner.account, "support", "sue@acme.example", customer_owner.actor)
    for person in (support, reseller_owner):
        with pytest.raises(Denied, match="pulse:object:read"):
            object_open(actor=person.actor, environment_id=production.id, digest=DIGEST)
    with pytest.raises(NotFound):
        object_open(actor=other_customer_owner.actor, environment_id=production.id, digest=DIGEST)
    assert reads(reseller_owner) == []


def test_no_store_and_no_object_are_said_apart(
    customer_owner: Person, production: EnvironmentInfo, request: pytest.FixtureRequest
) -> None:
    actor = customer_owner.actor
    with pytest.raises(NotFound, match="no object store") as caught:
        object_open(actor=actor, environment_id=production.id, digest=DIGEST)
    assert caught.value.code == "fleet.object_store_missing"
    directory = request.getfixturevalue("store")
    with pytest.raises(NotFound, match="not in the environment's store") as caught:
        object_open(actor=actor, environment_id=production.id, digest=DIGEST)
    assert caught.value.code == "fleet.object_missing"
    directory.rmdir()
    with pytest.raises(NotFound, match="not in the environment's store"):
        object_open(actor=actor, environment_id=production.id, digest=DIGEST)
    with pytest.raises(NotFound, match="no such environment"):
        object_open(actor=actor, environment_id=uuid4(), digest=DIGEST)
    assert reads(customer_owner) == []


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "digest",
    [
        "",
        "..",
        "../objects/" + DIGEST,
        "/etc/passwd",
        DIGEST.upper(),
        DIGEST[:39],
        DIGEST + "\n",
        DIGEST + "/",
        DIGEST[:39] + "\0",
        "x" * 40,
    ],
)
def test_only_digests_are_names(
    customer_owner: Person, production: EnvironmentInfo, digest: str
) -> None:
    with pytest.raises(Invalid, match="40 hexadecimal digits"):
        object_open(actor=customer_owner.actor, environment_id=production.id, digest=digest)


def test_a_link_in_the_store_is_not_followed(
    customer_owner: Person, production: EnvironmentInfo, store: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "secret"
    outside.write_bytes(BODY)
    (store / DIGEST).symlink_to(outside)
    with pytest.raises(ObjectDamaged, match="cannot be read") as caught:
        object_open(actor=customer_owner.actor, environment_id=production.id, digest=DIGEST)
    assert BODY.decode() not in caught.value.message


def test_what_is_no_file_is_not_read(
    customer_owner: Person, production: EnvironmentInfo, store: Path
) -> None:
    actor, path = customer_owner.actor, store / DIGEST
    path.mkdir()
    with pytest.raises(ObjectDamaged, match="is not a file"):
        object_open(actor=actor, environment_id=production.id, digest=DIGEST)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(ObjectDamaged, match="is not a file"):
        object_open(actor=actor, environment_id=production.id, digest=DIGEST)


def test_changed_content_is_not_passed_off_as_captured(
    customer_owner: Person, production: EnvironmentInfo, kept: Path
) -> None:
    kept.write_bytes(BODY + b" ")
    with pytest.raises(ObjectDamaged, match="was changed"):
        object_open(actor=customer_owner.actor, environment_id=production.id, digest=DIGEST)
    assert reads(customer_owner) == []


def test_an_object_over_the_bound_is_not_loaded(
    customer_owner: Person, production: EnvironmentInfo, kept: Path
) -> None:
    with kept.open("r+b") as file:
        file.truncate(readers.MAX_OBJECT_BYTES + 1)
    with pytest.raises(ObjectDamaged, match="at most"):
        object_open(actor=customer_owner.actor, environment_id=production.id, digest=DIGEST)
