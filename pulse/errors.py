"""Pulse's errors and their codes.

``pulse.unauthorized`` 401 · ``pulse.bad_request`` 400 · ``pulse.too_large`` 413 ·
``pulse.unsupported_encoding`` 415 · ``pulse.over_quota``, ``pulse.over_daily_quota`` 429 ·
``pulse.malformed_line``, ``pulse.malformed_batch``, ``pulse.unknown_kind`` 422 ·
``pulse.spool_full``, ``pulse.spool_failed``, ``pulse.store_unavailable``,
``pulse.erasure_waits`` 503
"""

from __future__ import annotations

from qcloud.kernel.errors import QCloudError


class Unauthorized(QCloudError):
    def __init__(self, message: str) -> None:
        super().__init__("pulse.unauthorized", 401, message)


class BadRequest(QCloudError):
    def __init__(self, message: str) -> None:
        super().__init__("pulse.bad_request", 400, message)


class TooLarge(QCloudError):
    def __init__(self, message: str) -> None:
        super().__init__("pulse.too_large", 413, message)


class UnsupportedEncoding(QCloudError):
    def __init__(self, encoding: str) -> None:
        super().__init__(
            "pulse.unsupported_encoding",
            415,
            f"Content-Encoding {encoding!r} is not understood; send identity, gzip or zstd",
        )


class MalformedLine(QCloudError):
    """``data["line"]``: the 1-based line of the batch."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(
            "pulse.malformed_line",
            422,
            f"line {line} of the batch: {reason}. Nothing of this batch was stored",
            line=line,
        )


class MalformedBatch(QCloudError):
    def __init__(self, reason: str) -> None:
        super().__init__(
            "pulse.malformed_batch", 422, f"{reason}. Nothing of this batch was stored"
        )


class UnknownKind(QCloudError):
    def __init__(self, kind: str, known: tuple[str, ...]) -> None:
        super().__init__(
            "pulse.unknown_kind",
            422,
            f"events of the kind {kind[:40]!r} are not taken here, only {', '.join(known)}."
            " Nothing of this batch was stored; bring the platform up to date",
        )


class OverQuota(QCloudError):
    """``data["retry_after"]``: seconds."""

    def __init__(self, rate: int, *, seconds: int) -> None:
        super().__init__(
            "pulse.over_quota",
            429,
            f"this account sends more than its {rate} bytes a second. Nothing of this batch was"
            f" stored; send it again in {seconds} s. If that is too little for its traffic, ask"
            " the provider for a larger quota",
            retry_after=seconds,
        )


class OverDailyQuota(QCloudError):
    """``data["retry_after"]``: seconds."""

    def __init__(self, limit: int, raised_by: str, *, seconds: int) -> None:
        super().__init__(
            "pulse.over_daily_quota",
            429,
            f"the {limit:,} events that this account, with those that share its quota, may send a"
            f" day (UTC) are used up. Nothing of this batch was stored; keep it and send it again"
            f" in {seconds} s. {raised_by} can raise the quota",
            retry_after=seconds,
        )


class SpoolFull(QCloudError):
    def __init__(self, limit: int) -> None:
        super().__init__(
            "pulse.spool_full",
            503,
            f"the spool has reached its limit of {limit} bytes: the loader or the event store is"
            " behind or stopped, or too much is set aside (qcloud spool list). Send the batch"
            " again later",
        )


class BootForgotten(QCloudError):
    def __init__(self) -> None:
        super().__init__(
            "pulse.boot_forgotten",
            409,
            "this batch is of a start of the agent so long ago that the platform no longer knows"
            " which of its batches were counted (QCLOUD_LEDGER_DAYS). It was not stored and will"
            " not be: set it aside. If the agent has just started, its node's clock is wrong",
        )


class SpoolShare(QCloudError):
    """The account has as much waiting as is left free for all the others."""

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(
            "pulse.spool_share",
            503,
            f"{waiting} bytes of this account wait in the spool or are set aside in it, which"
            f" holds {limit}; the rest is kept free for others. The loader or the event store is"
            " behind or stopped, or an operator has to decide about what it refuses (qcloud"
            " spool list). Nothing of this batch was stored; send it again later",
        )


class SpoolFailed(QCloudError):
    def __init__(self, reason: str) -> None:
        super().__init__(
            "pulse.spool_failed",
            503,
            f"the batch could not be written to disk ({reason}) and was not stored."
            " Make room or repair the disk of the spool; send the batch again later",
        )


class StoreUnavailable(QCloudError):
    def __init__(self, where: str) -> None:
        super().__init__(
            "pulse.store_unavailable",
            503,
            f"the event store at {where} does not answer. Start it (qcloud eventstore) or check"
            " QCLOUD_EVENTSTORE_HOST and QCLOUD_EVENTSTORE_PORT",
        )


class ErasureWaits(QCloudError):
    """``what`` is not done: a sentence without its end."""

    def __init__(self, what: str) -> None:
        super().__init__("pulse.erasure_waits", 503, f"{what}. Start them and erase again")


class HeldBack(QCloudError):
    """A legal hold forbids it."""

    def __init__(self, holds: int) -> None:
        super().__init__(
            "pulse.held_back",
            409,
            f"{holds} legal holds are on this account's traffic, and nothing of it may be erased."
            " Lift them under Settings → Retention first",
        )
