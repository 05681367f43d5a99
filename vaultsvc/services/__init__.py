"""What changes keys: rotation, sealing anew, shredding. Each checks, changes and audits."""

from vaultsvc.services.runs import key_rewrap_start, key_rotate_start, run_carry_on
from vaultsvc.services.shredding import account_shred
from vaultsvc.services.signing import signing_key_rotate

__all__ = [
    "account_shred",
    "key_rewrap_start",
    "key_rotate_start",
    "run_carry_on",
    "signing_key_rotate",
]
