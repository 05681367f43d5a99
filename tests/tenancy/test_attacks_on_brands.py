"""A reseller's host name is in the reseller's hands: what it may open, and what it must not."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from django.test import Client, override_settings
from PIL import Image

from identity import tasks
from identity.brands import brand_for_host
from identity.hosts import site_for_host
from identity.models import PasswordReset
from identity.notices import address_for
from identity.services import brand_logo_set, brand_set
from qcloud.kernel.errors import Invalid
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person, accept, invite, last_token
from tests.portal.conftest import sign_in

pytestmark = pytest.mark.django_db
TRAP = "cloud.north.example"


@pytest.fixture
def trap(reseller_owner: Person) -> str:
    """A host name whose DNS is the reseller's."""
    claim(reseller_owner, TRAP)
    return TRAP


def claim(person: Person, host: str) -> None:
    brand_set(
        actor=person.actor, product="North", accent_light="", accent_dark="", sender="", host=host
    )


def links(monkeypatch: pytest.MonkeyPatch, host: str, portal: str, email: str) -> list[str]:
    """Of the mails that asking for a new password under this host name sends."""
    sent: list[str] = []

    def send(**given: Any) -> None:
        sent.append(given["context"]["link"])

    monkeypatch.setattr("identity.services.passwords.mail_send", send)
    path = f"/{portal}/password"
    assert Client().post(path, {"email": email}, headers={"host": host}).status_code == 200
    tasks.send_notices()
    return sent


@pytest.mark.django_db(transaction=True)
def test_a_reset_link_of_somebody_elses_never_leads_to_a_resellers_host(
    cloud_admin: Person,
    other_customer_owner: Person,
    trap: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for victim in (cloud_admin, other_customer_owner):
        (link,) = links(monkeypatch, trap, "c", victim.email)
        assert link.startswith("http://127.0.0.1:8600/c/password/")
    post = Client().post("/admin/password", {"email": cloud_admin.email}, headers={"host": trap})
    assert post.status_code == 404
    with unscoped("test"):
        assert PasswordReset.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_reset_link_of_the_resellers_own_people_leads_to_its_host(
    customer_owner: Person, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (link,) = links(monkeypatch, trap, "c", customer_owner.email)
    assert link.startswith(f"http://{trap}:8600/c/password/")


def test_who_also_works_elsewhere_is_not_led_to_a_resellers_host(
    customer_owner: Person, other_customer_owner: Person, trap: str
) -> None:
    north = site_for_host(trap).account_id
    assert address_for(customer_owner.user, north) == f"http://{trap}:8600"
    assert address_for(other_customer_owner.user, north) == "http://127.0.0.1:8600"
    invite(other_customer_owner.account, "viewer", customer_owner.email, other_customer_owner.actor)
    accept(last_token())
    assert address_for(customer_owner.user, north) == "http://127.0.0.1:8600"


def test_a_resellers_host_opens_only_what_is_below_it(
    cloud_admin: Person,
    reseller_owner: Person,
    customer_owner: Person,
    other_customer_owner: Person,
    trap: str,
) -> None:
    for person, path, status in (
        (reseller_owner, "/r/north/", 200),
        (customer_owner, "/c/acme/environments", 200),
        (other_customer_owner, "/c/birch/environments", 404),
        (cloud_admin, "/admin/", 404),
    ):
        here = sign_in(person, site_id=reseller_owner.account.id)
        assert here.get(path, headers={"host": trap}).status_code == status, path
        assert sign_in(person).get(path).status_code == 200, path


def test_a_name_below_a_wildcard_of_the_platform_is_no_resellers(reseller_owner: Person) -> None:
    with override_settings(ALLOWED_HOSTS=["testserver", ".provider.example"]):
        for host in ("portal.provider.example", "provider.example", "Testserver."):
            with pytest.raises(Invalid) as refused:
                claim(reseller_owner, host)
            assert refused.value.data["fields"] == {
                "host": "The platform itself goes by this name."
            }


def test_a_name_that_the_platform_took_later_is_the_platforms(
    reseller_owner: Person, other_customer_owner: Person, trap: str
) -> None:
    assert brand_for_host(trap).product == "North"
    with override_settings(ALLOWED_HOSTS=["testserver", trap]):
        assert brand_for_host(trap).product == "QCloud"
        page = sign_in(other_customer_owner).get("/c/birch/environments", headers={"host": trap})
        assert page.status_code == 200
    del reseller_owner


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it is ``side`` pixels square."""
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [4_001, 10_000, 30_000, 2**31 - 1])
def test_a_logo_that_would_unpack_to_gigabytes_is_refused(
    reseller_owner: Person, side: int
) -> None:
    with pytest.raises(Invalid) as refused:
        brand_logo_set(actor=reseller_owner.actor, data=bomb(side))
    assert set(refused.value.data["fields"]) == {"logo"}


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_logo_with_any_byte_changed_is_drawn_or_refused(
    reseller_owner: Person, kind: str
) -> None:
    target = io.BytesIO()
    Image.effect_noise((24, 12), 60).save(target, kind)
    whole, refused = target.getvalue(), 0
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 0x5A
        try:
            brand_logo_set(actor=reseller_owner.actor, data=bytes(data))
        except Invalid:
            refused += 1
    assert refused > 0
