"""The mail settings a test needs, and deliveries that it can look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from notify.models import Attempt, Delivery
from notify.services import mail_send
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped
from tests.notify.postbox import Postbox, served


@pytest.fixture
def smtp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Postbox]:
    """A plain server on loopback, which the platform is set to use."""
    with served(Postbox()) as postbox:
        use(monkeypatch, postbox)
        yield postbox


def use(monkeypatch: pytest.MonkeyPatch, postbox: Postbox, **more: str) -> None:
    values = {"HOST": "127.0.0.1", "PORT": str(postbox.port), "SECURITY": "none",
              "SENDER": "qcloud@provider.example", **more}  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(f"QCLOUD_NOTIFY_MAIL_{name}", value)


Invite = Callable[..., UUID]


@pytest.fixture
def invite(transactional_db: None) -> Invite:  # noqa: ARG001  real transactions
    def send(account_id: UUID | None = None, key: str = "invitation:1", **changes: Any) -> UUID:
        context = {
            "inviter": "Ada", "account": "Acme", "role": "editor",
            "link": "https://portal.example/invitations/SECRETLINK", "expires": "tomorrow",
        } | changes.pop("context", {})  # fmt: skip
        values: dict[str, Any] = {
            "account_id": account_id, "to": "bob@acme.example", "template": "invitation",
            "context": context, "key": key,
        } | changes  # fmt: skip
        return mail_send(**values)

    return send


def row(delivery_id: UUID) -> Delivery:
    with unscoped("test"):
        found: Delivery = Delivery.objects.get(id=delivery_id)
    return found


def stored(delivery_id: UUID) -> list[Any]:
    """The row as PostgreSQL has it, every column."""
    with unscoped("test"), connection.cursor() as db:
        db.execute("SELECT * FROM notify_delivery WHERE id = %s", [delivery_id])
        return [bytes(v) if isinstance(v, memoryview) else v for v in db.fetchone()]


def attempts(delivery_id: UUID) -> list[tuple[int, str, int]]:
    with unscoped("test"):
        rows = Attempt.objects.filter(delivery_id=delivery_id).order_by("id")
        return [(a.number, a.outcome, a.status) for a in rows]


def make_due(delivery_id: UUID, *, age: timedelta = timedelta()) -> None:
    """Time passes until the next attempt."""
    with unscoped("test"):
        due = {"next_at": now() - timedelta(seconds=1)}
        if age:
            due["created_at"] = now() - age
        Delivery.objects.filter(id=delivery_id).update(**due)
