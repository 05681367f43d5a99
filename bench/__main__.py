"""``make bench``: every figure, or ``--only name[,name]``; one JSON object a line.

A benchmark's module is imported only when it runs: each brings what it measures.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Final

from qcloud.kernel.logs import configure_logging

BENCHMARKS: Final = {
    "ingest_json": "bench.ingest",
    "ingest_columnar": "bench.ingest",
    "bytes_per_event": "bench.ingest",
    "dashboards_10m": "bench.rolled",
    "drilldown": "bench.rolled",
    "dashboards_50m": "bench.rolled_fifty",
    "agent_cpu": "bench.agent",
    "target_cpu": "bench.agent",
    "dropped": "bench.agent",
    "page_traffic": "bench.pages",
    "viewers_1000": "bench.viewers",
    "vault_seal": "bench.vault",
    "vault_unseal": "bench.vault",
    "vault_cold_calls": "bench.vault",
    "vault_rewrap": "bench.vault",
    "rules_ten": "bench.rules",
    "dns_audit": "bench.dns",
    "dns_target": "bench.dns",
    "objects_s3": "bench.agent_alone",
    "agent_idle_mb": "bench.agent_alone",
    "agent_day_mb": "bench.agent_alone",
    "switcher": "bench.accounts",
    "accounts_page": "bench.accounts",
}
"""Figure → module. A module's ``run()`` yields all of its figures in one go."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", default="", help="names, separated by commas")
    wanted = [name for name in parser.parse_args().only.split(",") if name] or list(BENCHMARKS)
    unknown = [name for name in wanted if name not in BENCHMARKS]
    if unknown:
        sys.stderr.write(f"bench: no figure named {', '.join(unknown)}; there are:\n  ")
        sys.stderr.write(", ".join(BENCHMARKS) + "\n")
        return 2
    # Standard output is the figures' alone; what goes well in between is nobody's concern.
    configure_logging(level="WARNING", log_format="console")
    for module in dict.fromkeys(BENCHMARKS[name] for name in wanted):
        for result in importlib.import_module(module).run():
            if result.name in wanted:
                sys.stdout.write(result.as_line() + "\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
