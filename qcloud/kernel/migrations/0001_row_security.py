"""The functions that every table's policies call; the history of migrations is the owner's."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from qcloud.kernel.rls import FUNCTIONS_REVERSE_SQL, FUNCTIONS_SQL


class Migration(migrations.Migration):
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.RunSQL(FUNCTIONS_SQL, FUNCTIONS_REVERSE_SQL),
        # The platform reads it, to warn when a migration is missing; it never writes it.
        migrations.RunSQL(
            "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM qcloud_app",
            "GRANT INSERT, UPDATE, DELETE ON django_migrations TO qcloud_app",
        ),
    ]
