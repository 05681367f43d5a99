"""Price books and invoices. Private to this room: others use selectors and services.

Prices are the seller's alone. What a buyer may know of them stands on its invoices, which
carry the terms that they were computed with. So no buyer reads a book, a customer never
meets its reseller's wholesale prices, and no reseller another one's.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from billing.rating.prices import Model as PriceModel
from billing.rating.usage import Metric
from qcloud.kernel.models import PartyPairModel, TenantModel
from qcloud.kernel.rls import RowClass


class PriceBook(TenantModel):
    """One published version of a seller's price list; never changed afterwards.

    It is in force for the periods that begin on or after ``effective_from``, until a later
    version takes its place.
    """

    row_class: ClassVar[RowClass] = RowClass.OWN

    code = models.SlugField(max_length=60)
    version = models.PositiveIntegerField()
    name = models.CharField(max_length=120)
    currency = models.CharField(max_length=3)
    effective_from = models.DateField()
    published_at = models.DateTimeField()
    published_by = models.CharField(max_length=200)

    class Meta(TenantModel.Meta):
        db_table = "billing_price_book"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=("account_id", "code", "version"), name="billing_book_version"
            ),
            models.CheckConstraint(
                condition=models.Q(currency__regex=r"^[A-Z]{3}$"), name="billing_book_currency"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} v{self.version}"


class Price(TenantModel):
    """One price of a published book; ``billing.rating.prices.PriceTerm`` says what it means."""

    row_class: ClassVar[RowClass] = RowClass.OWN

    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="prices")
    position = models.PositiveSmallIntegerField()
    key = models.SlugField(max_length=60)
    description = models.CharField(max_length=200)
    model = models.CharField(max_length=12, choices=[(m.value, m.value) for m in PriceModel])
    metric = models.CharField(
        max_length=40, default="", blank=True, choices=[(m.value, m.value) for m in Metric]
    )
    """Empty on a flat price, which counts nothing."""
    unit_size = models.BigIntegerField(default=1)
    amount = models.DecimalField(max_digits=27, decimal_places=12, null=True)
    tiers = models.JSONField(default=list)

    class Meta(TenantModel.Meta):
        db_table = "billing_price"
        ordering = ("position",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=("account_id", "book", "key"), name="billing_price_key")
        ]

    def __str__(self) -> str:
        return self.description


class PriceBookAssignment(TenantModel):
    """From which period on a buyer is charged by which book. No buyer: the seller's default.

    The newest row for a period counts, one that names the buyer before the default.
    """

    row_class: ClassVar[RowClass] = RowClass.OWN

    buyer_id = models.UUIDField(null=True)
    book_code = models.SlugField(max_length=60)
    effective_from = models.DateField()
    assigned_at = models.DateTimeField()
    assigned_by = models.CharField(max_length=200)

    class Meta(TenantModel.Meta):
        db_table = "billing_price_book_assignment"
        indexes: ClassVar = [
            models.Index(
                fields=("account_id", "buyer_id", "effective_from"), name="billing_assignment"
            )
        ]

    def __str__(self) -> str:
        return f"{self.book_code} from {self.effective_from}"


class InvoiceState(models.TextChoices):
    DRAFT = "draft", "Draft"


class Invoice(PartyPairModel):
    """What a buyer owes a seller for one period; recomputed as long as it is a draft."""

    row_class: ClassVar[RowClass] = RowClass.PARTY_PAIR

    state = models.CharField(
        max_length=12, choices=InvoiceState.choices, default=InvoiceState.DRAFT
    )
    number = models.CharField(max_length=40, null=True)  # noqa: DJ001  no number is no text
    period = models.CharField(max_length=23)
    zone = models.CharField(max_length=64)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    currency = models.CharField(max_length=3)
    total = models.DecimalField(max_digits=38, decimal_places=4)
    seller_name = models.CharField(max_length=200)
    buyer_name = models.CharField(max_length=200)
    grouped_by_customer = models.BooleanField(default=False)
    terms = models.JSONField()
    terms_digest = models.CharField(max_length=64)
    usage_digest = models.CharField(max_length=64)
    settled_until = models.DateTimeField()
    """Usage before this instant was complete when it was counted; a change is drift."""
    revision = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    computed_at = models.DateTimeField()

    class Meta(PartyPairModel.Meta):
        db_table = "billing_invoice"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=("seller_id", "buyer_id", "period", "currency"),
                name="billing_invoice_period",
            ),
            models.CheckConstraint(
                condition=models.Q(number__isnull=True) | ~models.Q(state=InvoiceState.DRAFT),
                name="billing_draft_has_no_number",
            ),
            models.CheckConstraint(
                condition=models.Q(period_start__lt=models.F("period_end")),
                name="billing_invoice_half_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.period} {self.currency} {self.seller_name} → {self.buyer_name}"


class InvoiceLine(PartyPairModel):
    """One group's part of one charge, and where to find the events behind it.

    Its id stays the same from one computation of a draft to the next.
    """

    row_class: ClassVar[RowClass] = RowClass.PARTY_PAIR

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    revision = models.PositiveIntegerField()
    position = models.PositiveIntegerField()
    price_key = models.SlugField(max_length=60)
    description = models.CharField(max_length=200)
    model = models.CharField(max_length=12)
    metric = models.CharField(max_length=40, default="", blank=True)
    direction = models.CharField(max_length=20, default="", blank=True)
    unit_size = models.BigIntegerField()
    unit_price = models.DecimalField(max_digits=27, decimal_places=12, null=True)
    quantity = models.DecimalField(max_digits=30, decimal_places=0)
    amount = models.DecimalField(max_digits=38, decimal_places=4)
    breakdown = models.JSONField()
    """The whole charge that this line is a part of: quantity, amount, tiers."""
    subject_account_id = models.UUIDField(null=True)
    """Whose traffic it is; none on a flat charge."""
    subject_name = models.CharField(max_length=200, default="", blank=True)
    environment_id = models.UUIDField(null=True)
    environment_label = models.CharField(max_length=120, default="", blank=True)
    events_since = models.DateTimeField()
    events_until = models.DateTimeField()

    class Meta(PartyPairModel.Meta):
        db_table = "billing_invoice_line"
        ordering = ("position",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=("invoice", "price_key", "subject_account_id", "environment_id"),
                name="billing_line_once",
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return self.description


class InvoiceUsage(PartyPairModel):
    """The usage of one environment as an invoice counted it: frozen, with its fingerprints."""

    row_class: ClassVar[RowClass] = RowClass.PARTY_PAIR

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="usage")
    revision = models.PositiveIntegerField()
    subject_account_id = models.UUIDField()
    environment_id = models.UUIDField()
    hours = models.PositiveIntegerField()
    counts = models.JSONField()
    digest = models.CharField(max_length=64)
    settled_counts = models.JSONField()
    settled_digest = models.CharField(max_length=64)

    class Meta(PartyPairModel.Meta):
        db_table = "billing_invoice_usage"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=("invoice", "subject_account_id", "environment_id"),
                name="billing_usage_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.environment_id}: {self.hours} h"


class InvoiceDrift(PartyPairModel):
    """Usage of hours already counted turned out different. Append-only.

    It refers to its invoice by id alone: it outlives a draft that another one replaced.
    """

    row_class: ClassVar[RowClass] = RowClass.PARTY_PAIR

    invoice_id = models.UUIDField(db_index=True)
    revision = models.PositiveIntegerField()
    detected_at = models.DateTimeField()
    settled_until = models.DateTimeField()
    subject_account_id = models.UUIDField()
    environment_id = models.UUIDField()
    counts_before = models.JSONField()
    counts_after = models.JSONField()
    total_before = models.DecimalField(max_digits=38, decimal_places=4)
    total_after = models.DecimalField(max_digits=38, decimal_places=4)

    class Meta(PartyPairModel.Meta):
        db_table = "billing_invoice_drift"
        ordering = ("-detected_at", "id")

    def __str__(self) -> str:
        return f"{self.environment_id}: {self.total_before} → {self.total_after}"
