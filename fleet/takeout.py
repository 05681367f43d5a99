"""What an account takes with it of this room: environments, agents, configurations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fleet.selectors import agents, config_document, environments, registration_tokens
from qcloud.kernel.scope import Scope, Tier, scoped
from qcloud.kernel.takeout import File, document, offer, table

_ENVIRONMENTS: Final = (
    "id",
    "slug",
    "name",
    "capture_level",
    "dns_audit",
    "certificates",
    "created_at",
)
_AGENTS: Final = (
    "id", "environment_id", "name", "version", "status", "registered_at", "last_heartbeat_at",
    "system", "dropped",
)  # fmt: skip
_TOKENS: Final = (
    "id", "environment_id", "name", "last_four", "created_at", "created_by", "revoked_at",
    "last_used_at",
)  # fmt: skip


def register() -> None:
    offer("Environments, agents and configurations", _files, order=30)


def _files(scope: Scope) -> Iterator[File]:
    if scope.tier is not Tier.CUSTOMER:
        return  # nobody else has environments, and those below are their owners' own
    found = environments(scope)
    yield table("environments.csv", _ENVIRONMENTS, found)
    yield table("agents.csv", _AGENTS, agents(scope))
    with scoped(scope):
        tokens = [token for one in found for token in registration_tokens(scope, one.id)]
    yield table("registration-tokens.csv", _TOKENS, tokens)
    for one in found:
        with scoped(scope):
            configuration = config_document(one.id)
        yield document(f"configurations/{one.slug}.json", configuration)
