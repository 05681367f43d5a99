"""Settings of the running platform: declared by rooms, changed on pages, read everywhere.

A room declares its settings in ``<room>/policies.py``; every process imports these files at
start. What is in force is, in this order: the environment variable named after the setting
(``identity.session.idle_cloud`` → ``QCLOUD_IDENTITY_SESSION_IDLE_CLOUD``; it fixes the value
and pages say so), what a cloud administrator stored, the default in the code.

``value(SETTING)`` is typed and costs no query but one a second and process: a change holds
at once in the process that made it and within ``MAX_AGE`` seconds in every other one.
Changing is ``identity.services.settings``: permission, validation, audit.
"""

from qcloud.kernel.settings import kinds
from qcloud.kernel.settings.kinds import NOT_A_LIMIT, Network
from qcloud.kernel.settings.registry import (
    Candidate,
    Group,
    Setting,
    check_environment,
    choice,
    declared,
    duration,
    email,
    flag,
    groups,
    host,
    integer,
    limit,
    named,
    networks,
    secret,
    text,
)
from qcloud.kernel.settings.stored import (
    MAX_AGE,
    InForce,
    Source,
    forget,
    in_force,
    lock_writers,
    store,
    unset,
    value,
)

__all__ = [
    "MAX_AGE",
    "NOT_A_LIMIT",
    "Candidate",
    "Group",
    "InForce",
    "Network",
    "Setting",
    "Source",
    "check_environment",
    "choice",
    "declared",
    "duration",
    "email",
    "flag",
    "forget",
    "groups",
    "host",
    "in_force",
    "integer",
    "kinds",
    "limit",
    "lock_writers",
    "named",
    "networks",
    "secret",
    "store",
    "text",
    "unset",
    "value",
]
