"""Events of nodes whose clock is wrong: kept, marked, and placed where they can be found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

AHEAD: Final = timedelta(days=1)
"""How far a node's clock may be ahead of ours and be believed."""
BEHIND: Final = timedelta(days=400)
"""How late an event may come and be believed: a year of billing, and some weeks."""
SUSPECT: Final = "clock_suspect"
REPORTED: Final = "reported_us"
_MOMENT: Final = pa.timestamp("us", "UTC")


def placed(table: pa.Table, received_at: datetime) -> pa.Table:
    """The same rows. One whose ``timestamp`` cannot be right has the time of arrival instead,
    ``clock_suspect``, and in ``reported_us`` what the node said, in microseconds since 1970.

    A table in which all are right comes back as it is.
    """
    moments = table["timestamp"].combine_chunks()
    extremes = pc.min_max(moments)
    earliest, latest = _scalar(received_at - BEHIND), _scalar(received_at + AHEAD)
    if _holds(pc.greater_equal(extremes["min"], earliest)) and _holds(
        pc.less_equal(extremes["max"], latest)
    ):
        return table
    wrong = pc.or_(pc.less(moments, earliest), pc.greater(moments, latest))
    reported = pc.if_else(wrong, moments.cast(pa.int64()), pa.scalar(0, pa.int64()))
    place = table.column_names.index("timestamp")
    right = pc.if_else(wrong, _scalar(received_at), moments)
    table = table.set_column(place, "timestamp", right)
    return table.append_column(SUSPECT, wrong).append_column(REPORTED, reported)


def _scalar(moment: datetime) -> Any:
    return pa.scalar(moment.astimezone(UTC), _MOMENT)


def _holds(answer: Any) -> bool:
    return bool(answer.as_py())
