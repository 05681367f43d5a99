from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import EnvironmentLimit, RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies = [
        ("pulse", "0003_environment_limit"),
    ]

    operations = [
        migrations.CreateModel(
            name="IssueActivity",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=qcloud.kernel.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("account_id", models.UUIDField(db_index=True)),
                ("issue_id", models.UUIDField(db_index=True)),
                ("environment_id", models.UUIDField()),
                ("at", models.DateTimeField()),
                ("who", models.CharField(max_length=254)),
                ("what", models.CharField(max_length=16)),
                ("text", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "ordering": ("-id",),
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Issue",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=qcloud.kernel.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("account_id", models.UUIDField(db_index=True)),
                ("fingerprint", models.CharField(max_length=32)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("errors", "Errors"),
                            ("latency", "Latency"),
                            ("new_status", "New status"),
                            ("overflow", "Too many to list"),
                        ],
                        max_length=12,
                    ),
                ),
                ("environment_id", models.UUIDField()),
                ("host", models.CharField(blank=True, max_length=1024)),
                ("route", models.CharField(blank=True, max_length=8192)),
                ("status", models.IntegerField(default=0)),
                ("cause", models.CharField(max_length=300)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("resolved", "Resolved"),
                            ("ignored", "Ignored"),
                        ],
                        default="open",
                        max_length=8,
                    ),
                ),
                ("ignored_until", models.DateTimeField(null=True)),
                ("assignee_id", models.UUIDField(null=True)),
                ("assignee", models.CharField(blank=True, max_length=254)),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
                ("opened_at", models.DateTimeField()),
                ("resolved_at", models.DateTimeField(null=True)),
                ("regressions", models.IntegerField(default=0)),
                ("count", models.BigIntegerField(default=0)),
            ],
            options={
                "ordering": ("-last_seen", "-id"),
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        fields=["account_id", "state", "-last_seen"], name="pulse_issue_list"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "fingerprint"), name="pulse_issue_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="IssueHour",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=qcloud.kernel.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("account_id", models.UUIDField(db_index=True)),
                ("issue_id", models.UUIDField()),
                ("environment_id", models.UUIDField()),
                ("hour", models.DateTimeField()),
                ("count", models.BigIntegerField()),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "issue_id", "hour"), name="pulse_issue_hour_once"
                    )
                ],
            },
        ),
        RowSecurity("pulse_issue", RowClass.OWN),
        RowSecurity("pulse_issuehour", RowClass.OWN),
        RowSecurity("pulse_issueactivity", RowClass.OWN),
        EnvironmentLimit("pulse_issue"),
        EnvironmentLimit("pulse_issuehour"),
        EnvironmentLimit("pulse_issueactivity"),
    ]
