"""Environments, their object stores, and the configuration built from both."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection

from fleet.models import Environment, ObjectStore
from fleet.selectors import (
    EnvironmentInfo,
    config_digest_of,
    config_document,
    environment,
    environments,
    object_store_of,
)
from fleet.services import (
    environment_capture_set,
    environment_certificates_set,
    environment_close,
    environment_create,
    environment_dns_audit_set,
    object_store_set,
)
from qcloud.kernel.errors import Conflict, Denied, Invalid, NotFound, ScopeMissing
from qcloud.kernel.scope import scoped
from tests.factories.cast import Person
from wire.config import config_digest, load_config, read_document


def test_a_slug_is_unique_within_its_account(
    customer_owner: Person, production: EnvironmentInfo, foreign: EnvironmentInfo
) -> None:
    assert production.slug == foreign.slug
    with pytest.raises(Conflict, match="already"):
        environment_create(actor=customer_owner.actor, name="Again", slug="production")
    assert [e.name for e in environments(customer_owner.scope)] == ["Production"]


@pytest.mark.parametrize("slug", ["", "Prod", "a b", "../x", "a" * 41])
def test_bad_slugs_are_refused(customer_owner: Person, slug: str) -> None:
    with pytest.raises(Invalid):
        environment_create(actor=customer_owner.actor, name="X", slug=slug)
    assert environments(customer_owner.scope) == []


def test_only_customers_have_environments(reseller_owner: Person, cloud_admin: Person) -> None:
    for person in (reseller_owner, cloud_admin):
        with pytest.raises(Denied):
            environment_create(actor=person.actor, name="X", slug="x")


def test_a_foreign_environment_is_not_found(
    customer_owner: Person, reseller_owner: Person, foreign: EnvironmentInfo
) -> None:
    actor = customer_owner.actor
    with pytest.raises(NotFound):
        object_store_set(actor=actor, environment_id=foreign.id, path="/srv/x")
    with pytest.raises(NotFound):
        environment_close(actor=actor, environment_id=foreign.id)
    with pytest.raises(NotFound):
        environment_capture_set(actor=actor, environment_id=foreign.id, capture_level="none")
    for person in (customer_owner, reseller_owner):
        with scoped(person.scope), pytest.raises(NotFound):
            environment(foreign.id)
    assert environments(reseller_owner.scope) == []


@pytest.mark.django_db
def test_without_a_scope_reading_raises() -> None:
    with pytest.raises(ScopeMissing):
        config_document(uuid4())


def test_a_row_cannot_point_at_a_foreign_environment(
    customer_owner: Person, foreign: EnvironmentInfo
) -> None:
    """The foreign key holds the account: no row of acme's hangs from birch's environment."""
    with (
        pytest.raises(DatabaseError, match="fleet_objectstore_environment_fk"),
        scoped(customer_owner.scope),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "INSERT INTO fleet_objectstore"
            " (id, account_id, environment_id, type, path, access_url, updated_at)"
            " VALUES (gen_random_uuid(), %s, %s, 'directory', '/x', '', now())",
            [customer_owner.account.id, foreign.id],
        )


# --- Configuration


def test_an_environment_without_a_store_captures_no_payloads(
    customer_owner: Person, production: EnvironmentInfo
) -> None:
    with scoped(customer_owner.scope):
        config, warnings = read_document(config_document(production.id))
        assert object_store_of(production.id) is None
    assert config.object_store is None
    assert config.capture.level == "none"
    assert warnings == ()
    assert production.capture_level == "full"


def test_the_configuration_follows_store_and_level(
    customer_owner: Person, production: EnvironmentInfo
) -> None:
    digests = []

    def loaded() -> tuple[str, str, str]:
        with scoped(customer_owner.scope):
            document = config_document(production.id)
            digests.append(config_digest_of(production.id))
        assert digests[-1] == config_digest(document)
        config = load_config(document)
        store = config.object_store
        return config.capture.level, store.path if store else "", store.access_url if store else ""

    assert loaded() == ("none", "", "")
    object_store_set(
        actor=customer_owner.actor,
        environment_id=production.id,
        path="/srv//acme/",
        access_url="https://objects.acme.example/{{DIGEST}}",
    )
    assert loaded() == ("full", "/srv/acme", "https://objects.acme.example/{{DIGEST}}")
    environment_capture_set(
        actor=customer_owner.actor, environment_id=production.id, capture_level="headers"
    )
    assert loaded()[0] == "headers"
    object_store_set(
        actor=customer_owner.actor, environment_id=production.id, path="/srv/elsewhere"
    )
    assert loaded() == ("headers", "/srv/elsewhere", "")
    assert len(set(digests)) == 4
    with scoped(customer_owner.scope):
        assert ObjectStore.objects.count() == 1


def test_dns_lookups_are_reported_where_somebody_wants_them(
    customer_owner: Person, production: EnvironmentInfo, other_customer_owner: Person
) -> None:
    def document() -> dict[str, Any]:
        with scoped(customer_owner.scope):
            return config_document(production.id)

    before = document()
    assert "audit_include_dns" not in before["tap"]
    changed = environment_dns_audit_set(
        actor=customer_owner.actor, environment_id=production.id, reported="on"
    )
    assert changed.dns_audit
    config, warnings = read_document(document())
    assert (config.tap.audit_include_dns, warnings) == (True, ())
    with pytest.raises(NotFound):
        environment_dns_audit_set(
            actor=other_customer_owner.actor, environment_id=production.id, reported="off"
        )
    with pytest.raises(Invalid, match="Choose one of the list"):
        environment_dns_audit_set(
            actor=customer_owner.actor, environment_id=production.id, reported="maybe"
        )
    environment_dns_audit_set(
        actor=customer_owner.actor, environment_id=production.id, reported="off"
    )
    assert document() == before


def test_certificates_are_looked_at_where_somebody_wants_it(
    customer_owner: Person, production: EnvironmentInfo, other_customer_owner: Person
) -> None:
    def document() -> dict[str, Any]:
        with scoped(customer_owner.scope):
            return config_document(production.id)

    before = document()
    assert "qcloud" not in before
    changed = environment_certificates_set(
        actor=customer_owner.actor, environment_id=production.id, looked_at="on"
    )
    assert (changed.certificates, changed.dns_audit) == (True, False)
    config, warnings = read_document(document())
    assert (config.qcloud.certificates, warnings) == (True, ())
    with pytest.raises(NotFound):
        environment_certificates_set(
            actor=other_customer_owner.actor, environment_id=production.id, looked_at="off"
        )
    with pytest.raises(Invalid, match="Choose one of the list"):
        environment_certificates_set(
            actor=customer_owner.actor, environment_id=production.id, looked_at=""
        )
    environment_certificates_set(
        actor=customer_owner.actor, environment_id=production.id, looked_at="off"
    )
    assert document() == before


def test_an_unknown_level_is_refused(customer_owner: Person, production: EnvironmentInfo) -> None:
    with pytest.raises(Invalid, match="none, summary, headers, full"):
        environment_capture_set(
            actor=customer_owner.actor, environment_id=production.id, capture_level="all"
        )
    with scoped(customer_owner.scope):
        assert environment(production.id).capture_level == "full"


@pytest.mark.parametrize(
    "path",
    ["", "relative", "/", "//", "/srv/../etc", "/srv/./x", "/a\0b", "/a\nb", "/" + "x" * 1_100],
)
def test_store_paths_are_absolute_and_plain(
    customer_owner: Person, production: EnvironmentInfo, path: str
) -> None:
    with pytest.raises(Invalid):
        object_store_set(actor=customer_owner.actor, environment_id=production.id, path=path)
    with scoped(customer_owner.scope):
        assert object_store_of(production.id) is None


@pytest.mark.parametrize("url", ["javascript:alert(1)", 'https://x/"><script>', "ftp://x", "x"])
def test_access_urls_are_web_addresses(
    customer_owner: Person, production: EnvironmentInfo, url: str
) -> None:
    with pytest.raises(Invalid, match="access_url"):
        object_store_set(
            actor=customer_owner.actor,
            environment_id=production.id,
            path="/srv/acme",
            access_url=url,
        )


@pytest.mark.parametrize(
    "url",
    [
        "https://carla:hunter2@s3.example/acme",
        "https://carla@s3.example/acme",
        "https://s3.example/acme?X-Amz-Signature=00",
        "https://blob.example/acme?sv=1&sig=AbC%3D",
        "https://s3.example/acme?access_token=x",
        "https://[s3.example/acme",
    ],
)
def test_access_urls_hold_no_credential(
    customer_owner: Person, production: EnvironmentInfo, url: str
) -> None:
    actor = customer_owner.actor
    with pytest.raises(Invalid, match="access_url"):
        object_store_set(
            actor=actor, environment_id=production.id, path="/srv/acme", access_url=url
        )
    with scoped(customer_owner.scope):
        assert object_store_of(production.id) is None
    plain = "https://console.example/acme?prefix=2026@eu"
    made = object_store_set(
        actor=actor, environment_id=production.id, path="/srv/acme", access_url=plain
    )
    assert made.access_url == plain


@pytest.mark.parametrize("path", ["/srv/birch", "/srv/birch/inner", "/srv", "/srv/birch/"])
def test_two_accounts_do_not_share_a_directory(
    customer_owner: Person,
    other_customer_owner: Person,
    production: EnvironmentInfo,
    foreign: EnvironmentInfo,
    path: str,
) -> None:
    object_store_set(actor=other_customer_owner.actor, environment_id=foreign.id, path="/srv/birch")
    with pytest.raises(Conflict, match="this account alone"):
        object_store_set(actor=customer_owner.actor, environment_id=production.id, path=path)
    near = object_store_set(
        actor=customer_owner.actor, environment_id=production.id, path="/srv/birch2"
    )
    assert near.path == "/srv/birch2"


def test_a_closed_environment_leaves_the_list_and_stays_closed(
    customer_owner: Person, production: EnvironmentInfo
) -> None:
    closed = environment_close(actor=customer_owner.actor, environment_id=production.id)
    assert closed.closed_at is not None
    assert environments(customer_owner.scope) == []
    with pytest.raises(Conflict, match="closed already"):
        environment_close(actor=customer_owner.actor, environment_id=production.id)
    with scoped(customer_owner.scope):
        assert Environment.objects.get().closed_at == closed.closed_at
