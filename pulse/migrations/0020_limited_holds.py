"""Whoever is limited to some environments sees the legal holds of those alone."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from qcloud.kernel.rls import EnvironmentLimit


class Migration(migrations.Migration):
    dependencies: ClassVar = [("pulse", "0019_certificate_issues")]

    operations: ClassVar = [EnvironmentLimit("pulse_legalhold")]
