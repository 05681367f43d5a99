"""Archives of what an account has, as its page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from identity.models import Takeout
from qcloud.kernel.clock import now
from qcloud.kernel.errors import NotFound
from qcloud.kernel.scope import Scope, scoped


@dataclass(frozen=True)
class TakeoutInfo:
    id: UUID
    account_id: UUID
    state: str
    """``waiting``, ``running``, ``ready`` or ``failed``."""
    asked_at: datetime
    asked_by: UUID | None
    asked_label: str
    link: str
    attempt: int
    part: str
    done: int
    total: int
    size: int
    """Bytes."""
    sha256: str
    ready_at: datetime | None
    expires_at: datetime | None
    trouble: str

    @property
    def is_going(self) -> bool:
        return self.state in {"waiting", "running"}

    @property
    def can_be_had(self) -> bool:
        return self.state == "ready" and self.expires_at is not None and self.expires_at > now()


def takeouts(scope: Scope) -> list[TakeoutInfo]:
    """The account's own, the newest first; at most twenty."""
    with scoped(scope):
        rows = Takeout.objects.filter(account_id=scope.account_id)[:20]
        return [takeout_info(row) for row in rows]


def takeout(scope: Scope, takeout_id: UUID) -> TakeoutInfo:
    """Raises ``NotFound``."""
    with scoped(scope):
        row = Takeout.objects.filter(account_id=scope.account_id, id=takeout_id).first()
    if row is None:
        raise NotFound("There is no such export of this account.")
    return takeout_info(row)


def takeout_info(row: Takeout) -> TakeoutInfo:
    names = TakeoutInfo.__dataclass_fields__
    return TakeoutInfo(**{name: getattr(row, name) for name in names})
