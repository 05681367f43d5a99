"""Counters and histograms, as Prometheus reads them."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

MAX_SERIES: Final = 5_000
"""Of one metric. Hosts and methods come from traffic: beyond, they are counted as ``other``."""

Labels = tuple[str, ...]


class Counter:
    """A number a set of labels."""

    kind = "counter"

    def __init__(self, name: str, about: str, labels: Labels) -> None:
        self.name = name
        self.about = about
        self.labels = labels
        self._values: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def add(self, values: Labels, amount: float = 1.0) -> None:
        """``values`` in the order of ``labels``."""
        with self._lock:
            key = _room(self._values, values)
            self._values[key] = self._values.get(key, 0.0) + amount

    def lines(self) -> list[str]:
        with self._lock:
            items = list(self._values.items())
        return [f"{self.name}{_braces(self.labels, key)} {value:g}" for key, value in items]


class Histogram:
    """Observations in buckets, cumulative when read."""

    kind = "histogram"

    def __init__(self, name: str, about: str, labels: Labels, bounds: tuple[float, ...]) -> None:
        self.name = name
        self.about = about
        self.labels = labels
        self.bounds = bounds
        self._series: dict[Labels, tuple[list[int], list[float]]] = {}
        self._lock = threading.Lock()

    def observe(self, values: Labels, amount: float) -> None:
        with self._lock:
            key = _room(self._series, values)
            counts, total = self._series.setdefault(key, ([0] * (len(self.bounds) + 1), [0.0]))
            counts[bisect_left(self.bounds, amount)] += 1
            total[0] += amount

    def lines(self) -> list[str]:
        with self._lock:
            series = [
                (key, list(counts), total[0]) for key, (counts, total) in self._series.items()
            ]
        found = []
        for key, counts, total in series:
            running = 0
            for bound, count in zip([*map(_number, self.bounds), "+Inf"], counts, strict=True):
                running += count
                labels = _braces((*self.labels, "le"), (*key, bound))
                found.append(f"{self.name}_bucket{labels} {running}")
            found.append(f"{self.name}_sum{_braces(self.labels, key)} {total:g}")
            found.append(f"{self.name}_count{_braces(self.labels, key)} {running}")
        return found


class Registry:
    """All metrics of the process. A name that is there is handed out again."""

    def __init__(self) -> None:
        self._metrics: dict[str, Counter | Histogram] = {}

    def counter(self, name: str, about: str, labels: Labels = ()) -> Counter:
        found = self._metrics.setdefault(name, Counter(name, about, labels))
        assert isinstance(found, Counter)  # noqa: S101  one name, one kind
        return found

    def histogram(
        self, name: str, about: str, bounds: tuple[float, ...], labels: Labels = ()
    ) -> Histogram:
        found = self._metrics.setdefault(name, Histogram(name, about, labels, bounds))
        assert isinstance(found, Histogram)  # noqa: S101  one name, one kind
        return found

    def render(self) -> str:
        """The text format, version 0.0.4."""
        lines = []
        for metric in list(self._metrics.values()):
            lines += [f"# HELP {metric.name} {metric.about}", f"# TYPE {metric.name} {metric.kind}"]
            lines += metric.lines()
        return "".join(f"{line}\n" for line in lines)


def _room(known: Mapping[Labels, object], values: Labels) -> Labels:
    if values in known or len(known) < MAX_SERIES:
        return values
    return ("other",) * len(values)


def _braces(labels: Labels, values: Labels) -> str:
    pairs = ",".join(
        f'{name}="{_escape(value)}"' for name, value in zip(labels, values, strict=True)
    )
    return f"{{{pairs}}}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return f"{value:g}"
