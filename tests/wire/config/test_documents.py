"""Whatever document an agent is sent: a configuration, or a sentence about what is wrong."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.config import ConfigError, load_config, read_document

SHAPES = [
    {"tap": "x"},
    {"tap": {"http": "x"}},
    {"tap": {"http": ["x"]}},
    {"tap": {"http": {"stack": []}}, "stacks": {}},
    {"tap": {"http": {"stack": "a"}}, "stacks": {}},
    {"tap": {"http": {"stack": "a"}}, "stacks": "a"},
    {"tap": {"http": {"stack": "a"}}, "stacks": {"a": [1]}},
    {"tap": {"http": {"stack": "a"}}, "stacks": {"a": {"plugins": "abc"}}},
    {"tap": {"http": {"stack": "a"}}, "stacks": {"a": {"plugins": {"type": 1}}}},
    {"tap": {"http": {"stack": "a"}}, "stacks": {"a": {"plugins": [1]}}},
    {
        "tap": {"http": {"stack": "a"}},
        "stacks": {"a": {"plugins": [{"type": "http_capture", "config": "x"}]}},
    },
    {"services": "x"},
    {"services": {"object_stores": "x"}},
]


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_a_wrong_shape_is_said_in_words(shape: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        load_config({"version": 2, **shape})


def test_a_newer_platform_is_understood_as_far_as_it_can_be() -> None:
    document = {
        "version": 2,
        "stacks": {"s": {"plugins": [{"type": "of_tomorrow"}, {"type": "report_usage"}]}},
        "tap": {"http": {"stack": "s"}, "redis": {"stack": "s"}, "of_tomorrow": 1},
    }
    config, warnings = read_document(document)
    assert [plugin.type for plugin in config.stacks["s"].plugins] == ["report_usage"]
    assert {one.path for one in warnings} == {
        "stacks.s.plugins[0].type", "tap.redis", "tap.of_tomorrow",
    }  # fmt: skip


_WORDS = st.sampled_from(
    ["version", "tap", "http", "stack", "stacks", "plugins", "type", "config", "services",
     "object_stores", "http_capture", "level", "id", "path", "a"]
)  # fmt: skip
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_WORDS, _VALUES, max_size=5))
def test_nothing_but_config_error(document: dict[str, object]) -> None:
    with suppress(ConfigError):
        assert load_config({**document, "version": 2}).version == 2
