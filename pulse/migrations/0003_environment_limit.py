"""Whoever is limited to some environments sees the usage of those alone."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from qcloud.kernel.rls import EnvironmentLimit


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("pulse", "0002_erased_accounts"),
        ("kernel", "0004_environment_limit"),
    ]

    operations: ClassVar = [EnvironmentLimit("pulse_usagehour")]
