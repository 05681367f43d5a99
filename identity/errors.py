from __future__ import annotations

from datetime import datetime

from qcloud.kernel.errors import Conflict, Denied, QCloudError


class SignInRefused(QCloudError):
    """``identity.sign_in_refused``, 403: the same words whatever the cause was."""

    def __init__(self) -> None:
        super().__init__(
            "identity.sign_in_refused",
            403,
            "This e-mail address and password do not match. Check both and try again.",
        )


class SignInUnavailable(QCloudError):
    """``identity.sign_in_unavailable``, 503: attempts cannot be counted, so none is allowed."""

    def __init__(self) -> None:
        super().__init__(
            "identity.sign_in_unavailable",
            503,
            "Signing in is not possible at the moment: the platform cannot count attempts."
            " Whoever is signed in works on. Try again in a minute.",
        )


class SignInThrottled(QCloudError):
    """``identity.sign_in_throttled``, 429: too many attempts, from one address or on one name."""

    def __init__(self) -> None:
        super().__init__(
            "identity.sign_in_throttled",
            429,
            "Too many attempts. Wait five minutes and try again.",
            retry_after_seconds=300,
        )


class NoPortal(QCloudError):
    """``identity.no_portal``, 403: the password was right and the person has no account here."""

    def __init__(self, *, anywhere: bool) -> None:
        super().__init__(
            "identity.no_portal",
            403,
            "You work for no account of this portal. Sign in to the portal of your account."
            if anywhere
            else "You are not a member of any account (any more).",
        )


class QuotaReached(Conflict):
    """``identity.quota_reached``, 409: there is no room for one more; says who can make some."""

    def __init__(self, message: str, *, quota: str, limit: int) -> None:
        super().__init__(message, code="identity.quota_reached", quota=quota, limit=limit)


class WrongPlace(Denied):
    """``identity.wrong_network``, 403: the account is not entered from this address."""

    def __init__(self, ip: str) -> None:
        super().__init__(
            f"This account cannot be entered from {ip or 'an unknown address'}: its owners allow"
            " other networks alone. Come from one of them, or ask an owner to add yours.",
            code="identity.wrong_network",
            ip=ip,
        )


class CodeRefused(QCloudError):
    """``identity.code_refused``, 403: the same words for wrong, used and hasty codes."""

    def __init__(self) -> None:
        super().__init__(
            "identity.code_refused",
            403,
            "This code was not taken: it is wrong, was used before, or came too soon after a"
            " wrong one. Wait for the next code and try it.",
        )


class StepUpRefused(QCloudError):
    """``identity.step_up_refused``, 403."""

    def __init__(self) -> None:
        super().__init__(
            "identity.step_up_refused",
            403,
            "This does not prove that it is you. A code counts once: wait for the next one.",
        )


class SetUpNotDue(QCloudError):
    """``identity.set_up_not_due``, 409: a later step was asked for before an earlier one."""

    def __init__(self) -> None:
        super().__init__(
            "identity.set_up_not_due",
            409,
            "There is no authenticator app yet. Begin with its QR code.",
        )


class InvitationUnknown(QCloudError):
    """``identity.invitation_unknown``, 404: no invitation has this link, and never had."""

    def __init__(self) -> None:
        super().__init__(
            "identity.invitation_unknown",
            404,
            "This link is no invitation. Copy the whole address from the mail, or ask whoever"
            " invited you to send it again.",
        )


class InvitationClosed(QCloudError):
    """``identity.invitation_closed``, 410: used, withdrawn or expired; the message says which."""

    def __init__(self, state: str, expires_at: datetime, inviter: str) -> None:
        words = {
            "accepted": "This invitation was accepted already; its link worked once."
            " Sign in as usual.",
            "withdrawn": f"This invitation was withdrawn. Ask {inviter} for another.",
            "expired": f"This invitation expired on {expires_at:%d %B %Y at %H:%M} UTC."
            f" Ask {inviter} to send it again.",
        }
        super().__init__("identity.invitation_closed", 410, words[state], state=state)


class ResetLinkSpent(QCloudError):
    """``identity.reset_link_spent``, 410: used, too old, or never given out."""

    def __init__(self) -> None:
        super().__init__(
            "identity.reset_link_spent",
            410,
            "This link does not work (any more): it works once and for an hour. Ask for a new one.",
        )


class LocalSignInOff(QCloudError):
    """``identity.local_sign_in_off``, 403: the same for everybody, before any password."""

    def __init__(self, portal_has_one: bool) -> None:  # noqa: FBT001  one fact
        super().__init__(
            "identity.local_sign_in_off",
            403,
            "Signing in with a password is switched off. An operator of the platform can open the"
            " break-glass door (QCLOUD_BREAK_GLASS=1)."
            if portal_has_one
            else "Signing in with a password is not possible in this portal.",
        )
