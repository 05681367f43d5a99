"""The compiled rules say what the plain reading of the language says, whatever the rule."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.wire.rules.reference import evaluate
from wire.rules import FAILED, MISSING, RuleError, compile_rule, parse_rule

_TEXTS = ["", "a", "GET", "/v1/x", "10.1.2.3", "::1", "api.example.com", "5"]
_ADDRESSES = ["10.1.2.3", "192.168.0.1", "2001:db8::7"]
_LITERALS = st.sampled_from(
    ['"GET"', '"/v1"', '"a"', '""', '"10.1.2.3"', "5", "0", "-1", "503", "0.5", "true", "false",
     "10.1.2.3", "2001:db8::7", "10.0.0.0/8", "2001:db8::/32", "4745", "12:34:56", "/^\\/v/",
     "/GET/", "47:45:54"]
)  # fmt: skip
_NAMES = st.sampled_from(["one", "two", "three", "req.host", "tags.x"])
_VALUES = st.one_of(
    st.none(), st.booleans(), st.sampled_from([0, 5, 503, 0.5, -1]), st.sampled_from(_TEXTS),
    st.sampled_from(_ADDRESSES).map(ipaddress.ip_address), st.just(b"GET"), st.just(b"\x124V"),
    st.lists(st.sampled_from(_TEXTS), max_size=3), st.just({"a": ["x"], "GET": ["y"]}),
)  # fmt: skip
_FIELDS = st.fixed_dictionaries(
    dict.fromkeys(("one", "two", "three", "http.req.host", "tags.x"), _VALUES)
)
_ARRAYS = st.lists(_LITERALS.filter(lambda text: "/^" not in text), max_size=3).map(
    lambda items: f"[{', '.join(items)}]"
)
_OPERANDS = _NAMES | _LITERALS | _ARRAYS
_CALLS = st.tuples(_OPERANDS, _OPERANDS).map(lambda pair: f"starts_with({pair[0]}, {pair[1]})")
_SYMBOLS = st.sampled_from(
    ["==", "!=", ">", ">=", "<", "<=", "contains", "in", "not in", "matches"]
)
_COMPARISONS = st.tuples(_OPERANDS | _CALLS, _SYMBOLS, _OPERANDS).map(" ".join)
_RULES = st.recursive(
    _COMPARISONS | _NAMES | _CALLS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or", "&&", "||"]), inner).map(
            lambda three: f"({' '.join(three)})"
        ),
        inner.map(lambda text: f"not ({text})"),
    ),
    max_leaves=8,
)
_ANSWERS: dict[Any, Any] = {True: True, False: False, MISSING: None, FAILED: "failed"}


@settings(max_examples=400)
@given(_RULES, _FIELDS)
@example("one == 5 or two", {"one": "5", "two": None})
@example("[5] contains one", {"one": 5})
def test_the_two_agree(text: str, fields: dict[str, Any]) -> None:
    try:
        tree = parse_rule(text)
        rule = compile_rule(text, lambda path: lambda given_fields: given_fields.get(path))
    except RuleError:
        return
    expected = evaluate(tree, fields)
    assert _ANSWERS[rule.evaluate(fields)] == expected
    assert (rule.evaluate(fields) is True) == (expected is True)


@given(st.text(max_size=60))
def test_any_text_is_a_rule_or_an_error_inside_it(text: str) -> None:
    offsets = [0]
    try:
        compile_rule(text, lambda _: None)
    except RuleError as error:
        offsets.append(error.offset)
    assert all(0 <= offset <= len(text) for offset in offsets)


_WORDS = st.sampled_from(
    ["a", "==", "(", ")", "[", "]", ",", "and", "or", "not", "in", "matches", "/x/", '"s"', "5",
     "10.0.0.0/8", "::", "contains", "f(", "!", ">", "/", '"', "a.b", 'a["x"]', "1.2.3"]
)  # fmt: skip


@given(st.lists(_WORDS, max_size=20))
def test_words_in_any_order(words: list[str]) -> None:
    with suppress(RuleError):
        compile_rule(" ".join(words), lambda _: None)
