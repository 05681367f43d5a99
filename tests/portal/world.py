"""One customer with everything a page can show: agents, traffic, usage, an invoice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from billing.services import price_book_assign, price_book_publish, run_billing
from fleet.selectors import agent_by_token, registration_by_token
from fleet.services import (
    agent_heartbeat,
    agent_register,
    environment_create,
    object_store_set,
    registration_token_create,
)
from pulse.inventory.looking import look
from pulse.inventory.selectors import known
from pulse.models import UsageHour
from pulse.rollups import touch
from pulse.store.client import Store
from qcloud.kernel.clock import now
from qcloud.kernel.ids import new_id
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import unscoped
from tests.factories.cast import Person
from wire.objects import (
    HttpTransaction,
    TransactionMetadata,
    TransactionRequest,
    TransactionResponse,
    encode_transaction,
    object_digest,
)
from wire.protocol import HeartbeatRequest, ProbeState, RegisterRequest

HOSTILE = "/<script>document.title='owned'</script>\"'><img src=x onerror=alert(1)>"
HOSTILE_HOST = "<b>evil</b>.example"
HOSTILE_BODY = b'{"note": "</pre><script>document.title=\'owned\'</script>", "n": 1}'
SECRET = "sk_live_do_not_show_4242"


@dataclass(frozen=True)
class World:
    environment_id: UUID
    token_id: UUID
    agent_id: UUID
    agent_name: str
    request_id: UUID
    hostile_id: UUID
    bare_id: UUID
    """A request without payload."""
    invoice_id: UUID
    wholesale_id: UUID
    vendor_id: UUID


def build(owner: Person, reseller: Person, cloud: Person, store: Store, folder: Path) -> World:
    place = environment_create(actor=owner.actor, name="Production", slug="prod")
    objects = folder / "objects"
    objects.mkdir()
    object_store_set(actor=owner.actor, environment_id=place.id, path=str(objects))
    token, secret = registration_token_create(
        actor=owner.actor, environment_id=place.id, name="rack 4"
    )
    agent_id = _agent(secret, "node-1")
    digest = _keep(objects)
    usual, hostile, bare = uuid4(), uuid4(), uuid4()
    moment = now()
    rows = [
        _row(owner, place.id, agent_id, moment - timedelta(minutes=3), request_id=usual,
             object_digest=digest, auth_token_type="bearer", vendor="Stripe"),
        _row(owner, place.id, agent_id, moment - timedelta(minutes=2), request_id=hostile,
             path=HOSTILE, host=HOSTILE_HOST, object_digest=digest, agent="<i>curl</i>"),
        _row(owner, place.id, agent_id, moment - timedelta(minutes=1), request_id=bare,
             status=503, replayed=True, method="POST"),
    ]  # fmt: skip
    rows += [
        _row(owner, place.id, agent_id, moment - timedelta(seconds=20 * i), path=f"/orders/{i}")
        for i in range(60)
    ]
    with unscoped("test"):
        # As the loader does: what nobody noted, no page counts.
        hour = moment.replace(minute=0, second=0, microsecond=0)
        touch(
            new_id(), {owner.account.id: [hour - timedelta(minutes=15 * i) for i in range(-4, 5)]}
        )
    store.client().raw_insert(
        "requests",
        column_names=list(rows[0]),
        insert_block="".join(json.dumps(row, default=_plain) + "\n" for row in rows),
        fmt="JSONEachRow",
        settings={"wait_end_of_query": 1},
    )
    _ask_names(owner, place.id, agent_id, moment, store)
    invoices = _bill(owner, reseller, cloud, place.id, moment)
    look(owner.scope, now(), store=store)
    vendor_id = known(owner.scope, ["Stripe"])["Stripe"].id
    return World(
        place.id, token.id, agent_id, "node-1", usual, hostile, bare, *invoices, vendor_id
    )  # fmt: skip


def _ask_names(
    owner: Person, environment_id: UUID, agent_id: UUID, moment: datetime, store: Store
) -> None:
    """Lookups of two processes; ``old.example`` was asked for long before as well."""

    def row(name: str, minutes: int, **changes: Any) -> dict[str, Any]:
        when = moment - timedelta(minutes=minutes)
        return {
            "account_id": owner.account.id, "environment_id": environment_id,
            "agent_id": agent_id, "timestamp": when, "received_at": when, "load_id": new_id(),
            "lookup_id": uuid4(), "connection_id": uuid4(), "direction": "egress-internal",
            "replayed": False, "name": name, "query_type": "A", "outcome": "answered",
            "rcode": "NOERROR", "duration_us": 1_500, "addresses": "203.0.113.7\n203.0.113.8",
            "answer_count": 2, "destination_ip": "10.0.0.2", "destination_port": 53,
            "hostname": "node-1", "exe": "/usr/bin/curl",
        } | changes  # fmt: skip

    gone = {"rcode": "NXDOMAIN", "addresses": "", "exe": "/opt/<b>bot</b>"}
    rows = [
        *(row("api.stripe.com", i) for i in range(1, 21)),
        *(row(f"q{i}.dga.example", i, **gone) for i in range(1, 61)),
        row("old.example", 5), row("old.example", 60 * 24 * 3),
        row("slow.example", 4, outcome="timeout", rcode="", addresses="", query_type="AAAA"),
        row("<script>1</script>.example", 6, replayed=True),
    ]  # fmt: skip
    store.client().raw_insert(
        "dns_lookups",
        column_names=list(rows[0]),
        insert_block="".join(json.dumps(row, default=_plain) + "\n" for row in rows),
        fmt="JSONEachRow",
        settings={"wait_end_of_query": 1},
    )


def _plain(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else str(value)


def _agent(secret: str, name: str) -> UUID:
    registration = registration_by_token(secret)
    assert registration is not None
    answer = agent_register(
        registration=registration,
        request=RegisterRequest(instance_id=uuid4(), name=name, version="0.1.0"),
    )
    identity = agent_by_token(answer.agent_token)
    assert identity is not None
    agent_heartbeat(
        identity=identity,
        request=HeartbeatRequest(
            boot_id=uuid4(),
            exchanges=63,
            probes=[
                ProbeState(family="openssl", active=True, attached=2),
                ProbeState(family="gotls", active=False, reason="no Go program found"),
            ],
        ),
    )
    return answer.agent_id


def _keep(objects: Path) -> str:
    data = encode_transaction(
        HttpTransaction(
            metadata=TransactionMetadata(),
            request=TransactionRequest(
                method="POST",
                url=f"https://{HOSTILE_HOST}{HOSTILE}",
                headers=[("Authorization", f"Bearer {SECRET}"), ("X-Note", "<script>1</script>")],
                body=HOSTILE_BODY,
            ),
            response=TransactionResponse(status=200, body=b"x" * 300_000),
        )
    )
    digest = object_digest(data)
    (objects / digest).write_bytes(data)
    return digest


def _row(
    owner: Person, environment_id: UUID, agent_id: UUID, at: datetime, **changes: Any
) -> dict[str, Any]:
    plain = {
        "account_id": owner.account.id,
        "environment_id": environment_id,
        "agent_id": agent_id,
        "timestamp": at,
        "request_id": uuid4(),
        "connection_id": uuid4(),
        "direction": "egress-external",
        "replayed": False,
        "scheme": "https",
        "method": "GET",
        "host": "api.stripe.com",
        "path": "/v1/charges",
        "status": 200,
        "duration_us": 12_345,
        "exe": "/usr/bin/python3.11",
        "agent": "python",
        "bytes_sent": 120,
        "bytes_received": 340,
        "auth_token_type": "",
        "object_digest": "",
        "vendor": "Stripe",
        "load_id": new_id(),
        "received_at": at,
    }
    return plain | changes


def _bill(
    owner: Person, reseller: Person, cloud: Person, environment_id: UUID, moment: datetime
) -> tuple[UUID, UUID]:
    """A retail draft to the customer and a wholesale draft to its reseller."""
    with unscoped("test usage"):
        UsageHour(
            account_id=owner.account.id,
            account_path=owner.account.path,
            environment_id=environment_id,
            hour=moment.replace(minute=0, second=0, microsecond=0),
            requests=63,
            requests_ingress=0,
            requests_egress_internal=0,
            requests_egress_external=63,
            bytes_sent=7_560,
            bytes_received=21_420,
            counted_at=moment,
        ).save(force_insert=True)
    return _sell(reseller, "retail", moment), _sell(cloud, "wholesale", moment)


def _sell(seller: Person, code: str, moment: datetime) -> UUID:
    since = date(2020, 1, 1)
    price = {
        "key": "requests",
        "description": "Observed requests",
        "model": "unit",
        "metric": "requests",
        "unit_size": 1,
        "amount": "0.20",
    }
    price_book_publish(
        actor=seller.actor,
        code=code,
        name=code.title(),
        currency="EUR",
        effective_from=since,
        prices=[price],
    )
    price_book_assign(actor=seller.actor, buyer_id=None, code=code, effective_from=since)
    report = run_billing(
        actor=Actor.system("test", seller.scope),
        seller_id=seller.account.id,
        period=f"{moment:%Y-%m}",
    )
    ids = [draft.invoice_id for draft in report.drafts if draft.invoice_id]
    return ids[0]
