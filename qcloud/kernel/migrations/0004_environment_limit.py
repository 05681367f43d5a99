"""The environments that a scope is limited to, as policies read them."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("kernel", "0003_settings")]

    operations: ClassVar = [
        migrations.RunSQL(
            "CREATE FUNCTION qcloud_environments() RETURNS uuid[] LANGUAGE sql STABLE"
            " PARALLEL SAFE RETURN nullif(current_setting('qcloud.environments', true), '')"
            "::uuid[];",
            "DROP FUNCTION qcloud_environments();",
        )
    ]
