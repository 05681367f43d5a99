"""``qcloud-agent doctor``: what works here and what does not, tried, not guessed."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from agent.capture.errors import BpfError, CaptureUnavailable
from agent.config.source import SourceError, source_of
from agent.containers.base import RuntimeUnavailable
from agent.containers.lookup import runtimes
from agent.counters import Counters
from agent.options import read_secret
from agent.stores.base import ObjectStore, StoreContext, StoreError
from agent.stores.registry import OBJECT_STORES
from agent.stores.s3.store import TEST_OBJECT
from agent.stores.s3.transport import Transport
from agent.system import system_info
from agent.uplink.client import Client, EndpointError, UnreachableError, seconds_ahead
from wire.config import Config, ConfigError, EventStore, parse_config
from wire.config import ObjectStore as ObjectStoreConfig
from wire.objects import object_digest
from wire.protocol import CONFIG_PATH

Outcome = Literal["good", "warning", "bad"]
CLOCK_SECONDS: Final = 60.0
"""Off by more than this: events and other logs no longer fit. S3 refuses at 15 minutes."""
FREE_BYTES: Final = 1024 * 1024 * 1024

GOOD: Final = 0
BAD: Final = 3


class Check(msgspec.Struct, omit_defaults=True):
    what: str
    outcome: Outcome
    found: str
    todo: str = ""
    milliseconds: float = 0.0


Checks = Iterator[Check]


def doctor(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> int:
    """Print what was found; 0: the agent can work here, 3: something is bad."""
    checks = [*kernel(), *probes(options.probes)]
    config, problems = _configuration(options.config)
    checks += problems
    if config is not None:
        checks += stores(config, environment)
    checks += containers(options)
    checks += disk(options.data_dir)
    bad = any(check.outcome == "bad" for check in checks)
    sys.stdout.write(_json(checks, bad=bad) if options.format == "json" else _text(checks, bad=bad))
    return BAD if bad else GOOD


# -- capture ---------------------------------------------------------------------------


def kernel() -> Checks:
    from agent.capture.doctor import examine

    system = system_info()
    btf = "with BTF" if system.btf else "without BTF"
    yield Check("kernel", "good" if system.btf else "bad", f"{system.kernel_release} "
                f"{system.architecture}, {btf}")  # fmt: skip
    for finding in examine():
        yield Check(finding.what, "bad", finding.why, finding.todo)


def probes(wanted: bool) -> Checks:  # noqa: FBT001  the flag as it comes
    """Every family loaded and attached, then taken off again."""
    if not wanted:
        return
    from agent.capture.kernel import KernelSource
    from agent.capture.settings import CaptureSettings

    began = time.monotonic()
    try:
        source = KernelSource.open(CaptureSettings())
    except (CaptureUnavailable, BpfError) as error:
        yield Check("probes", "bad", str(error), "See above; then run `qcloud-agent doctor` again.")
        return
    try:
        states = source.probes()
    finally:
        source.close()
    spent = _since(began)
    for state in states:
        if state.active:
            yield Check(f"probes {state.family}", "good", "loaded and attached", "", spent)
        else:
            yield Check(f"probes {state.family}", "warning", state.reason,
                        "The other families work without it.")  # fmt: skip


# -- stores ----------------------------------------------------------------------------


def _configuration(where: str) -> tuple[Config | None, list[Check]]:
    if not where:
        return None, []
    try:
        config = parse_config(source_of(where).read() or b"").config
    except SourceError as error:
        return None, [Check("configuration", "bad", str(error), "Correct --config.")]
    except ConfigError as error:
        found = f"{where} has {len(error.problems)} mistakes"
        return None, [Check("configuration", "bad", found, f"Run `qcloud-agent validate {where}`.")]
    return config, [Check("configuration", "good", f"{where} can be used")]


def stores(config: Config, environment: Mapping[str, str]) -> Checks:
    for event_store in config.services.event_stores:
        if event_store.type == "pulse":
            yield from _pulse(event_store, environment)
    context = StoreContext(Counters(), environment)
    for object_store in config.services.object_stores:
        if object_store.type in OBJECT_STORES and object_store.type != "stdout":
            yield from _objects(object_store, context)
        if object_store.type == "s3":
            yield from _s3_clock(object_store)


def _objects(config: ObjectStoreConfig, context: StoreContext) -> Checks:
    """The test object stored and read back."""
    what = f"object store {config.name}"
    began = time.monotonic()
    try:
        store = OBJECT_STORES[config.type](config, context)
    except StoreError as error:
        yield Check(what, "bad", str(error))
        return
    try:
        store.check()
        yield _read_back(store, what, began)
    except StoreError as error:
        yield Check(what, "bad", f"{error.reason}: {error}", "", _since(began))
    finally:
        store.close()


def _read_back(store: ObjectStore, what: str, began: float) -> Check:
    """Raises ``StoreError`` where the test object is refused, or gets lost."""
    digest = object_digest(TEST_OBJECT)
    store.put(digest, TEST_OBJECT)
    where = f", {store.url(digest)}" if store.url(digest) else ""
    try:
        store.get(digest)
    except StoreError as error:
        if error.reason != "access-denied":
            raise
        found = f"the test object is stored{where}; it may not be read with these credentials"
        return Check(what, "good", found, "", _since(began))
    return Check(what, "good", f"the test object is stored and read back{where}", "", _since(began))


def _pulse(store: EventStore, environment: Mapping[str, str]) -> Checks:
    """Reached, its clock read; nothing is registered by a look."""
    what = f"event store {store.name}"
    began = time.monotonic()
    insecure = store.allow_insecure or store.address.startswith("http://")
    # The option's file is the run command's; its variable holds for both.
    ca_file = store.ca_file or environment.get("REGISTRATION_CA_FILE", "")
    try:
        client = Client(
            store.address, ca_file=Path(ca_file) if ca_file else None, allow_insecure=insecure,
            read_seconds=10.0, environment=environment,
        )  # fmt: skip
        try:
            answer = client.call("GET", CONFIG_PATH, token="")
        finally:
            client.close()
    except (EndpointError, UnreachableError) as error:
        yield Check(what, "bad", str(error), "Check the address, name resolution and firewall.",
                    _since(began))  # fmt: skip
        return
    if answer.status != 401 or not answer.error().code:
        yield Check(what, "bad", f"{store.address} answers {answer.status}: it is no platform",
                    "Correct the store's url.", _since(began))  # fmt: skip
    else:
        yield Check(what, "good", f"{store.address} answers", "", _since(began))
    yield from _token(store, environment)
    yield from clock(answer.date, store.address)


def _token(store: EventStore, environment: Mapping[str, str]) -> Checks:
    token = store.token
    if token is None or token.type == "text":
        return
    try:
        known = read_secret(environment, token.value)
    except OSError as error:
        yield Check("token", "bad", f"{token.value}_FILE: {error}", "Let the agent read it.")
        return
    if not known:
        yield Check("token", "warning", f"{token.value} is not set here",
                    "Needed until the agent is registered.")  # fmt: skip


def clock(date: str, whose: str) -> Checks:
    """``date``: as HTTP writes it."""
    off = seconds_ahead(date)
    if off is None:
        return
    good = abs(off) <= CLOCK_SECONDS
    yield Check("clock", "good" if good else "bad", f"{abs(off):.0f} s off that of {whose}",
                "" if good else "Set this machine's clock; let chrony keep it.")  # fmt: skip


def _s3_clock(config: ObjectStoreConfig) -> Checks:
    scheme = "http" if config.insecure else "https"
    transport = Transport(ca_file=config.ca_file, insecure=config.insecure)
    try:
        answer = transport.send("HEAD", f"{scheme}://{config.endpoint}/", {})
    except StoreError:
        return  # it was told of with the store
    finally:
        transport.close()
    yield from clock(answer.headers.get("date", ""), config.endpoint)


# -- around ----------------------------------------------------------------------------


def containers(options: argparse.Namespace) -> Checks:
    for runtime in runtimes(options.docker_socket_endpoint, options.cri_runtime_socket_endpoint):
        began = time.monotonic()
        try:
            found = runtime.containers()
        except RuntimeUnavailable as error:
            yield Check("container runtime", "warning", str(error),
                        "Names of containers and pods will be missing.", _since(began))  # fmt: skip
        else:
            text = f"{runtime.socket} knows {len(found)} containers"
            yield Check("container runtime", "good", text, "", _since(began))


def disk(folder: Path) -> Checks:
    """Of the data folder, or of what is there above it."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    found = f"{free // 2**20} MiB free for {folder}"
    if not os.access(there, os.W_OK):
        yield Check("disk", "bad", f"{there} cannot be written", "Set --data-dir to a folder "
                    "that can.")  # fmt: skip
    elif free < FREE_BYTES:
        yield Check("disk", "warning", found, "Make room, or lower --spool-limit.")
    else:
        yield Check("disk", "good", found)


# -- telling ---------------------------------------------------------------------------


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


def _text(checks: list[Check], *, bad: bool) -> str:
    marks = {"good": "ok  ", "warning": "warn", "bad": "BAD "}
    lines = []
    for check in checks:
        spent = f" ({check.milliseconds:.0f} ms)" if check.milliseconds else ""
        lines.append(f"{marks[check.outcome]} {check.what}: {check.found}{spent}")
        if check.todo:
            lines.append(f"     {check.todo}")
    verdict = "The agent cannot work here as it is." if bad else "Nothing is missing."
    return "".join(f"{line}\n" for line in [*lines, verdict])


def _json(checks: list[Check], *, bad: bool) -> str:
    return msgspec.json.encode({"ok": not bad, "checks": checks}).decode() + "\n"
