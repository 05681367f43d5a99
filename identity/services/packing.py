"""How a worker packs what an account takes with it: part after part, restartable.

Packed into a file on the worker's disk that has no name, then stored in sealed pieces in one
transaction with the word that it is there. Whoever dies on the way leaves a claim that runs
out; the next one begins anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from tempfile import TemporaryFile
from typing import IO, Final
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import structlog
from django.db.models import Q

from audit.services import record
from identity.brands import mail_brand
from identity.models import Account, Takeout, TakeoutPiece, TakeoutState, User
from identity.policies import CLOSING_GRACE
from identity.selectors import AccountInfo, account_info
from notify.services import mail_send
from qcloud.kernel import takeout
from qcloud.kernel.clock import now
from qcloud.kernel.errors import QCloudError
from qcloud.kernel.permissions import Actor
from qcloud.kernel.scope import scoped, unscoped
from qcloud.kernel.settings import value

log = structlog.get_logger(__name__)

LEASE: Final = timedelta(minutes=15)
"""Longer than one part takes; renewed with each file."""
PAUSE: Final = timedelta(minutes=1)
ATTEMPTS: Final = 5
_PIECE: Final = 1 << 20
_PACKER: Final = "account export"


class _Lost(Exception):
    """Another worker has taken the export over, or its account is gone."""


def takeouts_pack() -> int:
    """Pack what was asked for, one after the other; returns how many are ready now."""
    ready = 0
    while (claimed := _claim()) is not None:
        row, account = claimed
        try:
            _pack(row, account)
            ready += 1
        except _Lost:
            log.info("an export is somebody else's now", takeout=str(row.id))
        except QCloudError as error:
            _stumble(row, account, error.message)
        except Exception as error:
            # Whatever it was: the person must see that it failed, the log what it was.
            log.exception("an export failed", takeout=str(row.id))
            _stumble(row, account, f"It failed ({type(error).__name__}); the log has more.")
    return ready


def takeouts_forget() -> int:
    """Remove archives whose time is over; returns how many."""
    with unscoped("exports: of every account, for the worker"):
        over = Takeout.objects.filter(expires_at__lt=now())
        for row in over:
            record(
                actor=Actor.system("retention"),
                action="identity.takeout.forget",
                object_kind="takeout",
                object_id=row.id,
                scope=account_info(Account.objects.get(id=row.account_id)).scope,
            )
            row.delete()
        return len(over)


def _claim() -> tuple[Takeout, AccountInfo] | None:
    moment = now()
    free = Q(state=TakeoutState.WAITING) & (
        Q(claimed_at=None) | Q(claimed_at__lt=moment - PAUSE)
    ) | Q(state=TakeoutState.RUNNING, claimed_at__lt=moment - LEASE)
    with unscoped("exports: of every account, for the worker"):
        row = Takeout.objects.select_for_update(skip_locked=True).filter(free).last()
        if row is None:
            return None
        row.state, row.claimed_at, row.attempt = TakeoutState.RUNNING, moment, row.attempt + 1
        row.done, row.total = 0, len(takeout.parts())
        row.save()
        return row, account_info(Account.objects.get(id=row.account_id))


def _pack(row: Takeout, account: AccountInfo) -> None:
    with TemporaryFile() as file:
        files: dict[str, int] = {}
        with ZipFile(file, "w", ZIP_DEFLATED) as archive:
            for part in takeout.parts():
                _progress(row, part.name)
                for name, contents in part.files(account.scope):
                    files[name] = _write(archive, name, contents)
                    _progress(row, part.name)
                row.done += 1
            _write(archive, *takeout.document("contents.json", _contents(row, account, files)))
        _store(row, account, file)


def _write(archive: ZipFile, name: str, contents: Iterable[bytes]) -> int:
    """Bytes that were written."""
    written = 0
    entry = ZipInfo(name, now().timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as into:
        for piece in contents:
            written += into.write(piece)
    return written


def _contents(row: Takeout, account: AccountInfo, files: dict[str, int]) -> dict[str, object]:
    return {
        "account": {"id": account.id, "name": account.name, "short_name": account.slug},
        "asked_by": row.asked_label,
        "asked_at": row.asked_at,
        "packed_at": now(),
        "bytes_by_file": files,
        "left_out": "Secrets: tokens, credentials, keys, passwords. Payloads are in your own"
        " object store.",
    }


def _progress(row: Takeout, part: str) -> None:
    """Raises ``_Lost``."""
    with unscoped("exports: of every account, for the worker"):
        mine = Takeout.objects.filter(id=row.id, attempt=row.attempt, state=TakeoutState.RUNNING)
        if not mine.update(part=part, done=row.done, claimed_at=now()):
            raise _Lost


def _store(row: Takeout, account: AccountInfo, file: IO[bytes]) -> None:
    digest, size, position = hashlib.sha256(), 0, 0
    file.seek(0)
    with scoped(account.scope):
        mine = Takeout.objects.select_for_update().filter(id=row.id, attempt=row.attempt)
        held = mine.first()
        if held is None:
            raise _Lost
        held.pieces.all().delete()
        while data := file.read(_PIECE):
            digest.update(data)
            TakeoutPiece(
                account_id=account.id, takeout_id=row.id, position=position, data=data
            ).save(force_insert=True)
            size, position = size + len(data), position + 1
        held.state, held.size, held.sha256 = TakeoutState.READY, size, digest.hexdigest()
        held.done, held.part, held.trouble = held.total, "", ""
        held.ready_at, held.expires_at = now(), now() + value(CLOSING_GRACE)
        held.save()
        _record(account, held, "pack", {"size": size, "sha256": held.sha256})
    _tell(held, account)


def _stumble(row: Takeout, account: AccountInfo, why: str) -> None:
    """Again in a minute, and given up in the end."""
    with scoped(account.scope):
        held = Takeout.objects.select_for_update().filter(id=row.id, attempt=row.attempt).first()
        if held is None:
            return
        given_up = held.attempt >= ATTEMPTS
        held.state = TakeoutState.FAILED if given_up else TakeoutState.WAITING
        held.trouble, held.claimed_at = why[:500], now()
        held.save(update_fields=["state", "trouble", "claimed_at"])
        if given_up:
            _record(account, held, "fail", {"trouble": held.trouble})


def _record(account: AccountInfo, row: Takeout, verb: str, data: dict[str, object]) -> None:
    record(
        actor=Actor.system(_PACKER),
        action=f"identity.takeout.{verb}",
        object_kind="takeout",
        object_id=row.id,
        scope=account.scope,
        data=data,
    )


def _tell(row: Takeout, account: AccountInfo) -> None:
    """The mail leads to the page, which asks who it is; the archive itself has no address."""
    with unscoped("exports: whoever asked for one is told"):
        user = _asker(row.asked_by)
        if user is None:
            return
        mail_send(
            account_id=account.id,
            to=user.email,
            template="notice",
            context={
                "heading": f"The export of {account.name} is ready",
                "lines": [
                    f"It can be downloaded until {row.expires_at:%d %B %Y, %H:%M} UTC.",
                    f"SHA-256: {row.sha256}",
                ],
                "link": row.link,
            },
            key=f"takeout:{row.id}",
            brand=mail_brand(account.path),
        )


def _asker(user_id: UUID | None) -> User | None:
    found: User | None = User.objects.filter(id=user_id, is_active=True).first()
    return found
