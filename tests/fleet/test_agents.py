"""Tokens, registration, heartbeats: who is taken in, who is recognised, who is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest
from django.core.cache import cache

from audit.models import Entry
from audit.selectors import EntryFilter, entries
from fleet.models import Agent, RegistrationToken
from fleet.selectors import (
    EnvironmentInfo,
    agent_by_token,
    agents,
    config_digest_of,
    config_document,
    registration_by_token,
    registration_tokens,
)
from fleet.services import (
    agent_heartbeat,
    agent_remove,
    environment_close,
    environment_create,
    registration_token_create,
    registration_token_revoke,
    token_refused,
)
from identity.services import account_suspend
from qcloud.kernel.errors import Conflict, NotFound
from qcloud.kernel.scope import scoped, unscoped
from tests.factories.cast import Person
from tests.fleet.conftest import register
from wire.protocol import HeartbeatRequest, ProbeState


@pytest.fixture(autouse=True)
def _no_counts_from_before() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def revoke(owner: Person, token: str) -> None:
    registration = registration_by_token(token)
    assert registration is not None
    registration_token_revoke(actor=owner.actor, token_id=registration.token_id)


# --- Registration tokens


def test_a_token_is_shown_once_and_kept_as_a_hash(
    customer_owner: Person, production: EnvironmentInfo
) -> None:
    info, token = registration_token_create(
        actor=customer_owner.actor, environment_id=production.id, name="nodes"
    )
    assert token.startswith("qcr_")
    assert len(token) == 4 + 43
    assert (info.name, info.last_four, info.created_by) == (
        "nodes",
        token[-4:],
        "carla@acme.example",
    )
    with scoped(customer_owner.scope):
        row = RegistrationToken.objects.get()
    assert row.token_hash == hashlib.sha256(token.encode()).hexdigest()
    assert token not in str(vars(row))
    with unscoped("test"):
        journal = str(list(Entry.objects.values()))
    assert token not in journal
    assert row.token_hash not in journal


def test_tokens_are_told_apart_and_listed_newest_first(
    customer_owner: Person, production: EnvironmentInfo
) -> None:
    made = [
        registration_token_create(
            actor=customer_owner.actor, environment_id=production.id, name=name
        )
        for name in ("first", "second")
    ]
    assert made[0][1] != made[1][1]
    listed = registration_tokens(customer_owner.scope, production.id)
    assert [t.name for t in listed] == ["second", "first"]
    assert [t.last_used_at for t in listed] == [None, None]


def test_a_closed_environment_gets_no_tokens(
    customer_owner: Person, production: EnvironmentInfo
) -> None:
    environment_close(actor=customer_owner.actor, environment_id=production.id)
    with pytest.raises(Conflict, match="closed"):
        registration_token_create(
            actor=customer_owner.actor, environment_id=production.id, name="late"
        )


def test_a_foreign_token_is_not_found_and_stays_valid(
    customer_owner: Person, other_customer_owner: Person, token: str
) -> None:
    registration = registration_by_token(token)
    assert registration is not None
    with pytest.raises(NotFound):
        registration_token_revoke(actor=other_customer_owner.actor, token_id=registration.token_id)
    assert registration_by_token(token) == registration
    revoke(customer_owner, token)
    assert registration_by_token(token) is None
    with pytest.raises(Conflict, match="revoked already"):
        registration_token_revoke(actor=customer_owner.actor, token_id=registration.token_id)


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["", "qcr_", "qcr_" + "x" * 43, "\0", "é" * 10_000])
def test_no_token_is_nobody(token: str) -> None:
    assert registration_by_token(token) is None
    assert agent_by_token(token) is None


# --- Registration


def test_an_agent_gets_an_identity_and_the_configuration(
    customer_owner: Person, production: EnvironmentInfo, token: str
) -> None:
    instance_id = uuid4()
    answer = register(token, instance_id)
    assert answer.agent_token.startswith("qca_")
    assert (answer.account, answer.environment) == ("acme", "production")
    with scoped(customer_owner.scope):
        assert answer.config == config_document(production.id)
    identity = agent_by_token(answer.agent_token)
    assert identity is not None
    assert identity.agent_id == answer.agent_id
    assert identity.scope == customer_owner.scope
    assert (identity.account_slug, identity.environment_slug) == ("acme", "production")
    assert identity.environment_id == production.id
    assert identity.replaying is False
    (info,) = agents(customer_owner.scope)
    assert (info.name, info.version, info.instance_id) == ("node-1", "1.2.3", instance_id)
    assert info.system == {"hostname": "host-1", "kernelRelease": "6.18", "btf": True}
    assert info.last_heartbeat_at is None
    (used,) = registration_tokens(customer_owner.scope, production.id)
    assert used.last_used_at == info.registered_at
    page = entries(customer_owner.scope, EntryFilter(action="fleet.agent.register"))
    (entry,) = page.entries
    assert (entry.actor_kind, entry.actor_id, entry.ip) == (
        "agent",
        answer.agent_id,
        "192.0.2.9",
    )
    assert answer.agent_token not in str(entry)


def test_an_agent_token_registers_nobody_and_the_other_way_round(token: str) -> None:
    answer = register(token)
    assert registration_by_token(answer.agent_token) is None
    assert agent_by_token(token) is None


def test_an_agent_with_its_token_stays_itself(customer_owner: Person, token: str) -> None:
    instance_id = uuid4()
    first = register(token, instance_id)
    again = register(token, instance_id, first.agent_token, name="renamed")
    assert (again.agent_id, again.agent_token) == (first.agent_id, first.agent_token)
    assert [a.name for a in agents(customer_owner.scope)] == ["renamed"]


def test_a_claimed_instance_id_without_proof_is_a_new_agent(
    customer_owner: Person, token: str
) -> None:
    instance_id = uuid4()
    first = register(token, instance_id)
    for proof in (None, "", "qca_" + "x" * 43, token):
        other = register(token, instance_id, proof)
        assert other.agent_id != first.agent_id
        assert other.agent_token not in {first.agent_token, proof}
    other_instance = register(token, uuid4(), first.agent_token)
    assert other_instance.agent_id != first.agent_id
    assert agent_by_token(first.agent_token) is not None
    assert len(agents(customer_owner.scope)) == 6


def test_proof_of_another_account_or_environment_is_no_proof(
    customer_owner: Person, other_customer_owner: Person, foreign: EnvironmentInfo, token: str
) -> None:
    instance_id = uuid4()
    first = register(token, instance_id)
    _, theirs = registration_token_create(
        actor=other_customer_owner.actor, environment_id=foreign.id, name="x"
    )
    staging = environment_create(actor=customer_owner.actor, name="Staging", slug="staging")
    _, beside = registration_token_create(
        actor=customer_owner.actor, environment_id=staging.id, name="x"
    )
    for elsewhere in (theirs, beside):
        other = register(elsewhere, instance_id, first.agent_token)
        assert other.agent_id != first.agent_id
        assert other.agent_token != first.agent_token
    identity = agent_by_token(first.agent_token)
    assert identity is not None
    assert identity.environment_slug == "production"


def _revoked(owner: Person, token: str, _agent: UUID, _place: UUID) -> None:
    revoke(owner, token)


def _removed(owner: Person, _token: str, agent: UUID, _place: UUID) -> None:
    agent_remove(actor=owner.actor, agent_id=agent)


def _closed(owner: Person, _token: str, _agent: UUID, place: UUID) -> None:
    environment_close(actor=owner.actor, environment_id=place)


@pytest.mark.parametrize("end", [_revoked, _removed, _closed])
def test_an_agent_is_refused_once_its_ground_is_gone(
    customer_owner: Person,
    production: EnvironmentInfo,
    token: str,
    end: Callable[[Person, str, UUID, UUID], None],
) -> None:
    answer = register(token)
    assert agent_by_token(answer.agent_token) is not None
    end(customer_owner, token, answer.agent_id, production.id)
    assert agent_by_token(answer.agent_token) is None


def test_after_a_revocation_the_same_agents_come_back_with_a_new_token(
    customer_owner: Person, production: EnvironmentInfo, token: str
) -> None:
    instance_id = uuid4()
    first = register(token, instance_id)
    revoke(customer_owner, token)
    _, fresh = registration_token_create(
        actor=customer_owner.actor, environment_id=production.id, name="fresh"
    )
    again = register(fresh, instance_id, first.agent_token)
    assert again.agent_id == first.agent_id
    identity = agent_by_token(first.agent_token)
    assert identity is not None
    assert identity.agent_id == first.agent_id


def test_a_removed_agent_does_not_come_back_as_itself(customer_owner: Person, token: str) -> None:
    instance_id = uuid4()
    first = register(token, instance_id)
    agent_remove(actor=customer_owner.actor, agent_id=first.agent_id)
    with pytest.raises(NotFound):
        agent_remove(actor=customer_owner.actor, agent_id=first.agent_id)
    again = register(token, instance_id, first.agent_token)
    assert again.agent_id != first.agent_id
    assert agent_by_token(first.agent_token) is None
    assert [a.id for a in agents(customer_owner.scope)] == [again.agent_id]


def test_a_foreign_agent_cannot_be_removed(
    token: str, other_customer_owner: Person, reseller_owner: Person
) -> None:
    answer = register(token)
    with pytest.raises(NotFound):
        agent_remove(actor=other_customer_owner.actor, agent_id=answer.agent_id)
    assert agents(other_customer_owner.scope) == []
    assert agents(reseller_owner.scope) == []
    assert agent_by_token(answer.agent_token) is not None


def test_agents_of_a_suspended_account_go_on(
    customer_owner: Person, reseller_owner: Person, token: str
) -> None:
    answer = register(token)
    account_suspend(
        actor=reseller_owner.actor, account_id=customer_owner.account.id, reason="unpaid"
    )
    assert agent_by_token(answer.agent_token) is not None
    assert register(token).account == "acme"


# --- Heartbeats


def test_a_heartbeat_is_kept_and_answered_with_the_digest(
    customer_owner: Person, production: EnvironmentInfo, token: str
) -> None:
    identity = agent_by_token(register(token).agent_token)
    assert identity is not None
    boot_id = uuid4()
    answer = agent_heartbeat(
        identity=identity,
        request=HeartbeatRequest(
            boot_id=boot_id,
            status="degraded",
            object_store="directory",
            uptime_seconds=12.5,
            exchanges=7,
            dropped={"event.spool_full": 3},
            spool_bytes=10,
            spool_limit_bytes=100,
            memory_bytes=2**40,
            clock_offset_ms=-1.5,
            probes=[ProbeState(family="openssl", active=True, attached=2)],
            config_digest="d" * 64,
        ),
    )
    with scoped(customer_owner.scope):
        assert answer.config_digest == config_digest_of(production.id)
    (info,) = agents(customer_owner.scope, production.id)
    assert info.last_heartbeat_at is not None
    assert (info.boot_id, info.status, info.object_store) == (boot_id, "degraded", "directory")
    assert (info.uptime_seconds, info.exchanges, info.dropped) == (
        12.5,
        7,
        {"event.spool_full": 3},
    )
    assert (info.spool_bytes, info.spool_limit_bytes, info.memory_bytes) == (10, 100, 2**40)
    assert (info.clock_offset_ms, info.config_digest) == (-1.5, "d" * 64)
    assert info.probes == [{"family": "openssl", "active": True, "reason": "", "attached": 2}]


def test_a_hostile_heartbeat_is_bounded(customer_owner: Person, token: str) -> None:
    identity = agent_by_token(register(token, name="\0" * 300).agent_token)
    assert identity is not None
    agent_heartbeat(
        identity=identity,
        request=HeartbeatRequest(
            boot_id=uuid4(),
            status="<script>" * 100,
            exchanges=-5,
            memory_bytes=2**70,
            dropped={f"k{n}\0": 2**80 for n in range(1_000)},
            probes=[ProbeState(family="f\0" * 99, active=False, reason="r" * 9_999)] * 999,
            config_digest="x" * 1_000,
        ),
    )
    (info,) = agents(customer_owner.scope)
    assert info.name == "\N{REPLACEMENT CHARACTER}" * 100
    assert (len(info.status), info.exchanges, info.memory_bytes) == (32, 0, 2**63 - 1)
    assert (len(info.dropped), len(info.probes), len(info.config_digest)) == (100, 50, 64)
    assert len(info.probes[0]["reason"]) == 500


def test_a_removed_agents_heartbeat_is_not_found(customer_owner: Person, token: str) -> None:
    answer = register(token)
    identity = agent_by_token(answer.agent_token)
    assert identity is not None
    agent_remove(actor=customer_owner.actor, agent_id=answer.agent_id)
    with pytest.raises(NotFound, match="removed"):
        agent_heartbeat(identity=identity, request=HeartbeatRequest(boot_id=uuid4()))
    with scoped(customer_owner.scope):
        assert Agent.objects.get().last_heartbeat_at is None


# --- Refused tokens


def test_a_refused_token_is_its_owners_news_once_a_minute(
    customer_owner: Person, cloud_admin: Person, other_customer_owner: Person, token: str
) -> None:
    answer = register(token)
    revoke(customer_owner, token)
    for used in (token, token, answer.agent_token, "qcr_unknown", "qcr_unknown"):
        token_refused(token=used, action="pulse.ingest.events", ip="192.0.2.9", request_id="r")
    wanted = EntryFilter(action="pulse.ingest")
    own = entries(customer_owner.scope, wanted).entries
    assert [(e.outcome, e.reason) for e in own] == [
        ("denied", "revoked, removed or of a closed environment"),
        ("denied", "revoked, removed or of a closed environment"),
    ]
    assert entries(other_customer_owner.scope, wanted).entries == ()
    everything = entries(cloud_admin.scope, wanted).entries
    assert [e.reason for e in everything].count("unknown token") == 1
    assert len(everything) == 3
    assert token not in str(everything)
    assert "qcr_unknown" not in str(everything)
