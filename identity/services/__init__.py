"""What changes accounts, staff and sessions. Each function checks, changes and audits."""

from identity.services.accounts import (
    account_create,
    account_resume,
    account_suspend,
    platform_create,
)
from identity.services.settings import setting_reset, settings_set
from identity.services.signin import SIGN_IN, SIGN_OUT, Entered, sign_in, sign_out
from identity.services.staff import staff_create, staff_remove, staff_role_set

__all__ = [
    "SIGN_IN",
    "SIGN_OUT",
    "Entered",
    "account_create",
    "account_resume",
    "account_suspend",
    "platform_create",
    "setting_reset",
    "settings_set",
    "sign_in",
    "sign_out",
    "staff_create",
    "staff_remove",
    "staff_role_set",
]
