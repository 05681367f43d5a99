"""What is written is what was read, for any configuration at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from hypothesis import given
from hypothesis import strategies as st

from wire.config import Config, dump_config, load_config, to_document
from wire.config.decode import Decoder, keys_of
from wire.config.keys import Key, Seconds
from wire.config.nodes import compose, from_object
from wire.config.plugins import PLUGINS, Plugin

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda text: "\ufeff" not in text
)


def values(hint: Any, about: Key) -> st.SearchStrategy[Any]:  # noqa: PLR0911  one a kind of type
    """Any value of a key's type: that a rule is nonsense does not matter here."""
    origin = get_origin(hint)
    if hint is Plugin:
        kinds = st.sampled_from(sorted(PLUGINS))
        return kinds.flatmap(
            lambda kind: st.builds(Plugin, type=st.just(kind), config=records(PLUGINS[kind]))
        )
    if dataclasses.is_dataclass(hint):
        return records(hint)
    if origin is Literal:
        return st.sampled_from(get_args(hint))
    if origin is tuple:
        return st.lists(values(get_args(hint)[0], about), max_size=2).map(tuple)
    if origin is not None and issubclass(origin, Mapping) if isinstance(origin, type) else False:
        return st.dictionaries(TEXTS, values(get_args(hint)[1], about), max_size=2)
    if origin is Union or type(hint).__name__ == "UnionType":
        return st.none() | values(get_args(hint)[0], about)
    low, high = about.low, about.high
    if hint is Seconds:
        # What a duration is written with: nanoseconds, up to some years.
        return st.integers(0, 10**17).map(lambda number: float(f"{number / 1e9:.9f}"))
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: TEXTS,
        bool: st.booleans(),
        int: st.integers(int(low or 0), int(high or 2**31)),
        float: st.floats(low, high, allow_nan=False),
        object: st.none() | st.just(True),
    }
    return simple[hint]


def records(record: Any) -> st.SearchStrategy[Any]:
    fields = {
        one.name: st.just(2) if name == "version" else values(hint, about)
        for name, (one, hint, about) in keys_of(record).items()
    }
    return st.builds(record, **fields)


@given(records(Config))
def test_dump_and_parse(config: Config) -> None:
    reader = Decoder(strict=True)
    again = reader.decode(Config, compose(dump_config(config)), "")
    assert reader.problems == []
    assert again == config


@given(records(Config))
def test_the_same_document_by_way_of_json(config: Config) -> None:
    reader = Decoder(strict=True)
    again = reader.decode(Config, from_object(to_document(config)), "")
    assert reader.problems == []
    assert again == config


def test_what_other_readers_write_is_read_alike() -> None:
    document = {
        "version": 2,
        "tap": {"direction": "egress", "http": {"stack": "s"}},
        "stacks": {"s": {"plugins": [{"type": "qscan", "config": {"cache_ttl": "1h30m"}}]}},
    }
    config = load_config(document)
    for text in (yaml.safe_dump(document), yaml.safe_dump(document, default_flow_style=True)):
        reader = Decoder(strict=True)
        assert reader.decode(Config, compose(text), "") == config
    assert config.stacks["s"].plugins[0].config.cache_ttl == 5_400.0  # type: ignore[union-attr]
