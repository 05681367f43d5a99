"""``make lint``: fails when a model changed and no migration says so. Needs no database."""

from __future__ import annotations

import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "qcloud.settings_for_types"


def main() -> int:
    import warnings

    import django
    from django.core.management import call_command

    django.setup()
    # Django would like to compare with the applied migrations, and says that it cannot.
    warnings.filterwarnings("ignore", message="Got an error checking a consistent migration")
    call_command("makemigrations", check=True, dry_run=True, skip_checks=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
