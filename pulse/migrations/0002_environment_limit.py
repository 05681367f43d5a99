"""Whoever is limited to some environments sees the usage of those alone."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from qcloud.kernel.rls import EnvironmentLimit


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("pulse", "0001_ledger_loads_usage"),
        ("kernel", "0003_environment_limit"),
    ]

    operations: ClassVar = [EnvironmentLimit("pulse_usagehour")]
