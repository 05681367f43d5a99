"""Price books, invoices, and who may touch which of their rows."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

import qcloud.kernel.ids
from qcloud.kernel.rls import RowClass, RowSecurity


class Migration(migrations.Migration):
    initial = True

    dependencies = [("kernel", "0001_row_security")]

    operations = [
        migrations.CreateModel(
            name="InvoiceDrift",
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
                ("seller_id", models.UUIDField(db_index=True)),
                ("buyer_id", models.UUIDField(db_index=True)),
                ("invoice_id", models.UUIDField(db_index=True)),
                ("revision", models.PositiveIntegerField()),
                ("detected_at", models.DateTimeField()),
                ("settled_until", models.DateTimeField()),
                ("subject_account_id", models.UUIDField()),
                ("environment_id", models.UUIDField()),
                ("counts_before", models.JSONField()),
                ("counts_after", models.JSONField()),
                ("total_before", models.DecimalField(decimal_places=4, max_digits=38)),
                ("total_after", models.DecimalField(decimal_places=4, max_digits=38)),
            ],
            options={
                "db_table": "billing_invoice_drift",
                "ordering": ("-detected_at", "id"),
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Invoice",
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
                ("seller_id", models.UUIDField(db_index=True)),
                ("buyer_id", models.UUIDField(db_index=True)),
                (
                    "state",
                    models.CharField(choices=[("draft", "Draft")], default="draft", max_length=12),
                ),
                ("number", models.CharField(max_length=40, null=True)),
                ("period", models.CharField(max_length=23)),
                ("zone", models.CharField(max_length=64)),
                ("period_start", models.DateTimeField()),
                ("period_end", models.DateTimeField()),
                ("currency", models.CharField(max_length=3)),
                ("total", models.DecimalField(decimal_places=4, max_digits=38)),
                ("seller_name", models.CharField(max_length=200)),
                ("buyer_name", models.CharField(max_length=200)),
                ("grouped_by_customer", models.BooleanField(default=False)),
                ("terms", models.JSONField()),
                ("terms_digest", models.CharField(max_length=64)),
                ("usage_digest", models.CharField(max_length=64)),
                ("settled_until", models.DateTimeField()),
                ("revision", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("computed_at", models.DateTimeField()),
            ],
            options={
                "db_table": "billing_invoice",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("seller_id", "buyer_id", "period", "currency"),
                        name="billing_invoice_period",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("number__isnull", True),
                            models.Q(("state", "draft"), _negated=True),
                            _connector="OR",
                        ),
                        name="billing_draft_has_no_number",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("period_start__lt", models.F("period_end"))),
                        name="billing_invoice_half_open",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PriceBook",
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
                ("code", models.SlugField(max_length=60)),
                ("version", models.PositiveIntegerField()),
                ("name", models.CharField(max_length=120)),
                ("currency", models.CharField(max_length=3)),
                ("effective_from", models.DateField()),
                ("published_at", models.DateTimeField()),
                ("published_by", models.CharField(max_length=200)),
            ],
            options={
                "db_table": "billing_price_book",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "code", "version"), name="billing_book_version"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")),
                        name="billing_book_currency",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PriceBookAssignment",
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
                ("buyer_id", models.UUIDField(null=True)),
                ("book_code", models.SlugField(max_length=60)),
                ("effective_from", models.DateField()),
                ("assigned_at", models.DateTimeField()),
                ("assigned_by", models.CharField(max_length=200)),
            ],
            options={
                "db_table": "billing_price_book_assignment",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        fields=["account_id", "buyer_id", "effective_from"],
                        name="billing_assignment",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="InvoiceLine",
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
                ("seller_id", models.UUIDField(db_index=True)),
                ("buyer_id", models.UUIDField(db_index=True)),
                ("revision", models.PositiveIntegerField()),
                ("position", models.PositiveIntegerField()),
                ("price_key", models.SlugField(max_length=60)),
                ("description", models.CharField(max_length=200)),
                ("model", models.CharField(max_length=12)),
                ("metric", models.CharField(blank=True, default="", max_length=40)),
                ("direction", models.CharField(blank=True, default="", max_length=20)),
                ("unit_size", models.BigIntegerField()),
                ("unit_price", models.DecimalField(decimal_places=12, max_digits=27, null=True)),
                ("quantity", models.DecimalField(decimal_places=0, max_digits=30)),
                ("amount", models.DecimalField(decimal_places=4, max_digits=38)),
                ("breakdown", models.JSONField()),
                ("subject_account_id", models.UUIDField(null=True)),
                ("subject_name", models.CharField(blank=True, default="", max_length=200)),
                ("environment_id", models.UUIDField(null=True)),
                ("environment_label", models.CharField(blank=True, default="", max_length=120)),
                ("events_since", models.DateTimeField()),
                ("events_until", models.DateTimeField()),
                (
                    "invoice",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lines",
                        to="billing.invoice",
                    ),
                ),
            ],
            options={
                "db_table": "billing_invoice_line",
                "ordering": ("position",),
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("invoice", "price_key", "subject_account_id", "environment_id"),
                        name="billing_line_once",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="InvoiceUsage",
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
                ("seller_id", models.UUIDField(db_index=True)),
                ("buyer_id", models.UUIDField(db_index=True)),
                ("revision", models.PositiveIntegerField()),
                ("subject_account_id", models.UUIDField()),
                ("environment_id", models.UUIDField()),
                ("hours", models.PositiveIntegerField()),
                ("counts", models.JSONField()),
                ("digest", models.CharField(max_length=64)),
                ("settled_counts", models.JSONField()),
                ("settled_digest", models.CharField(max_length=64)),
                (
                    "invoice",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="usage",
                        to="billing.invoice",
                    ),
                ),
            ],
            options={
                "db_table": "billing_invoice_usage",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("invoice", "subject_account_id", "environment_id"),
                        name="billing_usage_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Price",
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
                ("position", models.PositiveSmallIntegerField()),
                ("key", models.SlugField(max_length=60)),
                ("description", models.CharField(max_length=200)),
                (
                    "model",
                    models.CharField(
                        choices=[("flat", "flat"), ("unit", "unit"), ("graduated", "graduated")],
                        max_length=12,
                    ),
                ),
                (
                    "metric",
                    models.CharField(
                        choices=[
                            ("requests", "requests"),
                            ("requests_ingress", "requests_ingress"),
                            ("requests_egress_internal", "requests_egress_internal"),
                            ("requests_egress_external", "requests_egress_external"),
                            ("bytes", "bytes"),
                            ("bytes_sent", "bytes_sent"),
                            ("bytes_received", "bytes_received"),
                        ],
                        max_length=40,
                        blank=True,
                        default="",
                    ),
                ),
                ("unit_size", models.BigIntegerField(default=1)),
                ("amount", models.DecimalField(decimal_places=12, max_digits=27, null=True)),
                ("tiers", models.JSONField(default=list)),
                (
                    "book",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="prices",
                        to="billing.pricebook",
                    ),
                ),
            ],
            options={
                "db_table": "billing_price",
                "ordering": ("position",),
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account_id", "book", "key"), name="billing_price_key"
                    )
                ],
            },
        ),
        RowSecurity("billing_price_book", RowClass.OWN, append_only=True),
        RowSecurity("billing_price", RowClass.OWN, append_only=True),
        RowSecurity("billing_price_book_assignment", RowClass.OWN, append_only=True),
        RowSecurity("billing_invoice", RowClass.PARTY_PAIR),
        RowSecurity("billing_invoice_line", RowClass.PARTY_PAIR),
        RowSecurity("billing_invoice_usage", RowClass.PARTY_PAIR),
        RowSecurity("billing_invoice_drift", RowClass.PARTY_PAIR, append_only=True),
    ]
