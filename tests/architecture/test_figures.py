"""The figures that ``make bench`` knows are those that CONTRIBUTING.md tells of."""

from __future__ import annotations

import re

from bench.__main__ import BENCHMARKS
from tests.architecture.source import ROOT


def test_every_figure_is_told_of() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Figures\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(told) == sorted(BENCHMARKS)
    assert all((ROOT / f"{module.replace('.', '/')}.py").exists() for module in BENCHMARKS.values())
