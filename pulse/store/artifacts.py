"""Objects that were kept of a request beside its ``http_transaction``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pulse.store.client import Store
from pulse.store.gate import ask
from qcloud.kernel.scope import Scope

_OF_REQUEST: Final = """
SELECT artifact_type, digest, max(size_bytes), min(timestamp), max(qscan)
FROM artifacts WHERE account_id = {account:UUID} AND request_id = {request:UUID}
GROUP BY artifact_type, digest
ORDER BY artifact_type, digest LIMIT 50
"""


@dataclass(frozen=True, slots=True)
class Artifact:
    artifact_type: str
    """``req-headers``, ``req-body``, ``res-headers``, ``res-body``, ``http_transaction``."""
    digest: str
    size_bytes: int
    timestamp: datetime
    qscan: bool
    """The scanner is to read it."""


def artifacts_of(scope: Scope, request_id: UUID, *, store: Store | None = None) -> list[Artifact]:
    """What lies in the customer's store of one request, each object once."""
    parameters = {"account": scope.account_id, "request": request_id}
    return [Artifact(*row) for row in ask(scope, _OF_REQUEST, parameters, store=store)]
