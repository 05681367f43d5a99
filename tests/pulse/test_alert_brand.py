"""An alert's mail bears the brand of whoever sells to the account, over a real SMTP server."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.message import EmailMessage
from uuid import UUID

import pytest

from identity.services import brand_set
from notify.models import Delivery
from notify.tasks import deliver
from pulse.store.client import Store
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from tests.notify import conftest as mailing
from tests.notify.postbox import Postbox
from tests.pulse import test_alerts as alerting
from tests.pulse.rows import put

pytestmark = pytest.mark.django_db(transaction=True)
smtp, make, prod, start = mailing.smtp, alerting.make, alerting.prod, alerting.start


def sent(smtp: Postbox) -> list[EmailMessage]:
    with unscoped("test"):
        waiting = list(Delivery.objects.filter(what="alert").order_by("id").values_list("id"))
    for (delivery_id,) in waiting:
        assert deliver(str(delivery_id)) is True
    return smtp.mails


def bodies(mail: EmailMessage) -> tuple[str, str]:
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def fire(store: Store, person: Person, prod: UUID, start: datetime, make: alerting.Make) -> None:
    made = make()
    put(store, person.account.id, prod, start, 360, every=timedelta(seconds=10), status=500)
    alerting.walk(person, made, start, 3, store)


def test_the_resellers_brand(
    store: Store, customer_owner: Person, reseller_owner: Person, prod: UUID, start: datetime,
    make: alerting.Make, smtp: Postbox,
) -> None:  # fmt: skip
    brand_set(
        actor=reseller_owner.actor, product="North Cloud", accent_light="#6A2E9F",
        accent_dark="#cda6f4", sender="alerts@north.example", host="",
    )  # fmt: skip
    fire(store, customer_owner, prod, start, make)
    (mail,) = sent(smtp)
    assert (mail["From"], mail["Subject"]) == (
        "North Cloud <alerts@north.example>",
        "[Firing] errors",
    )
    plain, html = bodies(mail)
    assert "#6a2e9f" in html.lower()
    assert "QCloud" not in plain + html


def test_without_one_the_platforms_own(
    store: Store, customer_owner: Person, prod: UUID, start: datetime, make: alerting.Make,
    smtp: Postbox,
) -> None:  # fmt: skip
    fire(store, customer_owner, prod, start, make)
    (mail,) = sent(smtp)
    assert mail["From"] == "QCloud <qcloud@provider.example>"
    assert "North" not in "".join(bodies(mail))
