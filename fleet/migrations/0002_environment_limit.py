"""Whoever is limited to some environments meets nothing of another."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from qcloud.kernel.rls import EnvironmentLimit


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("fleet", "0001_initial"),
        ("kernel", "0004_environment_limit"),
    ]

    operations: ClassVar = [
        EnvironmentLimit("fleet_environment", "id"),
        EnvironmentLimit("fleet_registrationtoken"),
        EnvironmentLimit("fleet_agent"),
        EnvironmentLimit("fleet_objectstore"),
    ]
