"""What of this room counts against the quotas of accounts."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from fleet.models import Agent, Environment
from qcloud.kernel.scope import unscoped


def count_agents(accounts: Collection[UUID]) -> int:
    """Those in the inventory, heard of or not."""
    with unscoped("quotas: what the accounts that share one have"):
        found: int = Agent.objects.filter(account_id__in=accounts, removed_at=None).count()
    return found


def count_environments(accounts: Collection[UUID]) -> int:
    """Those that are not closed."""
    with unscoped("quotas: what the accounts that share one have"):
        found: int = Environment.objects.filter(account_id__in=accounts, closed_at=None).count()
    return found
