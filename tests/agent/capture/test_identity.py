"""Which bytes belong together: reuse, copies, forks, connections older than the agent."""

from __future__ import annotations

from collections.abc import Callable

from agent.capture.source import Flow, Role
from tests.agent.capture.conftest import Recorder
from tests.agent.capture.puppet import Puppet
from tests.agent.capture.test_plain import OK, REQUEST

Record = Callable[..., Recorder]
Puppets = Callable[..., Puppet]
Pair = tuple[Puppet, Puppet]


def test_a_reused_descriptor_is_another_connection(record: Record, puppet: Puppets) -> None:
    client, server = puppet(), puppet()
    port = server.listen()
    recorder = record()
    numbers = []
    for name in (b"one", b"two"):
        client.connect(port)
        numbers.append(client.do("result = s.fileno()"))
        client.do(f"s.sendall({REQUEST % name!r})")
        server.accept()
        server.do(f"s.recv(4096); s.sendall({OK!r}); s.close()")
        client.do("s.recv(4096); s.close()")
    assert numbers[0] == numbers[1]
    first = recorder.wait_for(b"/one", Role.CLIENT)
    second = recorder.wait_for(b"/two", Role.CLIENT)
    assert first != second
    recorder.wait_closed(first)
    recorder.wait_closed(second)
    assert recorder.stream(first, Flow.SENT) == REQUEST % b"one"
    assert recorder.stream(second, Flow.SENT) == REQUEST % b"two"
    assert recorder.key_with(b"/one", Role.SERVER) != recorder.key_with(b"/two", Role.SERVER)


def test_a_copied_descriptor_is_the_same_connection(record: Record, pair: Pair) -> None:
    client, _ = pair
    recorder = record()
    client.do(f"s.sendall({REQUEST % b'copy1'!r}); other = os.dup(s.fileno()); s.close()")
    client.do(f"os.write(other, {REQUEST % b'copy2'!r})")
    key = recorder.wait_for(b"/copy2", Role.CLIENT)
    assert recorder.stream(key, Flow.SENT) == REQUEST % b"copy1" + REQUEST % b"copy2"
    assert not recorder.closed(key)
    client.do("os.close(other)")
    recorder.wait_closed(key)


def test_a_forked_worker_owns_what_it_reads(record: Record, pair: Pair) -> None:
    client, server = pair
    recorder = record()
    child = int(
        server.do(f"""
        result = os.fork()
        if not result:
            s.recv(4096); s.sendall({OK!r})
            os._exit(0)
        s.close()
        """)
    )
    client.do(f"s.sendall({REQUEST % b'fork'!r}); s.recv(4096); s.close()")
    key = recorder.wait_for(b"/fork", Role.SERVER)
    assert recorder.facts[key].pid == child
    assert recorder.stream(key, Flow.SENT) == OK
    recorder.wait_closed(key)
    server.do("os.wait()")


def test_a_plain_connection_older_than_the_agent(record: Record, pair: Pair) -> None:
    client, server = pair
    client.do(f"s.sendall({REQUEST % b'before'!r})")
    server.do("s.recv(4096)")
    recorder = record(fresh=True)
    server.do(f"s.sendall({OK!r})")
    client.do(f"s.recv(4096); s.sendall({REQUEST % b'after'!r})")
    key = recorder.wait_for(b"/after", Role.CLIENT)
    assert recorder.stream(key, Flow.RECEIVED) == OK
    assert recorder.stream(key, Flow.SENT) == REQUEST % b"after"


def test_a_tls_connection_older_than_the_agent(
    record: Record, puppet: Puppets, https_port: int
) -> None:
    client = puppet()
    client.do(f"""
        import http.client, ssl
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", {https_port}, context=context)
        connection.request("GET", "/big/3000000/before")
        response = connection.getresponse()
        response.read(1000)
    """)
    recorder = record(fresh=True)
    client.do("response.read(); connection.request('GET', '/after')")
    client.do("connection.getresponse().read()")
    key = recorder.wait_for(b"answer to /after", Role.CLIENT)
    facts = recorder.facts[key]
    assert (facts.pid, facts.tls, facts.remote_port) == (client.pid, True, https_port)
    assert recorder.stream(key, Flow.SENT).startswith(b"GET /after HTTP/1.1\r\n")
    assert recorder.stream(key, Flow.RECEIVED).startswith(b"HTTP/1.1 200 OK\r\n")
    assert recorder.key_with(b"answer to /after", Role.SERVER)


def test_forgetting_a_living_connection_gives_it_a_new_key(record: Record, pair: Pair) -> None:
    client, _ = pair
    recorder = record()
    client.do(f"s.sendall({REQUEST % b'early'!r})")
    old = recorder.wait_for(b"/early", Role.CLIENT)
    recorder.source.forget(old)
    assert recorder.source.connection(old) is None
    client.do("s.sendall(b'not the start of a message')")
    client.do(f"s.sendall({REQUEST % b'late'!r})")
    new = recorder.wait_for(b"/late", Role.CLIENT)
    assert new != old
    assert recorder.stream(new, Flow.SENT) == REQUEST % b"late"
    assert recorder.lost()["unknown_connection"] == 0
