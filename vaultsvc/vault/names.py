"""What our things are called in Vault: one spelling for those who use and who allow them."""

from __future__ import annotations

from typing import Final
from uuid import UUID

WRAPPING: Final = "aes256-gcm96"
SIGNING: Final = "ed25519"
TOMBSTONE: Final = "ed25519"
"""Type of what stands in for a destroyed account key; any type that cannot wrap would do."""


def account_key(owner: UUID) -> str:
    """The transit key of an owner."""
    return f"account-{owner.hex}"


def signing_key(purpose: str) -> str:
    return f"sign-{purpose}"


def secret_path(variable: str) -> str:
    """``QCLOUD_REDIS_URL`` is at ``platform/redis-url`` of the KV mount, field ``value``."""
    return "platform/" + variable.removeprefix("QCLOUD_").lower().replace("_", "-")


def policy(process: str) -> str:
    """Also the name of its AppRole and of its Kubernetes role."""
    return f"qcloud-{process}"
