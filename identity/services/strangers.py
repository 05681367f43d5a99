from __future__ import annotations

from audit.services import Outcome, Who, record_attempt
from identity.models import User
from identity.selectors import root_account
from identity.sessions import Nobody


def stranger_refused(
    *, user: User | Nobody, account_slug: str, action: str, ip: str, request_id: str
) -> None:
    """Write that somebody tried to enter an account that they do not work for.

    For the door that answers 404, after its transaction. The entry is the provider's: the
    account learns nothing of a stranger's address, nor does it matter whether it exists.
    """
    root = root_account()
    record_attempt(
        who=Who("staff", user.id, user.email, ip, request_id),
        scope=root.scope if root else None,
        action=action,
        outcome=Outcome.DENIED,
        reason="does not work for the account, or there is none",
        object_kind="account",
        object_id=account_slug,
    )
