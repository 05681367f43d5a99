"""A request's body: refused before it is read, read within bounds, decompressed within bounds."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

import zstandard
from starlette.requests import ClientDisconnect, Request

from pulse.errors import BadRequest, MalformedBatch, TooLarge, UnsupportedEncoding
from wire.protocol import CONTENT_ENCODINGS, MAX_BATCH_BYTES, MAX_BATCH_DECODED_BYTES

_WINDOW: Final = 32 * 1024 * 1024
"""Of zstd frames: above what any level below 22 uses, and what one batch may cost us."""


def check_announced(request: Request, limit: int = MAX_BATCH_BYTES) -> str:
    """The body's Content-Encoding, once the headers are acceptable.

    Raises ``TooLarge``, ``UnsupportedEncoding``, ``BadRequest``; nothing has been read then.
    """
    announced = request.headers.get("content-length")
    if announced is not None:
        if not announced.isdecimal():
            raise BadRequest("Content-Length is not a number")
        if int(announced) > limit:
            raise TooLarge(
                f"the body has {announced} bytes, the limit is {limit}; send less at once"
            )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in CONTENT_ENCODINGS:
        raise UnsupportedEncoding(encoding)
    return encoding


async def read_body(request: Request, seconds: float, limit: int = MAX_BATCH_BYTES) -> bytes:
    """The body as sent.

    Raises ``TooLarge`` at the limit, also for a body of unknown length, and ``BadRequest``
    when it does not arrive in time or the sender goes away.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise TooLarge(f"the body has more than {limit} bytes; send less at once")
                chunks.append(chunk)
    except TimeoutError as error:
        raise BadRequest(f"the body did not arrive within {seconds:.0f} s") from error
    except ClientDisconnect as error:
        raise BadRequest("the connection ended within the body") from error
    return b"".join(chunks)


def decompress(data: bytes, encoding: str, limit: int = MAX_BATCH_DECODED_BYTES) -> bytes:
    """The body's content. A bomb is given up at the limit.

    Raises ``TooLarge`` or ``MalformedBatch``.
    """
    try:
        if encoding == "zstd":
            return _unzstd(data, limit)
        if encoding == "gzip":
            return _gunzip(data, limit)
    except (zstandard.ZstdError, zlib.error) as error:
        raise MalformedBatch(f"the body is not valid {encoding}: {error}") from error
    return data


def _unzstd(data: bytes, limit: int) -> bytes:
    parameters = zstandard.get_frame_parameters(data)
    if parameters.window_size > _WINDOW:
        raise MalformedBatch(
            f"the zstd window is {parameters.window_size} bytes, the limit is {_WINDOW}"
        )
    known = parameters.content_size != zstandard.CONTENTSIZE_UNKNOWN
    if known and parameters.content_size > limit:
        raise TooLarge(f"the body decompresses to {parameters.content_size} bytes")
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    try:
        return decompressor.decompress(data, max_output_size=limit, allow_extra_data=False)
    except zstandard.ZstdError as error:
        # The same error for a frame that is cut off and for one that does not fit.
        if len(decompressor.stream_reader(data).read(limit + 1)) > limit:
            raise TooLarge(f"the body decompresses to more than {limit} bytes") from error
        raise


def _gunzip(data: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    decoded = stream.decompress(data, limit + 1)
    if len(decoded) > limit:
        raise TooLarge(f"the body decompresses to more than {limit} bytes; send less at once")
    if not stream.eof or stream.unused_data:
        raise MalformedBatch("the body is not one whole gzip stream")
    return decoded
