"""Which table the events of each kind lie in, and what the loader adds to them.

A further kind is a struct in ``wire.events``, a migration that makes its table, and a row
here. Its table has the struct's fields, those of ``ORIGIN`` and ``CLOCK``, and what
``derived`` names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ORIGIN: Final = (
    "account_id", "environment_id", "agent_id", "load_id", "received_at",
)  # fmt: skip
"""What every event has from the batch that it came in."""
CLOCK: Final = ("clock_suspect", "reported_us")
"""What ingest adds to an event whose node's clock cannot be right."""


@dataclass(frozen=True)
class Kind:
    table: str
    derived: tuple[str, ...] = ()
    """Worked out by the loader: ``vendor`` (of ``host`` and ``direction``), ``route`` (the
    template of ``path``)."""


KINDS: Final = {
    "request": Kind("requests", ("vendor", "route")),
    "issue": Kind("reported_issues", ("vendor", "route")),
    "artifact_record": Kind("artifacts", ("route",)),
    "dns": Kind("dns_lookups"),
    "certificate": Kind("certificates", ("vendor",)),
}
"""By what stands in an event's ``type``."""
EVENT_TABLES: Final = tuple(kind.table for kind in KINDS.values())
