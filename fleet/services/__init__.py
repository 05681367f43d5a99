"""What changes environments, tokens, agents and object stores. Each function checks, changes
and audits.
"""

from fleet.services.agents import agent_heartbeat, agent_register, agent_remove, token_refused
from fleet.services.environments import (
    environment_capture_set,
    environment_certificates_set,
    environment_close,
    environment_create,
    environment_dns_audit_set,
    object_store_set,
)
from fleet.services.objects import object_locate, object_open
from fleet.services.stores import object_store_s3_set
from fleet.services.tokens import (
    registration_token_create,
    registration_token_reveal,
    registration_token_revoke,
)

__all__ = [
    "agent_heartbeat",
    "agent_register",
    "agent_remove",
    "environment_capture_set",
    "environment_certificates_set",
    "environment_close",
    "environment_create",
    "environment_dns_audit_set",
    "object_locate",
    "object_open",
    "object_store_s3_set",
    "object_store_set",
    "registration_token_create",
    "registration_token_reveal",
    "registration_token_revoke",
    "token_refused",
]
