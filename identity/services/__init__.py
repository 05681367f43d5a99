"""What changes accounts, staff and sessions. Each function checks, changes and audits."""

from identity.services.accounts import account_create, platform_create
from identity.services.branding import brand_logo_set, brand_reset, brand_set
from identity.services.delegation import (
    delegation_end,
    delegation_grant_create,
    delegation_grant_revoke,
    delegation_start,
    delegations_leave,
)
from identity.services.factors import (
    factors_of,
    factors_remove,
    second_factor,
    set_up_codes,
    set_up_finish,
    set_up_seed,
    set_up_try,
    step_up,
)
from identity.services.invitations import (
    Invited,
    invitation_accept,
    invitation_accept_new,
    invitation_by_token,
    invitation_create,
    invitation_resend,
    invitation_revoke,
)
from identity.services.lifecycle import (
    account_close,
    account_close_withdraw,
    account_resume,
    account_suspend,
)
from identity.services.mfa import (
    mfa_exempt,
    mfa_exemption_end,
    mfa_factors_reset,
    mfa_group_set,
    mfa_policy_with,
    mfa_rule_draft,
    mfa_rule_remove,
    mfa_rule_set,
)
from identity.services.passwords import (
    password_change,
    password_reset,
    password_reset_ask,
    password_reset_user,
)
from identity.services.profiles import account_profile_set, allow_list_set
from identity.services.quotas import quotas_set, room_for
from identity.services.roles import role_create, role_delete, role_update
from identity.services.sessions import (
    locked_names,
    my_session_end,
    my_sessions,
    my_sessions_end,
    name_unlock,
)
from identity.services.settings import setting_reset, settings_set
from identity.services.signin import (
    SIGN_IN,
    SIGN_OUT,
    Entered,
    break_glass_now,
    factor_demand,
    hand_over,
    sign_in,
    sign_out,
)
from identity.services.staff import staff_create, staff_remove, staff_role_set
from identity.services.takeout import takeout_open, takeout_remove, takeout_start
from identity.services.views import view_delete, view_save

__all__ = [
    "SIGN_IN",
    "SIGN_OUT",
    "Entered",
    "Invited",
    "account_close",
    "account_close_withdraw",
    "account_create",
    "account_profile_set",
    "account_resume",
    "account_suspend",
    "allow_list_set",
    "brand_logo_set",
    "brand_reset",
    "brand_set",
    "break_glass_now",
    "delegation_end",
    "delegation_grant_create",
    "delegation_grant_revoke",
    "delegation_start",
    "delegations_leave",
    "factor_demand",
    "factors_of",
    "factors_remove",
    "hand_over",
    "invitation_accept",
    "invitation_accept_new",
    "invitation_by_token",
    "invitation_create",
    "invitation_resend",
    "invitation_revoke",
    "locked_names",
    "mfa_exempt",
    "mfa_exemption_end",
    "mfa_factors_reset",
    "mfa_group_set",
    "mfa_policy_with",
    "mfa_rule_draft",
    "mfa_rule_remove",
    "mfa_rule_set",
    "my_session_end",
    "my_sessions",
    "my_sessions_end",
    "name_unlock",
    "password_change",
    "password_reset",
    "password_reset_ask",
    "password_reset_user",
    "platform_create",
    "quotas_set",
    "role_create",
    "role_delete",
    "role_update",
    "room_for",
    "second_factor",
    "set_up_codes",
    "set_up_finish",
    "set_up_seed",
    "set_up_try",
    "setting_reset",
    "settings_set",
    "sign_in",
    "sign_out",
    "staff_create",
    "staff_remove",
    "staff_role_set",
    "step_up",
    "takeout_open",
    "takeout_remove",
    "takeout_start",
    "view_delete",
    "view_save",
]
