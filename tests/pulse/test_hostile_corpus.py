"""What no honest agent sends: taken or refused with a reason, the same both ways, in bounds."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pyarrow as pa
import pytest

from pulse.errors import MalformedBatch, MalformedLine
from pulse.ingest.batch import parse_batch
from pulse.ingest.settings import IngestSettings
from pulse.loader.loader import Loader
from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from pulse.store.gate import ask_as_system
from tests.pulse.door import Client, Sender, Somebody, Tokens, door
from tests.pulse.lines import NOON, event, lines

LINE = lines(event())
SLOWLY = b',"zz":null}\n'
"""An unknown field with a null: the exact way, line by line."""


@pytest.fixture
def client(spool: SpoolFolder) -> Iterator[Client]:
    with door(IngestSettings(spool=spool.path), Tokens(owner=Somebody())) as made:
        yield made


def paths_of(body: bytes) -> list[str] | str:
    """What is stored of it, or the name of the refusal."""
    try:
        batch = parse_batch(body, received_at=NOON, replaying=False)
    except (MalformedLine, MalformedBatch) as error:
        return type(error).__name__
    found: list[str] = pa.ipc.open_stream(batch.payload).read_all()["path"].to_pylist()
    return found


FIELDS = b"".join(b',"f%d":%d' % (number, number) for number in range(1_000))
CORPUS = {
    "1,000 fields": (LINE[:-2] + FIELDS + b"}\n", ["/"]),
    "an unknown deep field": (LINE[:-2] + b',"x":' + b"[" * 500 + b"]" * 500 + b"}\n", None),
    "an escaped NUL": (LINE.replace(b'"path":"/"', b'"path":"/\\u0000x"'), ["/\0x"]),
    "an emoji": (LINE.replace(b'"path":"/"', '"path":"/😀"'.encode()), ["/😀"]),
    "escaped emoji": (LINE.replace(b'"path":"/"', b'"path":"/\\ud83d\\ude00"'), ["/😀"]),
    "a lone surrogate": (LINE.replace(b'"path":"/"', b'"path":"\\udfff"'), "MalformedLine"),
    "spaces alone": (b"  \n\n", "MalformedBatch"),
    "nothing": (b"", "MalformedBatch"),
    "a byte order mark": (b"\xef\xbb\xbf" + LINE, "MalformedLine"),
    "minus zero": (LINE.replace(b'"status":200', b'"status":-0'), ["/"]),
    "a number of 5,000 digits": (
        LINE.replace(b'"status":200', b'"status":' + b"9" * 5_000), "MalformedLine",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), CORPUS.values(), ids=CORPUS.keys())
def test_taken_or_refused_with_a_reason(body: bytes, expected: list[str] | str | None) -> None:
    found = paths_of(body)
    if expected is not None:
        assert found == expected
    # And the same beside a line that is read the exact way.
    good = LINE[:-2] + SLOWLY
    beside = paths_of(good + body)
    if isinstance(found, list):
        assert beside == ["/", *found]
    elif body.strip():
        assert beside == "MalformedLine"


@pytest.mark.django_db(transaction=True)
def test_nul_bytes_are_stored_as_they_are(client: Client, spool: SpoolFolder, store: Store) -> None:
    body = LINE.replace(b'"path":"/"', b'"path":"/\\u0000x"').replace(
        b'"host":"api.example.com"', b'"host":"a\\u0000b"'
    )
    assert Sender(client).send(body).status_code == 200
    loader = Loader(spool, store, linger=0)
    while not spool.closed_segments():
        time.sleep(0.05)
    assert loader.step() == 1
    rows = ask_as_system("test", "SELECT host, path FROM requests", {}, store=store)
    assert [tuple(row) for row in rows] == [("a\0b", "/\0x")]
