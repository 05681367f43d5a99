"""What a rollup counts, and by what."""

from __future__ import annotations

from typing import Final

from pulse.store.latency import KEY, QUANTILES

MINUTE: Final = 60
QUARTER: Final = 900
HOUR: Final = 3_600
DAY: Final = 86_400

# Order of the columns of ``rollups`` and of ``Sums``, with what each counts of ``requests``.
COUNTS: Final = {
    "requests": "count()",
    "ingress": "countIf(direction = 'ingress')",
    "egress_internal": "countIf(direction = 'egress-internal')",
    "egress_external": "countIf(direction = 'egress-external')",
    "status_2xx": "countIf(status BETWEEN 200 AND 299)",
    "status_3xx": "countIf(status BETWEEN 300 AND 399)",
    "status_4xx": "countIf(status BETWEEN 400 AND 499)",
    "status_5xx": "countIf(status BETWEEN 500 AND 599)",
    "no_response": "countIf(status = 0)",
    "bytes_sent": "sum(bytes_sent)",
    "bytes_received": "sum(bytes_received)",
    "replayed": "countIf(replayed)",
}
ERRORS: Final = "countIf(status >= 400)"
HISTOGRAM: Final = f"(groupArray({KEY}), arrayWithConstant(count(), toUInt64(1)))"
"""Of requests: their keys, one by one. Nothing is rounded twice, however it is merged."""
COUNTED: Final = f"sumMap([{KEY}], [toUInt64(1)])"
"""The same, each key once."""
MERGED: Final = f"quantilesExactWeightedArray({QUANTILES})(histogram.1, histogram.2)"

# One dimension each. The first may overflow: see ``OVERFLOWING``.
VALUES: Final = {
    "host": "host",
    "process": "exe",
    "vendor": "vendor",
    "route": "route",
    "method": "method",
    "status": "toString(status)",
    "class": "toString(intDiv(status, 100))",
    "direction": "toString(direction)",
}
"""Those that are columns of the cube as well."""
PLACES: Final = {
    "hostname": "hostname",
    "container": "container_name",
    "pod": "if(pod_name = '', '', concat(pod_namespace, '/', pod_name))",
}
"""Those that are counted from the requests alone."""
CUBE: Final = ("direction", "exe", "host", "vendor", "method", "route", "status")

OVERFLOWING: Final = ("cube", "host", "process", "vendor", "route", "method", "hostname",
                      "container", "pod")  # fmt: skip
"""Kinds that traffic can blow up. A quarter in which one has more than ``MAX_VALUES`` values
(``MAX_CELLS`` for the cube) has no rollup of that kind: its requests are counted one by one
whenever somebody asks, slower and just as exact."""
MAX_VALUES: Final = 2_000
MAX_CELLS: Final = 50_000
FLAG_BITS: Final = 12
"""The lowest bits of a version: which of ``OVERFLOWING`` it has not."""


def flag_of(kind: str) -> int:
    """The bit that says that a version has nothing of this kind; 0: it always has."""
    return 1 << OVERFLOWING.index(kind) if kind in OVERFLOWING else 0


def flags_of(version: int) -> int:
    return version & ((1 << FLAG_BITS) - 1)
