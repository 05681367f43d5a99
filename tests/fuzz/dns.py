"""``python -m tests.fuzz.dns --seconds N``: any bytes as a DNS message and as a TCP stream.

Whatever they are: a message whose texts are bounded, or a ``DnsError`` with a word; and a
stream that holds no more than one message.
"""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["agent.dns"]):
    from agent.dns.message import MAX_ANSWERS, addresses_of, aliases_of, parse_message
    from agent.dns.names import DnsError
    from agent.dns.stream import Stream

from tests.agent.dns.packets import Answer, a, cname, query, response
from tests.fuzz.target import fuzz

LONGEST = 2_048
_LONGEST_NAME = 1_024
_LONGEST_HELD = 65_537


def one(data: bytes) -> None:
    stream = Stream()
    messages = [data, *stream.feed(data[: len(data) // 2]), *stream.feed(data[len(data) // 2 :])]
    if len(stream._held) > _LONGEST_HELD:
        raise AssertionError(f"{len(stream._held)} bytes are held")
    for message in messages:
        _read(message)


def _read(data: bytes) -> None:
    try:
        found = parse_message(data)
    except DnsError as error:
        if not (isinstance(error.args[0], str) and error.args[0]):
            raise AssertionError(f"no reason for {data!r}") from error
        return
    texts = [found.question.name] if found.question else []
    texts += [text for record in found.answers for text in (record.name, record.value)]
    texts += addresses_of(found) + aliases_of(found)
    if len(found.answers) > MAX_ANSWERS or any(len(text) > _LONGEST_NAME + 6 for text in texts):
        raise AssertionError(f"not bounded: {data!r}")


def main() -> None:
    answers = [
        cname("shop.example", "x.example"), a("x.example"), Answer("x.example", 28, bytes(16)),
        Answer("x.example", 15, [b"\0\1", "mx.example"]), Answer("x.example", 2, ["ns.example"]),
        Answer("x.example", 33, [bytes(6), "srv.example"]), Answer("x.example", 16, b"\3abc"),
        Answer("x.example", 6, ["ns.example", "root.example", bytes(20)]),
        Answer("x.example", 65, [b"\0\1", "w.example", b"\0\1\0\3\2h2\0\4\0\4\1\2\3\4"]),
    ]  # fmt: skip
    seeds = [query(), query(".", 255, edns=True), response(answers=answers, edns=True),
             response(truncated=True), response(answers=answers[:2], compress=False)]  # fmt: skip
    seeds += [len(seed).to_bytes(2) + seed for seed in seeds]
    fuzz(one, seeds, longest=LONGEST)


if __name__ == "__main__":
    main()
