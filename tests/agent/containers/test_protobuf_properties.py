"""Whatever a socket says, reading it ends with a message or the one error."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from agent.containers.protobuf import MalformedError, Message
from tests.agent.containers.test_runtimes import field, mapping


@given(st.binary(max_size=400))
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
def test_any_bytes(data: bytes) -> None:
    try:
        message = Message(data)
        message.text(1)
        message.mapping(1)
        message.messages(2)
    except MalformedError:
        return


@given(st.dictionaries(st.text(max_size=40), st.text(max_size=400), max_size=20), st.text())
def test_what_is_written_is_read(labels: dict[str, str], name: str) -> None:
    message = Message(field(1, name) + mapping(8, labels))
    assert message.text(1) == name
    assert message.mapping(8) == labels
