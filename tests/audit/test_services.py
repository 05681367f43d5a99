"""Each service of identity and fleet, allowed once and denied once: one entry each.

``SERVICES`` must name every service; the walk over the code sees to it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audit.models import Entry
from audit.services import denials
from fleet.services import (
    environment_create,
    object_store_set,
    registration_token_create,
)
from identity.services import (
    platform_create,
)
from qcloud.kernel.errors import Conflict, Denied
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped
from tests.audit.service_calls import BODY, BY_CLOUD, BY_RESELLER, ELSEWHERE, SERVICES, Stage
from tests.audit.test_every_service_is_journalled import functions, is_service, service_files
from tests.factories.cast import Person
from tests.fleet.conftest import register
from wire.objects import object_digest


@pytest.fixture
def stage(
    cloud_admin: Person,
    reseller_owner: Person,
    customer_viewer: Person,
    customer_owner: Person,
    tmp_path: Path,
) -> Stage:
    actor = customer_owner.actor
    production = environment_create(actor=actor, name="Production", slug="production")
    object_store_set(actor=actor, environment_id=production.id, path=str(tmp_path))
    (tmp_path / object_digest(BODY)).write_bytes(BODY)
    info, token = registration_token_create(actor=actor, environment_id=production.id, name="t")
    agent_id = register(token).agent_id
    return Stage(
        reseller_owner,
        customer_owner,
        customer_viewer,
        production,
        info.id,
        agent_id,
        tmp_path,
        cloud_admin,
    )


def entries_of(actor: Actor, action: str, outcome: str) -> int:
    with unscoped("test"):
        found: int = Entry.objects.filter(actor_id=actor.id, action=action, outcome=outcome).count()
    return found


def actor_of(stage: Stage, name: str) -> Actor:
    if name in BY_CLOUD:
        return stage.cloud.actor
    return (stage.reseller if name in BY_RESELLER else stage.customer).actor


@pytest.mark.parametrize("name", SERVICES)
def test_allowed_is_one_entry(stage: Stage, name: str) -> None:
    action, call = SERVICES[name]
    actor = actor_of(stage, name)
    before = entries_of(actor, action, "allowed")
    call(stage, actor)
    assert entries_of(actor, action, "allowed") == before + 1
    assert entries_of(actor, action, "denied") == 0


@pytest.mark.parametrize("name", SERVICES)
def test_denied_is_one_entry_and_nothing_changed(stage: Stage, name: str) -> None:
    action, call = SERVICES[name]
    actor = replace(actor_of(stage, name), permissions=frozenset())
    before = entries_of(actor, action, "allowed")
    with pytest.raises(Denied), denials(actor=actor, action=action):
        call(stage, actor)
    assert entries_of(actor, action, "denied") == 1
    assert entries_of(actor, action, "allowed") == before


@pytest.mark.parametrize("name", SERVICES)
def test_who_is_suspended_is_denied_all_but_reading(stage: Stage, name: str) -> None:
    action, call = SERVICES[name]
    actor = replace(actor_of(stage, name), suspended=True)
    if name == "object_open":
        assert call(stage, actor) == BODY
        return
    if name in {"view_save", "view_delete"}:
        assert call(stage, actor) != BODY  # one's own filter is no change of the account
        return
    with pytest.raises(Denied, match="suspended"), denials(actor=actor, action=action):
        call(stage, actor)
    assert entries_of(actor, action, "denied") == 1


def test_the_table_names_every_service_with_an_actor() -> None:
    found = {
        name
        for room in ("identity", "fleet")
        for name, node in functions(service_files(room))
        if is_service(name, node)
    }
    assert found == SERVICES.keys() | {"platform_create", "staff_create"} | ELSEWHERE


def test_setting_the_platform_up_is_journalled_and_nobody_elses(cloud_admin: Person) -> None:
    action = "identity.account.create"
    with unscoped("test"):
        made = Entry.objects.get(action=action)
    assert (made.actor_kind, made.account_id) == ("system", cloud_admin.account.id)
    actor = cloud_admin.actor
    wanted = {"name": "X", "slug": "x", "currency": "EUR", "timezone": "UTC"}
    with pytest.raises(Denied), denials(actor=actor, action=action):
        platform_create(actor=actor, **wanted)
    assert entries_of(actor, action, "denied") == 1
    with pytest.raises(Conflict):
        platform_create(actor=Actor.system("test"), **wanted)
