from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import EnvironmentLimit, RowClass, RowSecurity


class Migration(migrations.Migration):
    dependencies = [
        ("pulse", "0005_rollups"),
    ]

    operations = [
        migrations.CreateModel(
            name="Silence",
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
                ("rule_id", models.UUIDField(null=True)),
                ("severity", models.CharField(blank=True, max_length=8)),
                ("environment_id", models.UUIDField(null=True)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("reason", models.CharField(max_length=300)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("created_by", models.CharField(max_length=254)),
            ],
            options={
                "ordering": ("-ends_at", "-id"),
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="AlertRule",
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
                ("name", models.CharField(max_length=100)),
                ("enabled", models.BooleanField(default=True)),
                ("environment_id", models.UUIDField(null=True)),
                (
                    "severity",
                    models.CharField(
                        choices=[
                            ("info", "Info"),
                            ("warning", "Warning"),
                            ("critical", "Critical"),
                        ],
                        max_length=8,
                    ),
                ),
                ("spec", models.JSONField()),
                ("channels", models.JSONField(default=list)),
                ("escalation_channels", models.JSONField(default=list)),
                (
                    "phase",
                    models.CharField(
                        choices=[
                            ("ok", "OK"),
                            ("pending", "Pending"),
                            ("firing", "Firing"),
                            ("no_data", "No data"),
                        ],
                        default="ok",
                        max_length=8,
                    ),
                ),
                ("progress", models.JSONField(default=dict)),
                ("value", models.FloatField(null=True)),
                ("evaluated_at", models.DateTimeField()),
                ("trouble", models.CharField(blank=True, max_length=300)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("created_by", models.CharField(max_length=254)),
            ],
            options={
                "ordering": ("name", "id"),
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "name"), name="pulse_alert_rule_name"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Incident",
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
                ("rule_id", models.UUIDField(db_index=True)),
                ("environment_id", models.UUIDField(null=True)),
                ("rule_name", models.CharField(max_length=100)),
                (
                    "severity",
                    models.CharField(
                        choices=[
                            ("info", "Info"),
                            ("warning", "Warning"),
                            ("critical", "Critical"),
                        ],
                        max_length=8,
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("fired_at", models.DateTimeField()),
                ("recovered_at", models.DateTimeField(null=True)),
                ("no_data", models.BooleanField(default=False)),
                ("first_value", models.FloatField(null=True)),
                ("worst_value", models.FloatField(null=True)),
                ("acknowledged_at", models.DateTimeField(null=True)),
                ("acknowledged_by", models.CharField(blank=True, max_length=254)),
                ("told", models.IntegerField(default=0)),
                ("escalated", models.BooleanField(default=False)),
                ("silenced", models.BooleanField(default=False)),
                ("closed_reason", models.CharField(blank=True, max_length=100)),
            ],
            options={
                "ordering": ("-started_at", "-id"),
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "rule_id", "fired_at"), name="pulse_incident_once"
                    )
                ],
            },
        ),
        RowSecurity("pulse_alertrule", RowClass.OWN),
        RowSecurity("pulse_incident", RowClass.OWN),
        RowSecurity("pulse_silence", RowClass.OWN),
        EnvironmentLimit("pulse_alertrule"),
        EnvironmentLimit("pulse_incident"),
        EnvironmentLimit("pulse_silence"),
    ]
