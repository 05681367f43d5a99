"""``make drill``: kill everything at random under load, then count.

Agents of two customers send; every few seconds one process of the platform is killed with
SIGKILL, and the supervisor starts it again. In the end each acknowledged event must be in the
event store exactly once, and in the usage that invoices are made of. The last line printed
is one JSON object; exit code 0 only when all of it holds. ``DRILL_SECONDS`` is how long it
is killed (600), ``DRILL_SEED`` repeats the order of another run.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import psutil
import psycopg
from clickhouse_connect.driver.exceptions import ClickHouseError

from qcloud.platform import postgres
from qcloud.platform.environment import Ports, postgres_of
from qcloud.platform.folder import DataFolder
from tests.e2e.platform import Platform, wait_for
from tests.e2e.senders import EVENTS, Sender

VICTIMS: Final = ("ingest", "loader", "eventstore", "worker", "beat", "redis", "postgres")
SENDERS: Final = 2
"""Of each customer."""
STORED_SECONDS: Final = 180.0
COUNTED_SECONDS: Final = 180.0
_LONG: Final = 180.0


class Drill:
    def __init__(self, folder: Path, ports: Ports, *, seconds: float, seed: int) -> None:
        self.platform = Platform(DataFolder(folder / "data"), ports)
        self.seconds = seconds
        self.seed = seed
        self.kills: Counter[str] = Counter()
        self.senders: list[Sender] = []
        self._chance = random.Random(seed)  # noqa: S311  chance, not a secret

    def run(self) -> dict[str, object]:
        began = time.monotonic()
        say(f"seed {self.seed}; starting the platform")
        try:
            self.platform.start()
            self.start_senders()
            self.kill_at_random()
            say("no more kills; waiting for the last acknowledgements")
            self.stop_senders()
            self.wait_until_counted()
            return self.verdict(time.monotonic() - began)
        finally:
            for sender in self.senders:
                sender.stopping.set()
            self.platform.stop()

    def start_senders(self) -> None:
        for slug, token in sorted(self.platform.logins["registration_tokens"].items()):
            self.senders += [
                Sender(self.platform.ingest, slug, token, f"{self.seed}-{slug}-{number}")
                for number in range(SENDERS)
            ]
        for sender in self.senders:
            sender.start()

    def kill_at_random(self) -> None:
        # Long enough apart in a long run that the supervisor does not pause ever longer.
        apart = 10.0 if self.seconds > _LONG else 4.0
        deadline = time.monotonic() + self.seconds
        for name in self._order():
            pause = apart * (0.5 + self._chance.random())
            if time.monotonic() + pause > deadline:
                return
            time.sleep(pause)
            self.kill(name)
            if any(sender.wrong for sender in self.senders):
                return

    def kill(self, name: str) -> None:
        """With everything it started, as a crash of its host would; if it is up now."""
        for process in self._children():
            if _name_of(process) == name:
                os.killpg(process.pid, signal.SIGKILL)
                self.kills[name] += 1
                say(f"killed {name}")
                return
        say(f"{name} is down already")

    def stop_senders(self) -> None:
        for sender in self.senders:
            sender.stopping.set()
        for sender in self.senders:
            sender.join(120)

    def wait_until_counted(self) -> None:
        """What is missing in the end is for the verdict to tell."""
        try:
            wait_for("the store", self._is_stored, STORED_SECONDS, pause=1)
            wait_for("usage", self._is_counted, COUNTED_SECONDS, pause=1)
        except TimeoutError as error:
            say(str(error))

    def verdict(self, seconds: float) -> dict[str, object]:
        wanted = self.acknowledged()
        events, distinct = self.stored()
        lost = {batch: n - distinct[batch] for batch, n in wanted.items() if distinct[batch] < n}
        doubled = {b: n - distinct[b] for b, n in events.items() if n > distinct[b]}
        unknown = events.keys() - wanted.keys()
        for title, found in (("lost", lost), ("doubled", doubled), ("unknown", unknown)):
            if found:
                say(f"{title}: {', '.join(sorted(found)[:10])}")
        usage, by_account = self.usage(), self.by_account()
        wrong = [reason for sender in self.senders for reason in sender.wrong]
        waiting = [sender.label for sender in self.senders if sender.is_alive()]
        return {
            "seed": self.seed,
            "seconds": round(seconds, 1),
            "kills": dict(self.kills),
            "batches_acknowledged": sum(sender.batches for sender in self.senders),
            "batches_sent_again": sum(sender.again for sender in self.senders),
            "answers": dict(sum((sender.answers for sender in self.senders), Counter[str]())),
            "events_acknowledged": sum(wanted.values()),
            "events_stored": sum(events.values()),
            "usage_requests": sum(usage.values()),
            "lost": sum(lost.values()),
            "doubled": sum(doubled.values()),
            "not_sent": len(unknown),
            "wrong_answers": wrong[:3],
            "ok": not (lost or doubled or unknown or wrong or waiting)
            and usage == by_account
            and sum(wanted.values()) > 0
            and set(self.kills) == set(VICTIMS),
        }

    def acknowledged(self) -> Counter[str]:
        """Events by batch."""
        return Counter(
            {
                f"/{sender.label}/{number}": EVENTS
                for sender in self.senders
                for number in range(1, sender.batches + 1)
            }
        )

    def by_account(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for sender in self.senders:
            found[sender.slug] += sender.batches * EVENTS
        return found

    def stored(self) -> tuple[Counter[str], Counter[str]]:
        """Events by batch, and how many of them differ."""
        store = self.platform.store()
        rows = store.query(
            "SELECT arrayStringConcat(arraySlice(splitByChar('/', path), 1, 3), '/') AS batch,"
            " count(), uniqExact(path, request_id) FROM requests GROUP BY batch"
        ).result_rows
        store.close()
        return Counter({r[0]: r[1] for r in rows}), Counter({r[0]: r[2] for r in rows})

    def usage(self) -> Counter[str]:
        server = postgres_of(self.platform.folder)
        with server.connect(postgres.SUPERUSER, postgres.DATABASE) as database:
            rows = database.execute(
                "SELECT slug, sum(requests)::bigint FROM pulse_usagehour"
                " JOIN identity_account a ON a.id = pulse_usagehour.account_id GROUP BY slug"
            ).fetchall()
        return Counter({str(slug): int(str(requests)) for slug, requests in rows})

    def _is_stored(self) -> bool:
        try:
            return self.stored()[0].total() >= self.acknowledged().total()
        except ClickHouseError:
            # The last one that was killed may be the store itself.
            return False

    def _is_counted(self) -> bool:
        try:
            return self.usage() == self.by_account()
        except psycopg.OperationalError:
            return False

    def _order(self) -> Iterator[str]:
        """Each in turn, in an order that changes from turn to turn."""
        while True:
            yield from self._chance.sample(VICTIMS, len(VICTIMS))

    def _children(self) -> list[psutil.Process]:
        if self.platform.process is None:
            raise RuntimeError("the platform does not run")
        return psutil.Process(self.platform.process.pid).children()


def _name_of(process: psutil.Process) -> str:
    """As in ``VICTIMS``; empty for another process."""
    try:
        ours = process.environ().get("QCLOUD_PROCESS", "")
        command = process.cmdline()
    except psutil.Error:
        return ""
    program = Path(command[0]).name.split(" ")[0] if command else ""
    return ours or {"postgres": "postgres", "redis-server": "redis"}.get(program, "")


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> int:
    seconds = float(os.environ.get("DRILL_SECONDS", "600"))
    seed = int(os.environ.get("DRILL_SEED", secrets.randbelow(1_000_000)))
    run = partial(Drill, ports=Ports(), seconds=seconds, seed=seed)
    with tempfile.TemporaryDirectory(prefix="qcloud-drill-") as folder:
        result = run(Path(folder)).run()
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
