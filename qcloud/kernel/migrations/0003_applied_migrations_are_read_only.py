"""Which migrations ran is the migrator's to write: whoever forgets one makes it run again."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("kernel", "0002_outbox")]

    operations: ClassVar = [
        migrations.RunSQL(
            "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM qcloud_app",
            "GRANT INSERT, UPDATE, DELETE ON django_migrations TO qcloud_app",
        ),
    ]
