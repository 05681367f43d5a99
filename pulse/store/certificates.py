"""Certificates that agents saw: the latest of each server, and when it expires."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pulse.store.client import Store
from pulse.store.filters import micros
from pulse.store.gate import ask, ask_as_system
from qcloud.kernel.scope import Scope

KEPT: Final = timedelta(days=3)
"""What an agent saw last counts for so long. It looks once a day."""
MOST_SERVERS: Final = 2_000
"""Of one account, those that expire first."""
_LAST_SECOND: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())

# Each node's latest look counts: behind one name several servers may show different ones, and
# the one that expires first is what somebody will stand before.
_LATEST: Final = f"""
SELECT environment_id, host, destination_port, min(expires) AS first,
    argMin(name, expires), argMin(issued, expires), argMin(print, expires),
    argMin(why, expires), max(seen), argMin(owner, expires)
FROM (
    SELECT environment_id, host, destination_port, agent_id, max(timestamp) AS seen,
        argMax(not_after, timestamp) AS expires, argMax(subject, timestamp) AS name,
        argMax(issuer, timestamp) AS issued, argMax(sha256, timestamp) AS print,
        argMax(problem, timestamp) AS why, argMax(vendor, timestamp) AS owner
    FROM certificates
    WHERE account_id = {{account:UUID}} AND NOT replayed
        AND timestamp > fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')
        AND timestamp <= fromUnixTimestamp64Micro({{until:Int64}}, 'UTC')
        AND ({{vendor:String}} = '' OR vendor = {{vendor:String}})
        AND (empty({{places:Array(UUID)}}) OR environment_id IN {{places:Array(UUID)}})
    GROUP BY environment_id, host, destination_port, agent_id
)
GROUP BY environment_id, host, destination_port
ORDER BY first, environment_id, host, destination_port LIMIT {MOST_SERVERS}
"""  # noqa: S608  the only thing put in is a number of ours
# What each node saw of a server, hour by hour; of the servers that expire first alone.
_LOOKS: Final = f"""
SELECT cityHash64(environment_id, host, destination_port, agent_id) AS of, max(timestamp) AS seen,
    argMax(not_after, timestamp)
FROM certificates
WHERE account_id = {{account:UUID}} AND NOT replayed
    AND timestamp > fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')
    AND timestamp <= fromUnixTimestamp64Micro({{until:Int64}}, 'UTC')
    AND (empty({{places:Array(UUID)}}) OR environment_id IN {{places:Array(UUID)}})
    AND (environment_id, host, destination_port) IN (
        SELECT environment_id, host, destination_port FROM certificates
        WHERE account_id = {{account:UUID}} AND NOT replayed
            AND timestamp > fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')
            AND timestamp <= fromUnixTimestamp64Micro({{until:Int64}}, 'UTC')
            AND (empty({{places:Array(UUID)}}) OR environment_id IN {{places:Array(UUID)}})
        GROUP BY environment_id, host, destination_port
        ORDER BY min(not_after), environment_id, host, destination_port LIMIT {MOST_SERVERS}
    )
GROUP BY of, toStartOfHour(timestamp) ORDER BY seen, of
"""  # noqa: S608  the only thing put in is a number of ours
_ACCOUNTS: Final = """
SELECT DISTINCT account_id FROM certificates
WHERE timestamp > fromUnixTimestamp64Micro({since:Int64}, 'UTC')
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The one of a server that expires first."""

    environment_id: UUID
    host: str
    port: int
    not_after: datetime
    subject: str
    issuer: str
    sha256: str
    problem: str
    """Why the node that saw it would not trust it; empty: it does."""
    seen: datetime
    """By whoever looked last."""
    vendor: str

    @property
    def server(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def latest_certificates(
    scope: Scope,
    moment: datetime,
    *,
    vendor: str = "",
    environments: tuple[UUID, ...] = (),
    store: Store | None = None,
) -> list[Certificate]:
    """One a server that was looked at in ``KEPT`` before ``moment``, the first to expire first.

    Raises ``StoreUnavailable``.
    """
    parameters: dict[str, Any] = {
        "account": scope.account_id,
        "since": micros(moment - KEPT),
        "until": micros(moment),
        "vendor": vendor,
        "places": list(environments),
    }
    rows = ask(scope, _LATEST, parameters, store=store)
    return [_certificate(row) for row in rows]


@dataclass(frozen=True, slots=True)
class CertificateLook:
    """What one node saw of one server."""

    of: int
    """Tells nodes and servers apart; means nothing else."""
    seen: datetime
    not_after: datetime


def certificate_looks(
    scope: Scope,
    since: datetime,
    until: datetime,
    *,
    environments: tuple[UUID, ...] = (),
    store: Store | None = None,
) -> list[CertificateLook]:
    """The last one of each node, server and hour in ``(since, until]``, in order of time.

    Raises ``StoreUnavailable``.
    """
    parameters = {
        "account": scope.account_id,
        "since": micros(since),
        "until": micros(until),
        "places": list(environments),
    }
    rows = ask(scope, _LOOKS, parameters, store=store)
    return [CertificateLook(int(of), seen, _moment(ends)) for of, seen, ends in rows]


def certificate_accounts(moment: datetime, *, store: Store | None = None) -> list[UUID]:
    """Accounts whose agents looked at certificates lately."""
    rows = ask_as_system(
        "detectors: accounts with certificates", _ACCOUNTS,
        {"since": micros(moment - KEPT)}, store=store,
    )  # fmt: skip
    return [row[0] for row in rows]


def _certificate(row: Any) -> Certificate:
    values: list[Any] = list(row)
    values[3] = _moment(values[3])
    return Certificate(*values)


def _moment(seconds: Any) -> datetime:
    """As far as Python's calendar goes."""
    return datetime.fromtimestamp(min(int(seconds), _LAST_SECOND), UTC)
