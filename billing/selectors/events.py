"""From an invoice line to the events behind it."""

from __future__ import annotations

from billing.selectors.invoices import LineInfo
from pulse.analytics import TrafficFilter
from qcloud.kernel.scope import Scope


def line_events_filter(line: LineInfo, scope: Scope) -> TrafficFilter | None:
    """The filter for ``pulse.analytics`` under which the viewer finds a line's events.

    ``None`` for everybody but the account whose traffic it is: a seller sees sums, whatever
    it is the seller of, and so does everybody of a charge that no traffic stands behind.
    """
    if line.subject_account_id is None or line.subject_account_id != scope.account_id:
        return None
    return TrafficFilter(
        since=line.events_since,
        until=line.events_until,
        environments=(line.environment_id,) if line.environment_id else (),
        direction=line.direction,
    )
