"""Numbers as people read them."""

from __future__ import annotations

import pytest

from portal.kit import formats


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"), (0.00023, "0.00023"), (0.0234, "0.023"), (0.05, "0.05"), (0.1, "0.1"),
        (0.126, "0.13"), (1.5, "1.5"), (12.34, "12.3"), (123.4, "123"), (1_250, "1.25 k"),
        (-0.0031, "-0.0031"), (1e-12, "0"),
    ],
)  # fmt: skip
def test_a_rate_of_some_requests_a_day_is_not_none(value: float, words: str) -> None:
    assert formats.compact(value) == words


@pytest.mark.parametrize(
    ("value", "count", "size"),
    [
        (10**12, "1 T", "931 GiB"),
        (999_999_999_594, "1 T", "931 GiB"),
        (999_400, "999 k", "976 KiB"),
        (2**20 - 1, "1.05 M", "1 MiB"),
        (10**15 * 5 // 2, "2.5 P", "2.22 PiB"),
        (98_765_432_109_876_543_210, "98.8 E", "85.7 EiB"),
    ],
)
def test_huge_figures_stay_short(value: int, count: str, size: str) -> None:
    assert (formats.compact(value), formats.size(value)) == (count, size)
    assert formats.count(10**12) == "1,000,000,000,000"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 ms"), (0.85, "850 µs"), (12, "12 ms"), (1_250, "1.25 s"), (119_000, "119 s"),
        (120_000, "2 min"), (7_199_999, "120 min"), (1.2e7, "3.33 h"), (3.6e8, "100 h"),
    ],
)  # fmt: skip
def test_long_durations_are_not_thousands_of_seconds(value: float, words: str) -> None:
    assert formats.milliseconds(value) == words
