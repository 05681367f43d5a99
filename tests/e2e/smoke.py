"""``make smoke``: from the kernel to the invoice, without a person.

Two nodes of two customers, an agent on each, real clients that talk to servers outside.
The servers' own access logs are the truth. Each request must be found exactly once for
its own customer, in the event store and on the rendered page alike, and never for the
other; billing must count the same. The last line printed is one JSON object; exit code 0
only when all of it holds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

from qcloud.platform.environment import Ports
from qcloud.platform.folder import DataFolder
from tests.e2e import nodes
from tests.e2e.certificates import write_certificate
from tests.e2e.nodes import Node
from tests.e2e.outside import Served
from tests.e2e.platform import AgentOnNode, Platform, wait_for
from tests.e2e.portal_reader import PortalReader

HTTPS_PORT: Final = 8443
HTTP_PORT: Final = 8080
AT_LEAST: Final = {"https": 200, "http": 50}


@dataclass
class Customer:
    """One customer, its node and what was found out about its requests."""

    slug: str
    node: Node
    agent: AgentOnNode
    log: Path
    made: Counter[str] = field(default_factory=Counter)
    """Requests by path, from the servers' access log."""
    stored: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    usage: int = 0
    invoice_lines: int = 0
    invoice_total: Decimal = Decimal(0)


class Smoke:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.platform = Platform(DataFolder(folder / "data"), Ports())
        self.customers: list[Customer] = []
        self.servers: list[subprocess.Popen[bytes]] = []

    def run(self) -> dict[str, object]:
        began = time.monotonic()
        try:
            say("starting the platform")
            self.platform.start()
            say("making two nodes, each with its agent, and servers outside")
            self.prepare()
            say("making requests")
            self.make_requests()
            say("waiting until every agent's events are acknowledged and stored")
            self.wait_until_stored()
            say("usage and invoices")
            self.platform.command("bill")
            say("reading store and pages")
            self.read_everything()
            return self.verdict(time.monotonic() - began)
        finally:
            self.stop()

    def prepare(self) -> None:
        made = [Node.create(name, number) for number, name in enumerate(("node-a", "node-b"), 1)]
        certificate, key = write_certificate(
            self.folder, ["outside.example"], [node.outside for node in made]
        )
        tokens = self.platform.logins["registration_tokens"]
        for node, (slug, token) in zip(made, sorted(tokens.items()), strict=True):
            log = self.folder / f"{slug}.access.jsonl"
            log.touch()
            self.serve(node, certificate, key, log)
            agent = AgentOnNode(
                slug, node.handle, self.folder / f"agent-{slug}", self.platform, token
            )
            self.customers.append(Customer(slug, node, agent, log))
        for customer in self.customers:
            customer.agent.start()

    def serve(self, node: Node, certificate: Path, key: Path, log: Path) -> None:
        command = [sys.executable, "-m", "tests.e2e.outside", node.outside]
        command += [str(HTTPS_PORT), str(HTTP_PORT), str(certificate), str(key), str(log)]
        self.servers.append(subprocess.Popen(command, start_new_session=True))
        for port in (HTTPS_PORT, HTTP_PORT):
            wait_for(f"the server on {node.outside}:{port}", partial(_open, node, port), 20)

    def make_requests(self) -> None:
        running = []
        for customer in self.customers:
            command = [sys.executable, "-m", "tests.e2e.clients", customer.node.outside]
            command += [str(HTTPS_PORT), str(HTTP_PORT), str(self.folder / "server.pem")]
            running.append(customer.node.popen(*command, customer.slug))
        for process in running:
            if process.wait(60):
                raise RuntimeError("a client failed; see above")
        for customer in self.customers:
            served = [Served(**json.loads(line)) for line in customer.log.read_text().splitlines()]
            for scheme, least in AT_LEAST.items():
                count = sum(1 for line in served if line.scheme == scheme)
                if count < least:
                    raise RuntimeError(f"only {count} {scheme} requests were made, not {least}")
            customer.made.update(line.path for line in served)

    def wait_until_stored(self) -> None:
        """Up to 30 s; what is missing then is for the verdict to tell."""
        for customer in self.customers:
            try:
                wait_for("acknowledgement", partial(self.acknowledged, customer), 15)
                wait_for("the store", partial(self.is_stored, customer), 15, pause=0.5)
            except TimeoutError as error:
                say(f"  {customer.slug}: {error}")
        # Duplicates would come late: give them the time to.
        time.sleep(2)

    def acknowledged(self, customer: Customer) -> bool:
        done: int = customer.agent.status().get("events_acknowledged", 0)
        return done >= customer.made.total()

    def is_stored(self, customer: Customer) -> bool:
        return self.paths_in_store(customer.slug).total() >= customer.made.total()

    def paths_in_store(self, slug: str) -> Counter[str]:
        """Straight from the event store, past every line of code that reads it for pages."""
        rows = self.platform.store().query(
            "SELECT path FROM requests WHERE account_id = {account:UUID}",
            parameters={"account": self.platform.account_id(slug)},
        )
        return Counter(str(path) for (path,) in rows.result_rows)

    def read_everything(self) -> None:
        people = self.platform.logins["people"]
        for customer in self.customers:
            customer.stored = self.paths_in_store(customer.slug)
            person = people[customer.slug]
            reader = PortalReader(self.platform.web, person["email"], person["password"])
            customer.shown = reader.request_paths(customer.slug)
            customer.usage = reader.usage_requests(customer.slug)
            customer.invoice_lines, customer.invoice_total = reader.invoice(customer.slug)

    def verdict(self, seconds: float) -> dict[str, object]:
        foreign = 0
        exact = True
        for customer in self.customers:
            others: set[str] = set()
            for other in self.customers:
                if other is not customer:
                    others |= set(other.made)
            for found in (customer.stored, customer.shown):
                foreign += sum(count for path, count in found.items() if path in others)
                exact = exact and found == customer.made
                tell_difference(customer.slug, customer.made, found)
            exact = exact and customer.usage == customer.made.total()
            exact = exact and customer.invoice_lines > 0 and customer.invoice_total > 0
        return {
            "requests_made": sum(c.made.total() for c in self.customers),
            "requests_captured": sum(c.agent.status().get("exchanges", 0) for c in self.customers),
            "events_acknowledged": sum(
                c.agent.status().get("events_acknowledged", 0) for c in self.customers
            ),
            "events_stored": sum(c.stored.total() for c in self.customers),
            "portal_rows": sum(c.shown.total() for c in self.customers),
            "other_tenant_rows": foreign,
            "usage_requests": sum(c.usage for c in self.customers),
            "invoice_lines": sum(c.invoice_lines for c in self.customers),
            "invoice_total": str(sum((c.invoice_total for c in self.customers), Decimal(0))),
            "seconds": round(seconds, 1),
            "ok": exact and foreign == 0,
        }

    def stop(self) -> None:
        for customer in self.customers:
            customer.agent.stop()
        for server in self.servers:
            server.terminate()
            server.wait(10)
        self.platform.stop()


def tell_difference(slug: str, made: Counter[str], found: Counter[str]) -> None:
    """Name up to five paths on each side of a difference: where an operator would begin."""
    for title, difference in (("missing", made - found), ("not made", found - made)):
        if difference:
            some = ", ".join(sorted(difference)[:5])
            say(f"  {slug}: {difference.total()} {title}: {some}")


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _open(node: Node, port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((node.outside, port)) == 0


def main() -> int:
    nodes.enter_own_namespace("tests.e2e.smoke")
    with tempfile.TemporaryDirectory(prefix="qcloud-smoke-") as folder:
        result = Smoke(Path(folder)).run()
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
