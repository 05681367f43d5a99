"""``python -m tests.fuzz.rules --seconds N``: any text as a rule, asked of two exchanges.

Whatever it is: a rule that answers, or a ``RuleError`` with a place inside the text.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import atheris

with atheris.instrument_imports(include=["wire"]):
    from wire.rules import FAILED, MISSING, RuleError, compile_rule

from tests.fuzz.target import fuzz
from tests.wire.rules.test_language import CANNOT, EXCHANGE, FAIL, MACROS, PASS, UNKNOWN

LONGEST = 512
OTHER: dict[str, Any] = {
    "a": "a" * 1_000, "b": [1, "x", b"y"], "c": {"d": 1}, "e": ipaddress.ip_address("::1"),
    "http.req.host": "\udcff", "http.res.status": -0.0, "tls": False,
}  # fmt: skip


def one(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        rule = compile_rule(text, lambda path: lambda fields: fields.get(path), MACROS)
    except RuleError as error:
        if not 0 <= error.offset <= len(text):
            raise AssertionError(f"{error.offset} is nowhere in {text!r}") from error
        return
    for fields in (EXCHANGE, OTHER, {}):
        outcome = rule.evaluate(fields)
        if outcome not in {True, False, MISSING, FAILED}:
            raise AssertionError(f"{text!r} answers {outcome!r}")


def main() -> None:
    seeds = [*PASS, *FAIL, *UNKNOWN, *CANNOT, "((((", "a == /(?i)[/", "a[0].b", "::/0 contains a"]
    fuzz(one, [text.encode() for text in seeds], longest=LONGEST)


if __name__ == "__main__":
    main()
