"""``qcloud bill``: usage and drafts of the running month now, instead of at the next hour."""

from __future__ import annotations

import sys

from billing.periods import month_containing
from billing.selectors.books import sellers
from billing.services.runs import run_billing
from identity.selectors import account, scope_of
from pulse.metering import recompute_touched
from qcloud.kernel.clock import now
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import scoped


def main() -> int:
    """One line a seller; 1 when a draft could not be computed."""
    sys.stdout.write(f"usage: {recompute_touched()} hours counted\n")
    failed = 0
    for seller_id in sellers():
        scope = scope_of(seller_id)
        with scoped(scope):
            seller = account(seller_id)
        period = month_containing(now(), seller.timezone)
        report = run_billing(
            actor=Actor.system("qcloud bill", scope),
            seller_id=seller_id,
            period=period.key,
            wait_seconds=60,
        )
        failed += report.count("failed")
        counts = ", ".join(
            f"{report.count(outcome)} {outcome}"
            for outcome in ("created", "changed", "unchanged", "failed")
        )
        sys.stdout.write(f"{seller.slug} {period.key}: {counts}\n")
    return 1 if failed else 0
