"""What the access log of an account says that somebody may want to be told of at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from identity import access
from identity.models import AccessEvent, AccessOutcome
from qcloud.kernel.scope import Scope, scoped

ANOMALY: Final = "anomaly"
LOCKED: Final = "locked"
BREAK_GLASS: Final = "break_glass"
FAILED: Final = "failed"

LOCKED_REASON: Final = "locked: too many failures in a day"
BREAK_GLASS_REASON: Final = "break-glass"


def alarms_between(scope: Scope, kind: str, since: datetime, until: datetime) -> list[datetime]:
    """When it happened in ``[since, until)``, in order, to people of this account alone.

    ``anomaly``: an attempt with flags; ``locked``: a name was locked after too many failures;
    ``break_glass``: somebody came in past the identity provider; ``failed``: an attempt was
    refused. The account's own people: those of accounts below are theirs.
    """
    wanted: dict[str, dict[str, Any]] = {
        ANOMALY: {},
        LOCKED: {"reason": LOCKED_REASON},
        BREAK_GLASS: {"reason": BREAK_GLASS_REASON, "outcome": AccessOutcome.ALLOWED},
        FAILED: {"outcome": AccessOutcome.DENIED},
    }
    with scoped(scope):
        rows = AccessEvent.objects.filter(
            account_id=scope.account_id, at__gte=since, at__lt=until, **wanted[kind]
        )
        if kind == ANOMALY:
            rows = rows.exclude(flags=[])
        if kind == FAILED:
            rows = rows.filter(event__in=(access.SIGN_IN, access.SECOND_FACTOR, access.PASSWORD))
        return list(rows.order_by("at").values_list("at", flat=True))
