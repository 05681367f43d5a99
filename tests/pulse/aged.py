"""Traffic of several ages in the store, loaded and counted as the platform does it."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from pulse.loader.block import hours_of
from pulse.metering import recompute_touched
from pulse.models import TouchedHour
from pulse.rollups import rebuild_touched
from pulse.store.client import Store
from qcloud.kernel.clock import now
from qcloud.kernel.scope import unscoped
from tests.pulse.lines import event, lines
from tests.pulse.loaded import load_frames
from tests.pulse.test_block import frame


def days_ago(days: float) -> datetime:
    """Noon of a day; never near midnight."""
    noon = now().replace(hour=12, minute=7, second=0, microsecond=0)
    return noon - timedelta(days=days)


def load_aged(store: Store, account: UUID, environment: UUID, ages: dict[int, int]) -> None:
    """``ages``: days → requests, ten seconds apart."""
    bodies = [
        lines(*(event(timestamp=days_ago(age) + timedelta(seconds=10 * n)) for n in range(count)))
        for age, count in ages.items()
    ]
    frames = [frame(body, account_id=account, environment_id=environment) for body in bodies]
    load_frames(store, frames)
    with unscoped("test"):
        TouchedHour.objects.bulk_create(
            TouchedHour(account_id=h.account_id, environment_id=h.environment_id, hour=h.start)
            for h in hours_of(frames)
        )


def count_all(store: Store) -> None:
    recompute_touched(store=store)
    rebuild_touched(store=store)
