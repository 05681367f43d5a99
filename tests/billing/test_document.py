"""The PDF: what it says, what it must not do."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from io import BytesIO

import pytest
from pypdf import PdfReader
from weasyprint import HTML
from weasyprint.urls import FatalURLFetchingError

from billing import selectors, services
from billing.document import _NoFetcher, render_pdf
from qcloud.kernel.scope import scoped
from tests.billing.conftest import id_of, publish, run, unit_price
from tests.billing.metered import environment, meter
from tests.factories.cast import Person

HOSTILE = "<script>alert(1)</script><img src='http://192.0.2.1/x'>{{ total }}"


@pytest.fixture
def detail(shop: Person, reseller_owner: Person) -> selectors.InvoiceDetail:
    tiers = [{"up_to": 10_000, "price": "0.50"}, {"up_to": None, "price": "0.40"}]
    steps = unit_price("steps", model="graduated", amount=None, tiers=tiers)
    publish(reseller_owner, "retail", steps, unit_price("base", model="flat", amount="25"))
    meter(shop, environment(shop), 12_345)
    meter(shop, environment(shop, "dev", "Development"), 1_234)
    invoice_id = id_of(run(reseller_owner).drafts[0])
    return selectors.invoice(shop.scope, invoice_id)


def _text(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(BytesIO(pdf)).pages]


def test_says_everything_that_an_invoice_says(
    detail: selectors.InvoiceDetail, shop: Person
) -> None:
    with scoped(shop.scope):
        pdf = services.invoice_pdf(detail.invoice.id)
    (page,) = _text(pdf)
    for words in (
        "North",
        "Acme",
        "1 November 2026",
        "30 November 2026",
        "Europe/Berlin",
        "Production",
        "Development",
        "12,345",
        "1,234",
        "0.50",
        "1.4316",  # 3,579 × 0.40 / 1,000, unrounded
        "5.85",
        "0.58",
        "6.43",
        "25.00",
        "EUR 31.43",
        "DRAFT – not a tax invoice",
        "Page 1 of 1",
        "retail v2",
        detail.usage_digest,
    ):
        assert words in page, words


def test_is_the_same_document_each_time(detail: selectors.InvoiceDetail) -> None:
    assert render_pdf(detail) == render_pdf(detail)


def test_long_invoices_number_their_pages_and_repeat_the_head(
    detail: selectors.InvoiceDetail,
) -> None:
    line = detail.lines[0]
    lines = tuple(replace(line, environment_label=f"Env {number:03}") for number in range(120))
    pages = _text(render_pdf(replace(detail, lines=lines)))
    assert len(pages) > 2
    for number, page in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in page
        assert "DRAFT – not a tax invoice" in page
    for number in range(120):
        assert sum(f"Env {number:03}" in page for page in pages) == 1


def test_hostile_names_are_text(detail: selectors.InvoiceDetail) -> None:
    invoice = replace(detail.invoice, seller_name=HOSTILE, buyer_name=HOSTILE)
    lines = tuple(replace(li, environment_label=HOSTILE) for li in detail.lines)
    pdf = render_pdf(replace(detail, invoice=invoice, lines=lines))
    text = "".join(_text(pdf)).replace("\n", "").replace(" ", "")
    assert text.count(HOSTILE.replace(" ", "")) >= 2
    reader = PdfReader(BytesIO(pdf))
    assert "/JavaScript" not in str(reader.trailer["/Root"])
    assert all("/Annots" not in page for page in reader.pages)


@pytest.mark.parametrize(
    "reference",
    [
        "<img src='http://192.0.2.1/x.png'>",
        "<img src='file:///etc/hostname'>",
        "<link rel=stylesheet href='https://192.0.2.1/x.css'>",
        "<style>@import url(file:///etc/hostname);</style>",
        "<img src='data:image/png;base64,AAAA'>",
    ],
)
def test_nothing_is_ever_fetched(reference: str) -> None:
    """Whatever a template change might bring in stops the rendering."""
    with pytest.raises(FatalURLFetchingError):
        HTML(string=reference, url_fetcher=_NoFetcher()).write_pdf()


@pytest.mark.parametrize(("currency", "total"), [("JPY", "JPY 1,235"), ("BHD", "BHD 1,234.568")])
def test_money_has_the_currencys_digits(
    detail: selectors.InvoiceDetail, currency: str, total: str
) -> None:
    invoice = replace(detail.invoice, currency=currency, total=Decimal("1234.5678"))
    assert total in _text(render_pdf(replace(detail, invoice=invoice)))[0]
