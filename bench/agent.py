"""``agent_cpu``, ``target_cpu``, ``dropped``: what capture costs, at 2,000 exchanges a second.

A client and a server exchange small HTTPS messages inside a namespace, alternately with an
agent that captures them (bodies off, events to a real platform) and with none. CPU time is
the kernel's own account of each thread or process, so what else the machine does counts
only as noise; the median of the repetitions is reported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import django
import psutil

from bench.result import Result
from qcloud.kernel.permissions import Actor
from qcloud.platform.environment import Ports, environment
from qcloud.platform.folder import DataFolder
from tests.e2e import nodes
from tests.e2e.certificates import write_certificate
from tests.e2e.platform import AgentOnNode, Platform, wait_for

RATE: Final = 2_000
SECONDS: Final = 5.0
REPETITIONS: Final = 5
PORT: Final = 9443


class Cost(NamedTuple):
    """CPU time by exchange, in microseconds."""

    targets: float
    agent: float
    exchanges: int


def run() -> Iterable[Result]:
    """Yields the three figures. Needs root: it makes namespaces and loads probes."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.agent"], stdout=subprocess.PIPE, text=True, check=True
    )
    for line in done.stdout.splitlines():
        yield Result(**json.loads(line))


def main() -> None:
    nodes.enter_own_namespace("bench.agent")
    with tempfile.TemporaryDirectory(prefix="qcloud-bench-") as name:
        folder = Path(name)
        platform = Platform(DataFolder(folder / "data"), Ports())
        platform.start()
        try:
            for result in measure(platform, folder):
                sys.stdout.write(json.dumps(asdict(result)) + "\n")
        finally:
            platform.stop()


def measure(platform: Platform, folder: Path) -> Iterator[Result]:
    node = nodes.Node.create("bench", 9)
    certificate, key = write_certificate(folder, ["bench.example"], [node.address])
    slug, token = next(iter(platform.logins["registration_tokens"].items()))
    without_bodies(platform, slug)
    agent = AgentOnNode(slug, node.handle, folder / "agent", platform, token)
    with serving(node, certificate, key) as server:
        without, with_agent, missing = [], [], 0
        for _ in range(REPETITIONS):
            without.append(load(node, certificate, server, None))
            agent.start()
            with_agent.append(load(node, certificate, server, agent))
            missing += not_reported(agent, with_agent[-1].exchanges)
            agent.stop()
    plain = median(cost.targets for cost in without)
    tapped = median(cost.targets for cost in with_agent)
    cpu = median(cost.agent for cost in with_agent)
    yield Result("agent_cpu", cpu, "µs/exchange", None, None, REPETITIONS)
    yield Result("target_cpu", tapped - plain, "µs/exchange", plain, tapped / plain, REPETITIONS)
    yield Result("dropped", float(missing), "exchanges", None, None, REPETITIONS)


def without_bodies(platform: Platform, slug: str) -> None:
    """Set the environment's capture level as its Configuration page does."""
    os.environ.update(environment(platform.folder, platform.ports))
    django.setup()
    from fleet.selectors import environments
    from fleet.services import environment_capture_set
    from identity.selectors import account_by_slug

    account = account_by_slug(slug)
    if account is None:
        raise LookupError(f"no account {slug}")
    (production,) = environments(account.scope)
    environment_capture_set(
        actor=Actor.system("bench", account.scope),
        environment_id=production.id,
        capture_level="none",
    )


@contextmanager
def serving(node: nodes.Node, certificate: Path, key: Path) -> Iterator[subprocess.Popen[str]]:
    command = ["ip", "netns", "exec", node.name, sys.executable, "-m", "bench.load", "server"]
    command += [node.address, str(PORT), str(certificate), str(key)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(1)
        yield process
    finally:
        process.terminate()
        process.wait(10)


def load(
    node: nodes.Node, ca: Path, server: subprocess.Popen[str], agent: AgentOnNode | None
) -> Cost:
    """One run of ``SECONDS``; the server's threads and the client report for themselves."""
    before = agent_seconds(agent)
    command = ["ip", "netns", "exec", node.name, sys.executable, "-m", "bench.load", "client"]
    command += [node.address, str(PORT), str(ca), str(RATE), str(SECONDS)]
    client = json.loads(subprocess.check_output(command, text=True))
    reports = [client]
    while sum(report["exchanges"] for report in reports[1:]) < client["exchanges"]:
        reports.append(json.loads(next(iter(server.stdout or ()))))
    exchanges: int = client["exchanges"]
    if agent:
        wait_for("the agent to catch up", lambda: seen(agent) >= exchanges, 10)
    targets = sum(report["cpu_seconds"] for report in reports) / exchanges * 1e6
    # Client and server are on the same node: the agent sees, links and reports each exchange
    # twice, once from each end. Both are counted into the cost of one.
    used = (agent_seconds(agent) - before) / exchanges * 1e6
    return Cost(targets, used, exchanges)


def seen(agent: AgentOnNode) -> int:
    found: int = agent.status().get("exchanges", 0)
    return found


def agent_seconds(agent: AgentOnNode | None) -> float:
    if agent is None or agent.process is None:
        return 0.0
    times = psutil.Process(agent.process.pid).cpu_times()
    return times.user + times.system


def not_reported(agent: AgentOnNode, exchanges: int) -> int:
    """Exchanges that happened, by the load's own count, and are in no event of either end."""
    wait_for("both ends", lambda: seen(agent) >= 2 * exchanges or settled(agent), 10)
    return 2 * exchanges - seen(agent)


def settled(agent: AgentOnNode) -> bool:
    before = seen(agent)
    time.sleep(2)
    return seen(agent) == before


if __name__ == "__main__":
    main()
