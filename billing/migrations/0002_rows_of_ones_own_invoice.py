"""A line belongs to an invoice of the same two parties, a price to a book of the same account.

Foreign keys are checked past row-level security. With the parties in the key, a row can only
point at a row of its own parties, and the check tells nothing of anybody else's.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

_OF_INVOICES = ("billing_invoice_line", "billing_invoice_usage")

_PAIRS = """
ALTER TABLE billing_invoice
    ADD CONSTRAINT billing_invoice_pair UNIQUE (seller_id, buyer_id, id);
ALTER TABLE billing_price_book
    ADD CONSTRAINT billing_price_book_pair UNIQUE (account_id, id);
ALTER TABLE billing_price ADD CONSTRAINT billing_price_book_fk
    FOREIGN KEY (account_id, book_id) REFERENCES billing_price_book (account_id, id);
""" + "".join(
    f"ALTER TABLE {table} ADD CONSTRAINT {table}_invoice_fk"
    " FOREIGN KEY (seller_id, buyer_id, invoice_id)"
    " REFERENCES billing_invoice (seller_id, buyer_id, id) DEFERRABLE INITIALLY DEFERRED;"
    for table in _OF_INVOICES
)
_REVERSE = (
    "".join(f"ALTER TABLE {table} DROP CONSTRAINT {table}_invoice_fk;" for table in _OF_INVOICES)
    + """
ALTER TABLE billing_price DROP CONSTRAINT billing_price_book_fk;
ALTER TABLE billing_price_book DROP CONSTRAINT billing_price_book_pair;
ALTER TABLE billing_invoice DROP CONSTRAINT billing_invoice_pair;
"""
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("billing", "0001_price_books_and_invoices")]

    operations: ClassVar = [migrations.RunSQL(_PAIRS, _REVERSE)]
