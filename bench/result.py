"""What one benchmark hands back."""

from __future__ import annotations

import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class Result:
    """One measured figure.

    ``baseline`` is the same unit measured on the plain way in the same run and ``ratio`` is
    ``value / baseline``; both are ``None`` where nothing is compared. ``n`` counts repetitions.
    """

    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None
    n: int

    def as_line(self) -> str:
        """The result as one JSON object, figures rounded to four significant digits."""
        fields = dataclasses.asdict(self)
        for key in ("value", "baseline", "ratio"):
            if fields[key] is not None:
                fields[key] = float(f"{fields[key]:.4g}")
        return json.dumps(fields)
