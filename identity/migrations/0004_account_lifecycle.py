"""States with a reason and a date, quotas, and the networks that an account is entered from."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("identity", "0003_roles_invitations_delegation"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="account",
            name="allow_list",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="account",
            name="erase_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="account",
            name="quota_accounts",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="account",
            name="quota_agents",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="account",
            name="quota_environments",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="account",
            name="quota_events",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="account",
            name="quota_staff",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="account",
            name="state_before",
            field=models.CharField(blank=True, max_length=9),
        ),
        migrations.AddField(
            model_name="account",
            name="state_by",
            field=models.CharField(blank=True, max_length=254),
        ),
        migrations.AddField(
            model_name="account",
            name="state_reason",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="account",
            name="state_since",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="account",
            name="state",
            field=models.CharField(
                choices=[
                    ("active", "Active"),
                    ("suspended", "Suspended"),
                    ("closing", "Closing"),
                    ("erasing", "Erasing"),
                    ("closed", "Closed"),
                ],
                default="active",
                max_length=9,
            ),
        ),
    ]
