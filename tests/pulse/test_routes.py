"""Templates of paths through the loader: shared, kept, bounded, and stored with each row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

import pytest

from pulse.loader.block import block_of
from pulse.routes import book as book_module
from pulse.routes.book import Paths, RouteBook
from pulse.store.client import Store
from pulse.store.gate import ask_as_system
from pulse.store.loads import insert_load
from pulse.tables.routes import PathHost, PathTemplate
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.pulse.lines import event, lines
from tests.pulse.test_block import frame
from tests.pulse.test_route_tree import words

pytestmark = pytest.mark.django_db(transaction=True)

ONE, OTHER = UUID(int=1), UUID(int=2)


class Book(RouteBook):
    """A loader's book that is asked path by path."""

    def ask(
        self,
        paths: Iterable[str],
        host: str = "shop.example.com",
        account: UUID = ONE,
        *,
        missing: bool = False,
    ) -> list[str]:
        known = list(paths)
        (found,) = self.routes([Paths(account, host, missing, known, [1] * len(known))])
        return found


def texts(account: UUID = ONE) -> list[tuple[str, str, int]]:
    with unscoped("test"):
        rows = PathTemplate.objects.filter(account_id=account).order_by("text")
        return [(row.text, row.origin, row.version) for row in rows]


def shops(count: int = 60, seed: int = 1) -> list[str]:
    return [f"/shops/{word}/orders/{i}" for i, word in enumerate(words(count, seed))]


def test_what_one_loader_learned_all_know_and_a_restart_forgets_nothing() -> None:
    first, second = Book(), Book()
    assert second.ask(["/shops/acme/orders/7"]) == ["/shops/acme/orders/{id}"]
    assert set(first.ask(shops())) == {"/shops/{name}/orders/{id}"}
    assert texts() == [("/shops/{name}", "learned", 2)]
    for book in (first, second, Book()):
        assert book.ask(["/shops/acme/orders/7"]) == ["/shops/{name}/orders/{id}"]


def test_two_loaders_that_learn_in_turn_learn_together() -> None:
    books = Book(), Book()
    for index, path in enumerate(shops(51)):
        books[index % 2].ask([path])
    assert texts() == [("/shops/{name}", "learned", 2)]


def test_accounts_and_hosts_learn_for_themselves() -> None:
    book = Book()
    book.ask(shops())
    assert book.ask(["/shops/x"], "other.example.com") == ["/shops/x"]
    assert book.ask(["/shops/x"], account=OTHER) == ["/shops/x"]
    assert book.ask(["/shops/x"], "SHOP.example.com") == ["/shops/{name}"]
    assert texts(OTHER) == []


def test_each_row_keeps_the_template_that_it_was_loaded_with(store: Store) -> None:
    book, origin = RouteBook(), {"account_id": ONE}
    batches = (
        [event(path="/shops/early", host="h"), event(path="/nowhere", host="h", status=404)],
        [event(path=path, host="h") for path in shops()],
        [event(path="/shops/late", host="h")],
    )
    for batch in batches:
        load_id = new_id()
        block = block_of([frame(lines(*batch), **origin)], load_id, book)
        insert_load(store, block, str(load_id))
    rows = ask_as_system(
        "test", "SELECT route, count() FROM requests GROUP BY route ORDER BY route", {}, store=store
    )
    assert [tuple(row) for row in rows] == [
        ("/shops/early", 1), ("/shops/{name}", 1), ("/shops/{name}/orders/{id}", 60), ("/{…}", 1),
    ]  # fmt: skip


def test_a_block_has_each_rows_own_template_whatever_the_order() -> None:
    rows = [("a", "/x", 200), ("b", "/x", 404), ("a", "/y/1", 200), ("a", "/x", 200), ("", "", 500)]
    batch = [event(host=host, path=path, status=status) for host, path, status in rows]
    block = block_of([frame(lines(*batch)), frame(lines(event(path="/y/2")))], new_id())
    assert block["route"].to_pylist() == ["/x", "/{…}", "/y/{id}", "/x", "", "/y/{id}"]


def test_below_a_value_that_turns_out_to_be_one() -> None:
    """A secret in the middle does not stay in a template once its position is known."""
    book = Book()
    book.ask(f"/reset/hunter-and-secret/{word}" for word in words(60))
    assert texts() == [("/reset/hunter-and-secret/{name}", "learned", 2)]
    book.ask(f"/reset/{word}/x" for word in words(60, 2))
    assert texts() == [("/reset/{name}", "learned", 3), ("/reset/{name}/{name}", "learned", 2)]
    assert book.ask(["/reset/hunter-and-secret/more"]) == ["/reset/{name}/{name}"]


def test_hosts_are_bounded_and_the_rest_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "MOST_HOSTS", 3)
    names = [f"h{i}.example.com" for i in range(20)]
    book = Book()
    assert book.routes([Paths(ONE, name, False, ["/x"], [1]) for name in names]) == [["/x"]] * 20
    assert _hosts() == {"", *names[:3]}
    assert book.ask(["/x"], "h19.example.com") == ["/x"]
    with unscoped("test"):
        PathHost.objects.exclude(host="").update(seen_at=now() - timedelta(days=31))
    Book().ask(["/x"], "new.example.com")
    assert _hosts() == {"", "new.example.com"}


def _hosts() -> set[str]:
    with unscoped("test"):
        return set(PathHost.objects.values_list("host", flat=True))


def test_hosts_that_only_ever_refuse_take_no_room() -> None:
    book = Book()
    for i in range(20):
        assert book.ask(["/x"], f"h{i}.example.com", missing=True) == ["/{…}"]
    assert _hosts() == set()


@pytest.mark.parametrize(
    "path",
    ["", "*", "/", "//", "/a\0b", "/../../etc", "/%00/%zz", "/" + "a/" * 5_000, "/" + "é" * 9_000,
     "/\u202e/x", "/{name}/{…}", "/a;b=c/d"],
)  # fmt: skip
def test_odd_paths_stop_nobody(path: str) -> None:
    book = Book()
    odd = [path, *(f"{path}/{word}" for word in words(60))]
    for host in ("shop.example.com", "h\0st", "h" * 300):
        routes = book.ask(odd, host)
        assert len(routes) == len(odd)
        assert all(len(route) < 1_000 for route in routes)
        assert Book().ask(odd, host) == book.ask(odd, host)


def test_a_million_paths_cost_bounded_room() -> None:
    book = Book()
    for seed in range(3):
        paths = [f"/{a}/{b}" for a in words(100, seed) for b in words(100, seed + 50)]
        assert set(book.ask(paths)) == {"/{name}/{name}"}
    with unscoped("test"):
        row = PathHost.objects.get()
        assert len(bytes(row.tree)) < 500
        assert row.full_since is None
