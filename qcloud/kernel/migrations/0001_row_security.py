"""The functions that every table's policies call."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from qcloud.kernel.rls import FUNCTIONS_REVERSE_SQL, FUNCTIONS_SQL


class Migration(migrations.Migration):
    dependencies: ClassVar = []
    operations: ClassVar = [migrations.RunSQL(FUNCTIONS_SQL, FUNCTIONS_REVERSE_SQL)]
