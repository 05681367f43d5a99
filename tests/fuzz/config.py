"""``python -m tests.fuzz.config --seconds N``: any bytes at all as a configuration.

Whatever they are: a configuration that reads the same when it is written again, or a
``ConfigError`` whose places lie inside the text.
"""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["wire"]):
    from wire.config import ConfigError, dump_config, parse_config

from tests.fuzz.target import fuzz
from tests.wire.config.test_examples import PARTS, WHOLE, in_services

LONGEST = 4_096


def one(data: bytes) -> None:
    try:
        config = parse_config(data).config
    except ConfigError as error:
        lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\xc2\x85") + 3
        lines += data.count(b"\xe2\x80")
        for problem in error.problems:
            if not (1 <= problem.line <= lines and problem.column >= 1 and problem.message):
                raise AssertionError(f"{problem!r} is nowhere in {data!r}") from error
        return
    if parse_config(dump_config(config)).config != config:
        raise AssertionError(f"not the same when written again: {data!r}")


def main() -> None:
    seeds = [*WHOLE.values(), *(in_services(part) for part in PARTS.values())]
    bad = [
        "version: 2\nx: &a [*a]",
        "version: 2\n\tx: 1",
        "a: [",
        "? [1]\n: 2",
        "version: 2\n<<: 1",
    ]
    fuzz(one, [text.encode() for text in (*seeds, *bad)], longest=LONGEST)


if __name__ == "__main__":
    main()
