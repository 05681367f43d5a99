"""What looks at traffic for people: issues and alerts, started by the beat each minute."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import structlog
from celery import shared_task

from identity.selectors import scope_of
from pulse.alerts.evaluating import accounts_with_rules, enabled_rules, evaluate
from pulse.errors import StoreUnavailable
from pulse.inventory.looking import look
from pulse.issues.scan import scan
from pulse.store.certificates import certificate_accounts
from pulse.store.endpoints import active_accounts
from pulse.store.filters import micros
from pulse.store.reports import reporting_accounts
from qcloud.kernel.clock import now
from qcloud.kernel.errors import NotFound

log = structlog.get_logger(__name__)


@shared_task
def find_issues() -> int:
    """A task for each account with traffic, so that one cannot delay another."""
    try:
        since = micros(now() - timedelta(minutes=15))
        reporting = set(reporting_accounts(since))
        accounts = {*active_accounts(since), *reporting, *certificate_accounts(now())}
    except StoreUnavailable as error:
        # The next minute tries again; a trace a minute would say no more than this line.
        log.warning("issues not looked for", reason=error.message)
        return 0
    for account_id in sorted(accounts):
        find_issues_of.delay(str(account_id), reports=account_id in reporting)
    return len(accounts)


@shared_task
def find_issues_of(account_id: str, *, reports: bool = True) -> int:
    """Look at one account; issues that were touched. Twice gives the same as once."""
    try:
        return scan(scope_of(UUID(account_id)), now(), reports=reports)
    except StoreUnavailable as error:
        log.warning("issues not looked for", account=account_id, reason=error.message)
    except NotFound:
        log.info("events of an account that is gone", account=account_id)
    return 0


@shared_task
def note_vendors() -> int:
    """A task for each account with traffic: third parties into its register."""
    try:
        accounts = active_accounts(micros(now() - timedelta(minutes=15)))
    except StoreUnavailable as error:
        log.warning("third parties not looked for", reason=error.message)
        return 0
    for account_id in accounts:
        note_vendors_of.delay(str(account_id))
    return len(accounts)


@shared_task
def note_vendors_of(account_id: str) -> int:
    """Look at one account; sightings that are new. Twice gives the same as once."""
    try:
        return look(scope_of(UUID(account_id)), now())
    except StoreUnavailable as error:
        log.warning("third parties not looked for", account=account_id, reason=error.message)
    except NotFound:
        log.info("events of an account that is gone", account=account_id)
    return 0


@shared_task
def evaluate_alerts() -> int:
    """A task for each account that has rules."""
    accounts = accounts_with_rules()
    for account_id in accounts:
        evaluate_alerts_of.delay(str(account_id))
    return len(accounts)


@shared_task
def evaluate_alerts_of(account_id: str) -> int:
    """Bring one account's rules up to now; minutes judged. Twice gives the same as once."""
    scope = scope_of(UUID(account_id))
    return sum(evaluate(scope, rule_id, now()) for rule_id in enabled_rules(scope))
