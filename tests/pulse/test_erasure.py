"""An erased account: nothing is left, nothing comes back, nobody else is touched."""

from __future__ import annotations

from uuid import UUID

import pytest

from pulse.erasure import erase
from pulse.errors import ErasureWaits
from pulse.ingest.settings import IngestSettings
from pulse.loader.loader import Loader
from pulse.models import Load, LoadState, TouchedHour
from pulse.spool.folder import SpoolFolder
from pulse.store.client import Store
from pulse.store.gate import ask_as_system
from qcloud.kernel.ids import new_id
from qcloud.kernel.scope import unscoped
from tests.pulse.door import Sender, Somebody, Tokens, door
from tests.pulse.lines import event, lines

pytestmark = pytest.mark.django_db(transaction=True)


def load_all(spool: SpoolFolder, store: Store) -> None:
    loader = Loader(spool, store, linger=0)
    loader.recover()
    while loader.step() is not None:
        pass


def accounts(store: Store) -> list[UUID]:
    sql = "SELECT account_id FROM requests ORDER BY account_id"
    return [row[0] for row in ask_as_system("test", sql, {}, store=store)]


def test_an_erased_account_is_gone_and_stays_gone(spool: SpoolFolder, store: Store) -> None:
    leaving, staying = Somebody(), Somebody()
    with door(IngestSettings(spool=spool.path), Tokens(a=leaving, b=staying)) as client:
        for token in ("a", "b"):
            sent = lines(event(path="/1"), event(path="/2"))
            assert Sender(client, token=token).send(sent).status_code == 200
    load_all(spool, store)
    with door(IngestSettings(spool=spool.path), Tokens(a=leaving)) as client:
        assert Sender(client, token="a").send(lines(event(path="/waiting"))).status_code == 200
    found = erase(leaving.account_id, store=store)
    assert (found.before["requests"], found.after["requests"], found.complete) == (2, 0, True)
    load_all(spool, store)
    assert accounts(store) == [staying.account_id] * 2
    assert erase(leaving.account_id, store=store).before["requests"] == 0
    with unscoped("test"):
        assert not TouchedHour.objects.filter(account_id=leaving.account_id).exists()
        assert TouchedHour.objects.filter(account_id=staying.account_id).exists()
        assert list(Load.objects.order_by("id").values_list("rows", flat=True)) == [4, 0]


def test_an_erasure_waits_for_loads_that_began_before_it(store: Store) -> None:
    with unscoped("test"):
        Load.objects.create(spool_id=new_id(), segments=[], frames=[], rows=1)
    with pytest.raises(ErasureWaits, match="1 loads"):
        erase(new_id(), store=store, patience=0.1)
    with unscoped("test"):
        Load.objects.update(state=LoadState.DONE)
    assert erase(new_id(), store=store, patience=0.1).complete
