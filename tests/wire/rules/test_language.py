"""Rules as operators write them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from wire.rules import (
    FAILED,
    FIELDS,
    MISSING,
    Compiler,
    RuleError,
    canonical,
    compile_rule,
    is_known,
)

EXCHANGE: dict[str, Any] = {
    "http.req.method": "POST",
    "http.req.path": "/v1/users/42",
    "http.req.host": "api.example.com",
    "http.req.url": "https://api.example.com/v1/users/42?x=1",
    "http.req.headers.user-agent": "curl/8.0",
    "http.res.status": 503,
    "protocol": "http1",
    "direction": "egress-external",
    "tls": True,
    "tags": {"team": ["shop", "eu"]},
    "tags.team": ["shop", "eu"],
    "src.process.binary": "curl",
    "src.process.user.id": 0,
    "src.ip": "10.1.2.3",
    "dst.ip": "2001:db8::7",
    "mac": bytes.fromhex("1234567890ab"),
    "half": 0.5,
}
MACROS = {
    "api": 'http.req.host == "api.example.com"',
    "bad": "http.res.status >= 500",
    "both": "api() and bad()",
    "lost": "nothing == 1",
}


def outcome(text: str) -> Any:
    rule = compile_rule(text, lambda path: lambda fields: fields.get(path), MACROS)
    return rule.evaluate(EXCHANGE)


PASS = [
    'http.req.host == "api.example.com"', "http.req.host == 'api.example.com'",
    'request.host == "api.example.com"', 'req.host == "api.example.com"',
    "http.res.status == 503", "response.status >= 500", "res.status > 502 && res.status < 504",
    "res.status >= 400 and res.status <= 599", "res.status != 200", "res.status ne 200",
    "res.status eq 503", "res.status gt 1", "res.status ge 503", "res.status lt 504",
    "res.status le 503", "503 == res.status", "500 < res.status", "1 == 1.0", "half < 1",
    'req.method == "GET" || req.method == "POST"', 'not req.method == "GET"',
    '!(req.method == "GET")', "NOT tls == false", "tls", "tls == true", "protocol && tls",
    'req.path contains "users"', "req.path matches /\\/users\\/\\d+$/", "req.path matches /V1/i",
    'req.path matches "^/v1"', "req.path == /users/", 'req.host in ["a", "api.example.com"]',
    'req.host not in ["a", "b"]', 'not (req.host in ["a", "b"])', "res.status in [502, 503]",
    "src.ip in 10.0.0.0/8", "src.ip == 10.1.2.3", "src.ip == 10.0.0.0/8", "src.ip != 10.1.2.4",
    "src.ip in [192.168.0.0/16, 10.0.0.0/8]", "dst.ip in 2001:db8::/32", "dst.ip == 2001:db8::7",
    "10.0.0.0/8 contains src.ip", "src.ip > 10.1.2.2", "mac == 12:34:56:78:90:ab",
    "mac == 1234567890ab", 'starts_with(req.path, "/v1/")', "starts_with(res.status, 5)",
    'req.headers.User-Agent contains "curl"', 'req.headers["User-Agent"] matches /^curl/',
    'tags.team == "shop"', 'tags.team contains "eu"', 'tags.team in ["eu"]', 'tags contains "team"',
    'tags["team"] == "eu"', "api()", "both()", "api() and not lost() or bad()",
    "nothing == 1 or tls", "tls or nothing == 1", 'src.process.binary == "curl"',
    'direction == "egress-external"', 'process.binary == "curl"',
]  # fmt: skip
FAIL = [
    "res.status == 500", 'req.host == "other"', "src.process.user.id", "tls == false",
    'req.path contains "zzz"', "src.ip in 192.168.0.0/16", "nothing == 1 and tls == false",
    "tls == false and nothing == 1", "not api()",
    'src.ip == "10.1.2.4"', 'starts_with(req.path, "x")',
    "req.host == 10.0.0.1", "[1, 2] == [1, 3]", "false", '""',
]  # fmt: skip
UNKNOWN = [
    "nothing", "nothing == 1", "not (nothing == 1)", "!nothing", "nothing != 1", "nothing and tls",
    "nothing or tls == false", 'req.headers.x-none == "1"', "lost()", "not lost()",
    "nothing matches /x/", "nothing in [1]", "starts_with(nothing, 1)", "1 == nothing",
]  # fmt: skip
CANNOT = [
    'res.status == "503"', 'not (res.status == "503")', "req.host > 5", "req.host == true",
    "res.status contains 5", "tls matches /t/", "tags > 1", "tags == 1", "res.status == [503]",
    'starts_with(tags, "x")', "mac == 5",
]  # fmt: skip


@pytest.mark.parametrize("text", PASS)
def test_it_passes(text: str) -> None:
    assert outcome(text) is True


@pytest.mark.parametrize("text", FAIL)
def test_it_does_not(text: str) -> None:
    assert outcome(text) is False


@pytest.mark.parametrize("text", UNKNOWN)
def test_a_missing_field_does_not_pass_either_way(text: str) -> None:
    assert outcome(text) is MISSING


@pytest.mark.parametrize("text", CANNOT)
def test_what_cannot_be_evaluated_does_not_pass(text: str) -> None:
    assert outcome(text) is FAILED


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("", 0, "empty"),
        ("   ", 0, "empty"), ("a ==", 4, "missing"), ("a == = 1", 5, "no meaning"),
        ("(a == 1", 0, "not closed"), ("a == 1)", 6, "left over"), ("a b", 2, "left over"),
        ('a == "x', 5, "not closed"), ("a == /x", 5, "no closing /"), ("a matches b", 10, "/…/"),
        ("a matches 5", 10, "/…/"), ("a in 5", 5, "list"), ("a > true", 4, "numbers"),
        ("a > [1]", 4, "numbers"), ("a == [1 2]", 8, "comma"), ("a == [b]", 6, "values only"),
        ("a == 1.2.3.999", 5, "no address"), ("a == 10.0.0.0/99", 5, "no address"),
        ("a == 12zz", 5, "neither"), ("f()", 0, "no function or macro"),
        ("api(1)", 0, "no function"),
        ("starts_with(a)", 0, "a value and a prefix"), ("a matches /(?<=x)y/", 10, "regular"),
        ("a and and b", 6, "missing"), ("not", 3, "missing"), ("a == 1 §", 7, "no meaning"),
        ("not " * 100 + "a", 256, "deep"), ("(" * 100, 64, "deep"),
        ("a == 1 or " * 900 + "a", 5_002, "parts"), ("x" * 20_000, 0, "longer"),
        ("a matches /" + "x" * 5_000 + "/", 10, "more than 4,096"),
        ("a == " + "9" * 50, 5, "too many digits"),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_said_with_its_place(text: str, offset: int, words: str) -> None:
    with pytest.raises(RuleError) as refused:
        outcome(text)
    assert words in refused.value.message
    assert refused.value.offset == offset


@pytest.mark.parametrize("name", ["http.req.", "request.", "req.", "http.request."])
def test_all_generations_of_names_are_one(name: str) -> None:
    assert canonical(f"{name}host") == "http.req.host"
    assert canonical(f"{name}headers.X-Request-Id") == "http.req.headers.x-request-id"
    answer = name.replace("req.", "res.").replace("request.", "response.")
    assert canonical(f"{answer}status") == "http.res.status"


def test_every_field_is_its_own_canonical_name() -> None:
    assert [canonical(name) for name in FIELDS] == list(FIELDS)
    assert all(is_known(name) for name in FIELDS)
    assert is_known("tags.anything.at-all")
    assert not is_known("http.req.headres.x")
    assert not is_known("src.process")


def test_a_hostile_expression_takes_no_time() -> None:
    """Backtracking engines need longer than the universe lasts for this one."""
    rule = compile_rule("a matches /^(a+)+$/", lambda _: lambda fields: fields["a"])
    began = time.process_time()
    assert rule.evaluate({"a": "a" * 50_000 + "b"}) is False
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("source", ["(a{1000}){1000}", "(((a{100}){100}){100})", "\\1(a)"])
def test_an_expression_that_grows_too_large_is_refused(source: str) -> None:
    with pytest.raises(RuleError, match="not a regular expression"):
        compile_rule(f"a matches /{source}/", lambda _: lambda fields: fields["a"])


def test_a_lone_surrogate_harms_nothing() -> None:
    rule = compile_rule('a matches /x/ or a == "\\x" or a in 10.0.0.0/8', lambda _: lambda it: it)
    assert rule.evaluate("\udcff") is False


def test_macros_are_compiled_once_and_give_their_fields() -> None:
    rule = compile_rule("both()", lambda path: lambda fields: fields.get(path), MACROS)
    assert rule.fields == {"http.req.host", "http.res.status"}
    with pytest.raises(RuleError, match="circle: a → b → a"):
        compile_rule("a()", lambda _: None, {"a": "b()", "b": "a()"})


def _chain(length: int, text: str) -> dict[str, str]:
    """``m0`` asks a field; each further macro is ``text`` with the one before it in it."""
    return {"m0": "tls"} | {f"m{n}": text.format(f"m{n - 1}()") for n in range(1, length)}


@pytest.mark.parametrize(
    ("first", "length", "text", "reason"),
    [
        (200, 3_000, "{0}", "nested more than 128 deep"),
        (100, 3_000, "not {0}", "nested more than 128 deep"),
        (20, 60, "{0} and {0}", "more than 4,000 questions"),
        (20, 40, "tls or ({0} and {0})", "more than 4,000 questions"),
    ],
)
def test_macros_that_never_end_are_refused_at_once(
    first: int, length: int, text: str, reason: str
) -> None:
    """Each level of the last two would double the time that an exchange costs."""
    compiler = Compiler(lambda _: None, _chain(length, text))
    began = time.monotonic()
    for number in (length - 1, *range(first, length)):
        with pytest.raises(RuleError, match=reason):
            compiler.rule(f"m{number}()")
    assert time.monotonic() - began < 5


def test_macros_within_the_bounds_are_told_wherever_they_are_called() -> None:
    macros = _chain(60, "{0} and http.res.status > 1")
    compiler = Compiler(lambda path: lambda fields: fields.get(path), macros)
    first, second = compiler.rule("m30() or m30()"), compiler.rule("not m59()")
    for rule in (first, second):
        assert rule.fields == {"tls", "http.res.status"}
    facts = {"tls": True, "http.res.status": 200}
    assert (first.evaluate(facts), second.evaluate(facts)) == (True, False)


def test_the_expressions_of_a_document_are_bounded_together() -> None:
    """Each of these takes tens of milliseconds: a megabyte of them took an hour."""
    compiler = Compiler(lambda _: None, {})
    began = time.monotonic()
    refused = []
    for number in range(10_000):
        try:
            compiler.rule(rf"a matches /(\pL{{1,30}}{number}){{10}}/ or b matches /x{number}/")
        except RuleError as error:
            refused.append(error.message)
    assert time.monotonic() - began < 10
    assert "too large" in refused[0]
    assert refused[-1] == "too many large regular expressions in one document"


def test_a_thousand_ordinary_expressions_are_within_the_bound() -> None:
    compiler = Compiler(lambda _: lambda fields: fields["p"], {})
    rules = [compiler.rule(rf"p matches /^\/v[0-9]+\/(a|b{n})\/\w{{1,20}}$/") for n in range(1_000)]
    assert rules[7].evaluate({"p": "/v2/b7/xyz"}) is True
