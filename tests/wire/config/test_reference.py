"""The documents for operators say what the parser does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wire.config import parse_config
from wire.config.reference import reference
from wire.rules import FIELDS, compile_rule

DOCS = Path(__file__).parents[3] / "docs" / "agent"


def test_every_key_stands_in_the_reference() -> None:
    text = (DOCS / "configuration.md").read_text()
    assert text.endswith(reference()), "run python -m wire.config.reference"


def test_every_field_stands_in_the_reference() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (\w+) \|$", (DOCS / "rules.md").read_text(), re.MULTILINE)
    assert dict(rows) == dict(FIELDS)


@pytest.mark.parametrize("name", ["configuration.md", "rules.md"])
def test_the_examples_work(name: str) -> None:
    text = (DOCS / name).read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for kind, block in blocks:
        if kind == "yaml":
            assert parse_config(block, strict=True).warnings == ()
            continue
        for line in block.splitlines():
            assert compile_rule(line, lambda _: None, {"internal": "tls"}).text == line
