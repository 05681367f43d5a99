"""Learning from paths: what becomes a parameter, what never does, and how much is kept."""

from __future__ import annotations

import random
import string
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse.routes.patterns import Patterns, checked
from pulse.routes.shapes import MAX_SEGMENTS, segment_of, segments_of
from pulse.routes.tree import DISTINCT, MOST_AT_REFUSED, MOST_VALUES, Tree
from qcloud.kernel.errors import Invalid

SALT = b"0123456789abcdef"


def words(count: int, seed: int = 1) -> list[str]:
    rng = random.Random(seed)  # noqa: S311  the same words each time
    return ["".join(rng.choices(string.ascii_lowercase, k=9)) for _ in range(count)]


def taught(*paths: str, count: int = 1) -> Tree:
    tree = Tree(SALT)
    tree.learn((path, count) for path in paths)
    return tree


def test_a_few_values_stay_and_one_more_makes_a_parameter() -> None:
    names = words(DISTINCT + 1)
    tree = taught(*(f"/shops/{name}" for name in names[:DISTINCT]))
    assert tree.route(f"/shops/{names[0]}", missing=False) == f"/shops/{names[0]}"
    assert tree.route(f"/shops/{names[-1]}", missing=False) is None
    assert tree.learn([(f"/shops/{names[-1]}", 1)]) == [("", "shops", "{name}")]
    for name in (*names, "never-seen"):
        assert tree.route(f"/shops/{name}", missing=False) == "/shops/{name}"
    assert tree.learn([("/shops/another", 1)]) == []


def test_what_lies_below_a_value_is_known_below_all() -> None:
    tree = taught(*(f"/shops/{name}/orders/{i}" for i, name in enumerate(words(DISTINCT + 1))))
    assert tree.route("/shops/other/orders/4711", missing=False) == "/shops/{name}/orders/{id}"
    # Two positions, one below the other.
    pairs = [f"/t/{a}/u/{b}" for a in words(60, 2) for b in words(60, 3)]
    tree = taught(*pairs)
    assert tree.route("/t/x/u/y", missing=False) == "/t/{name}/u/{name}"
    assert tree.size < 10


@pytest.mark.parametrize("word", ["me", "search", "v1", "v2beta1", "settings", ""])
def test_known_words_and_versions_are_never_values(word: str) -> None:
    tree = taught(f"/users/{word}", "/users/815", *(f"/users/{name}" for name in words(500)))
    assert tree.route(f"/users/{word}", missing=False) == f"/users/{word}"
    assert tree.route("/users/somebody", missing=False) == "/users/{name}"
    assert tree.route("/users/4711", missing=False) == "/users/{id}"


def test_versions_of_an_interface_with_many_places_stay_apart() -> None:
    tree = taught(*(f"/api/v{v}/{place}" for v in (1, 2) for place in ("shops", "goods", "carts")))
    assert tree.route("/api/v1/shops", missing=False) == "/api/v1/shops"
    assert tree.route("/api/v2/goods", missing=False) == "/api/v2/goods"


def test_a_word_far_louder_than_the_rest_stays_a_word() -> None:
    tree = Tree(SALT)
    tree.learn([("/login-here", 90_000), ("/goods", 40_000), *((f"/{w}", 3) for w in words(200))])
    assert tree.route("/login-here", missing=False) == "/login-here"
    assert tree.route("/goods", missing=False) == "/goods"
    assert tree.route("/whatever", missing=False) == "/{name}"


def test_popular_values_are_values() -> None:
    """As often as the law of popularity has it, and no oftener."""
    tree = Tree(SALT)
    names = words(400)
    tree.learn((f"/shops/{name}", 1 + 100_000 // (i + 1)) for i, name in enumerate(names))
    assert {tree.route(f"/shops/{name}", missing=False) for name in names} == {"/shops/{name}"}


def test_who_tries_addresses_at_random_teaches_nothing() -> None:
    tree = taught("/goods", "/carts/4711")
    for word in words(1_000):
        assert tree.route(f"/{word}.php", missing=True) == "/{…}"
        assert tree.route(f"/carts/{word}", missing=True) == "/carts/{…}"
    assert tree.route("/goods", missing=True) == "/goods"
    assert tree.size == 4


def test_a_million_paths_are_bounded() -> None:
    rng = random.Random(7)  # noqa: S311
    tree = Tree(SALT)
    # At every depth, below ever new prefixes: the worst that a sender can do.
    hostile = [
        "/" + "/".join("".join(rng.choices(string.ascii_lowercase, k=7)) for _ in range(depth))
        for depth in (1, 2, 3, 7, 12, 40)
        for _ in range(5_000)
    ]
    tree.learn((path, 1) for path in hostile)
    assert tree.size <= MOST_VALUES
    routes = {tree.route(path, missing=False) for path in hostile}
    assert None not in routes
    assert len(routes) <= MOST_VALUES
    assert len(tree.dump()) < 100_000


def test_a_full_tree_says_so_and_ages() -> None:
    tree = taught(*(f"/a{a}z/b{b}z" for a in range(40) for b in range(DISTINCT)))
    assert tree.full
    assert tree.route("/unheard-of", missing=False) == "/{…}"
    tree.learn([("/a1z/b1z", 500)])
    for _ in range(2):
        tree.age()
    assert not tree.full
    assert tree.route("/a1z/b1z", missing=False) == "/a1z/b1z"
    assert tree.route("/unheard-of", missing=False) is None


def test_what_is_kept_has_no_text_of_a_path() -> None:
    secret = "hunter-and-secret"
    kept = taught(f"/reset/{secret}/now", f"/reset/{secret}/later")
    assert secret.encode() not in zlib.decompress(kept.dump())
    again = Tree.load(SALT, kept.dump())
    assert again.route(f"/reset/{secret}/now", missing=False) == f"/reset/{secret}/now"
    other = Tree.load(b"another salt 16b", kept.dump())
    assert other.route(f"/reset/{secret}/now", missing=False) is None


def test_a_position_that_people_refused_stays_as_it_is_and_bounded() -> None:
    tree = taught(*(f"/rpc/{name}" for name in words(60)))
    place = ("", "rpc", "{name}")
    tree.refuse(place)
    calls = words(MOST_AT_REFUSED + 100, 5)
    assert tree.learn((f"/rpc/{name}", 1) for name in calls) == []
    routes = {tree.route(f"/rpc/{name}", missing=False) for name in calls}
    assert len(routes) == MOST_AT_REFUSED + 1
    assert "/rpc/{…}" in routes
    again = Tree.load(SALT, tree.dump())
    again.allow(place)
    assert {again.route(f"/rpc/{name}", missing=False) for name in calls} == {"/rpc/{name}"}


@pytest.mark.parametrize(
    ("segment", "shape"),
    [
        ("ann@example.com", "{email}"), ("ann%40example.com", "{email}"),
        ("ann%2540example.com", "{email}"), ("ann%40example%2Ecom", "{email}"),
        ("анна@пример.рф", "{email}"), ("x7Gh2kQ9", "{token}"), ("x" * 65, "{token}"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "{token}"), ("{name}", "{token}"),
        ("a{b", "{token}"), ("login;jsessionid=0F3", "login;{…}"), ("caf%C3%A9", "caf%C3%A9"),
        ("..", ".."), ("Übersicht", "Übersicht"), ("order-4711.pdf", "order-{id}.pdf"),
    ],
)  # fmt: skip
def test_shapes(segment: str, shape: str) -> None:
    assert segments_of(f"/a/{segment}") == ["", "a", shape]


@pytest.mark.parametrize("segment", ["%40" * 2_700, "x%40" * 2_000, "a" * 8_000, "a1" * 4_000])
def test_a_long_segment_takes_no_time_and_no_room(segment: str) -> None:
    """Each of thousands in a batch took 0.4 s, and all accounts' events waited meanwhile."""
    begun = time.process_time()
    for number in range(100):
        assert segment_of(f"{segment}{number}") == "{token}"
    assert time.process_time() - begun < 1


def test_a_path_cannot_name_a_parameter() -> None:
    tree = taught("/shops/{name}", "/shops/{name}/{…}", "/shops/one")
    assert tree.route("/shops/two", missing=False) is None


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(alphabet=st.characters(), max_size=300), max_size=60))
def test_any_text_has_one_template_and_keeps_it(paths: list[str]) -> None:
    tree = Tree(SALT)
    tree.learn((path, 1) for path in paths)
    first = [tree.route(path, missing=False) for path in paths]
    assert None not in first
    assert all(len(str(route).split("/")) <= MAX_SEGMENTS + 2 for route in first)
    again = Tree.load(SALT, tree.dump())
    assert [again.route(path, missing=False) for path in paths] == first


def test_templates_by_hand_and_which_wins() -> None:
    patterns = Patterns(["/rpc/GetUser", "/rpc/{method}", "/files/{…}", "/a/{x}/c", "/a/b/{y}"])
    assert patterns.match("/rpc/GetUser") == "/rpc/GetUser"
    assert patterns.match("/rpc/Other") == "/rpc/{method}"
    assert patterns.match("/rpc/") == ""
    assert patterns.match("/rpc/a/b") == ""
    assert patterns.match("/files/deep/er") == "/files/{…}"
    assert patterns.match("/a/b/c") == "/a/b/{y}"
    assert patterns.match("/a/z/c") == "/a/{x}/c"
    assert patterns.match("/") == ""
    assert Patterns(()).match("/") == ""


@pytest.mark.parametrize(
    "text",
    ["", "shops", "/a b", "/{Name}", "/{", "/x{name}", "/{…}/a", "/a?b", "/" * 14, "/" + "a" * 512,
     "/a\nb", "/a\0"],
)  # fmt: skip
def test_what_is_no_template(text: str) -> None:
    with pytest.raises(Invalid):
        checked(text)


def test_a_template_is_kept_as_typed() -> None:
    assert checked("  /shops/{name}/{...} ") == "/shops/{name}/{…}"


def test_paths_that_differ_in_shapes_are_learned_as_one() -> None:
    """Counts add up, and the tree is the one that each of them by itself would make."""
    paths = [(f"/shops/s{i % 40}/orders/{i}", 1 + i % 3) for i in range(4_000)]
    together, alone = Tree(b"salt"), Tree(b"salt")
    assert together.learn(paths) == []
    sums: dict[str, int] = {}
    for path, count in paths:
        shape = f"{path.rpartition('/')[0]}/1"
        sums[shape] = sums.get(shape, 0) + count
    for path, count in sorted(sums.items(), key=lambda pair: -pair[1]):
        alone.learn([(path, count)])
    assert together.dump() == alone.dump()
    assert together.route("/shops/s7/orders/12345", missing=False) == "/shops/s7/orders/{id}"
