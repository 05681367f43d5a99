"""A reseller's brand: what it may be, who sees it, and what files it is made of."""

from __future__ import annotations

import io
import zlib

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from identity import colours
from identity.brands import PLAIN, brand_for_host, brand_of, mail_brand
from identity.models import Brand
from identity.services import brand_logo_set, brand_reset, brand_set
from qcloud.kernel.errors import Conflict, Denied, Invalid
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.portal.conftest import sign_in

pytestmark = pytest.mark.django_db


def put(person: Person, **changes: str) -> None:
    wanted = {"product": "North Cloud", "accent_light": "", "accent_dark": "", "sender": "",
              "host": ""}  # fmt: skip
    brand_set(actor=person.actor, **(wanted | changes))


def picture(kind: str = "PNG", size: tuple[int, int] = (900, 300)) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", size, "#6a2e9f").save(target, kind)
    return target.getvalue()


def test_customers_see_their_resellers_brand_and_nobody_elses(
    cloud_admin: Person,
    reseller_owner: Person,
    customer_owner: Person,
    other_customer_owner: Person,
) -> None:
    put(reseller_owner, accent_light="#6A2E9F", accent_dark="#cda6f4", sender="hi@north.example")
    for person in (reseller_owner, customer_owner):
        assert brand_of(person.account.path).product == "North Cloud"
    for person in (cloud_admin, other_customer_owner):
        assert brand_of(person.account.path) == PLAIN
    mail = mail_brand(customer_owner.account.path)
    assert (mail.product, mail.accent, mail.sender) == (
        "North Cloud",
        "#6a2e9f",
        "hi@north.example",
    )
    page = sign_in(customer_owner).get("/c/acme/environments").content.decode()
    assert '<span class="brand-name">North Cloud</span>' in page
    assert f"/brand/{reseller_owner.account.id}/6a2e9fcda6f4.css" in page
    other = sign_in(other_customer_owner).get("/c/birch/environments").content.decode()
    assert "North" not in other
    assert '<span class="brand-name">QCloud</span>' in other
    brand_reset(actor=reseller_owner.actor)
    assert brand_of(customer_owner.account.path) == PLAIN


def test_the_providers_brand_is_everybodys_without_one_of_their_own(
    cloud_admin: Person, reseller_owner: Person, customer_owner: Person
) -> None:
    put(cloud_admin, product="Big Cloud")
    assert brand_of(customer_owner.account.path).product == "Big Cloud"
    assert brand_for_host("whatever.example").product == "Big Cloud"
    put(reseller_owner)
    assert brand_of(customer_owner.account.path).product == "North Cloud"


def test_the_host_name_chooses_the_brand_of_the_sign_in_page(reseller_owner: Person) -> None:
    assert Client().get("/c/sign-in", headers={"host": "cloud.north.example"}).status_code == 400
    put(reseller_owner, host="Cloud.North.example")
    answer = Client().get("/c/sign-in", headers={"host": "cloud.north.example:8600"})
    assert answer.status_code == 200
    assert "<span>North Cloud</span>" in answer.content.decode()
    assert "North" not in Client().get("/c/sign-in").content.decode()
    assert Client().get("/c/sign-in", headers={"host": "evil.example"}).status_code == 400


def test_a_host_name_is_one_accounts(
    reseller_owner: Person, other_reseller_owner: Person, cloud_admin: Person
) -> None:
    put(reseller_owner, host="cloud.north.example")
    with pytest.raises(Conflict) as refused:
        put(other_reseller_owner, host="CLOUD.north.example")
    assert set(refused.value.data["fields"]) == {"host"}
    for host in ("https://x.example", "a b", "localhost", "testserver"):
        with pytest.raises(Invalid):
            put(other_reseller_owner, host=host)
    with unscoped("test"):
        assert list(Brand.objects.values_list("host", flat=True)) == ["cloud.north.example"]
    del cloud_admin


@pytest.mark.parametrize(
    ("light", "dark", "field", "says"),
    [
        ("#7db3ff", "#6db3ff", "accent_light", "darker"),
        ("#0a5bae", "#0a5bae", "accent_dark", "2.1:1 where 4.5:1 is needed"),
        ("#0a5bae", "", "accent_dark", "Set both, or none."),
        ("red", "#6db3ff", "accent_light", "six hexadecimal digits"),
        ("#0a5bae; }", "#6db3ff", "accent_light", "six hexadecimal digits"),
    ],
)
def test_a_colour_that_cannot_be_read_is_refused_with_its_ratio(
    reseller_owner: Person, light: str, dark: str, field: str, says: str
) -> None:
    with pytest.raises(Invalid) as refused:
        put(reseller_owner, accent_light=light, accent_dark=dark)
    assert says in refused.value.data["fields"][field]
    assert brand_of(reseller_owner.account.path) == PLAIN


def test_contrast_is_wcags() -> None:
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert colours.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    for theme, accent in colours.DEFAULTS.items():
        assert colours.worst(accent, theme) >= colours.LEAST


HEX = st.from_regex(r"#[0-9a-f]{6}", fullmatch=True)


@given(HEX, HEX)
def test_contrast_is_symmetric_and_bounded(first: str, second: str) -> None:
    assert colours.contrast(first, second) == colours.contrast(second, first)
    assert 1 <= colours.contrast(first, second) <= 21.0001


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_logo_is_drawn_anew_and_served_as_a_picture(
    reseller_owner: Person, customer_owner: Person, kind: str
) -> None:
    uploaded = picture(kind) + b"<script>alert(1)</script>"
    brand = brand_logo_set(actor=reseller_owner.actor, data=uploaded)
    page = sign_in(customer_owner).get("/c/acme/environments").content.decode()
    address = f"/brand/{reseller_owner.account.id}/{brand.logo_digest}.png"
    assert address in page
    answer = Client().get(address)
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert b"script" not in answer.content
    with Image.open(io.BytesIO(answer.content)) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (288, 96))
    brand_logo_set(actor=reseller_owner.actor, data=b"")
    assert Client().get(address).status_code == 404


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def bomb() -> bytes:
    """A PNG whose head promises 30,000 by 30,000 pixels."""
    head = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + head + zlib.crc32(head).to_bytes(4, "big")
    )


@pytest.mark.parametrize(
    "data",
    [
        SVG,
        b"GIF89a" + bytes(100),
        picture()[:60],
        bomb(),
        picture("PNG", (4_001, 1)),
        b"\x89PNG" + bytes(600 * 1024),
    ],
    ids=["svg", "gif", "cut", "bomb", "wide", "large"],
)
def test_what_is_no_small_png_or_webp_is_refused(reseller_owner: Person, data: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        brand_logo_set(actor=reseller_owner.actor, data=data)
    assert set(refused.value.data["fields"]) == {"logo"}
    with unscoped("test"):
        assert not Brand.objects.exists()


def test_customers_have_no_brand_of_their_own(customer_owner: Person) -> None:
    with pytest.raises(Denied):
        put(customer_owner)
    with pytest.raises(Denied):
        brand_logo_set(actor=customer_owner.actor, data=picture())


def test_the_page_previews_refuses_and_sets(reseller_owner: Person) -> None:
    client = sign_in(reseller_owner)
    place = "/r/north/settings/branding"
    shown = client.get(f"{place}?product=Try&accent_light=%236a2e9f&accent_dark=%23cda6f4")
    text = shown.content.decode()
    assert "preview.css?light=%236a2e9f" in text
    style = client.get(f"{place}/preview.css?light=%236a2e9f&dark=%23cda6f4")
    assert style["Content-Type"] == "text/css"
    assert style.content.startswith(b".brand-preview { --accent: light-dark(#6a2e9f, #cda6f4);")
    assert client.get(f"{place}/preview.css?light=%237db3ff&dark=%23cda6f4").status_code == 404
    faint = client.get(f"{place}?product=Try&accent_light=%237db3ff&accent_dark=%23cda6f4")
    assert "where 4.5:1 is" in faint.content.decode()
    assert brand_of(reseller_owner.account.path) == PLAIN
    uploaded = io.BytesIO(picture())
    uploaded.name = "logo.png"
    assert client.post(f"{place}/logo", {"logo": uploaded}).status_code == 302
    assert client.post(f"{place}/logo", {}).status_code == 422
    done = client.post(place, {"product": "North Cloud"})
    assert done.status_code == 302
    assert "North Cloud" in client.get(place).content.decode()


def test_a_style_has_colours_alone(reseller_owner: Person) -> None:
    place = f"/brand/{reseller_owner.account.id}"
    answer = Client().get(f"{place}/6a2e9fcda6f4.css")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/css")
    assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
    for digest in ("none", "ffffffffffff", "6a2e9fcda6f41", "6a2e9fcda6fg"):
        assert Client().get(f"{place}/{digest}.css").status_code == 404
