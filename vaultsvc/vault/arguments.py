"""The arguments of ``qcloud vault bootstrap``, apart from what carries them out: reading a
command line must not cost the import of a Vault client.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    parser.add_argument(
        "--ids", metavar="FOLDER", type=Path, help="write role ids and secret ids there, 0600"
    )
    parser.add_argument("--new-ids", action="store_true", help="replace secret ids that are there")
    parser.add_argument(
        "--wrap", metavar="SECONDS", type=int, help="write secret ids wrapped: each opens once"
    )
    parser.add_argument(
        "--import-secrets",
        action="store_true",
        help="put the platform's secrets of this environment into Vault",
    )
    parser.add_argument("--kubernetes", metavar="URL", help="the API server of QCloud's cluster")
    parser.add_argument("--kubernetes-ca", metavar="FILE", type=Path, help="its CA, PEM")
    parser.add_argument("--kubernetes-namespace", default="qcloud", metavar="NAME")
    parser.add_argument("--kubernetes-audience", metavar="NAME")
    parser.add_argument(
        "--database",
        metavar="URL",
        help="let Vault make PostgreSQL logins: postgresql://{{username}}:{{password}}@HOST/qcloud"
        " (user and password: QCLOUD_VAULT_DATABASE_USER, QCLOUD_VAULT_DATABASE_PASSWORD)",
    )
