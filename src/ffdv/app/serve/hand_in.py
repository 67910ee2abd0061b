"""A clip's bytes as they come over HTTP, into its file; refused with one sentence where they are too many, too slow, or nobody has room for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from ffdv.app.serve.service import FULL, NoRoomError, ScanService, Served, TooManyWaitError
from ffdv.sentences import Lang, Sentence

log = logging.getLogger("ffdv.serve")
PATIENCE_SECONDS = 60.0  # for the next bytes of a clip, and before LEAST_RATE is asked for
LEAST_RATE = 10_000  # bytes a second, on average: a modem's, and more than who only holds a place sends
DRAIN_SECONDS, DRAIN_BYTES = 10.0, 64_000_000  # of a refused clip: many callers hear nothing before all is sent
CHECK_BYTES = 8_000_000  # between two looks at what the disk has left
LOOK_SECONDS = 1.0  # between two looks whether the service ends while a sender pauses
RETRY_SECONDS = "10"
RESTING = Sentence("the service does not scan now; try again later")


@dataclass(frozen=True)
class Limits:
    """most_bytes: of one clip; names: under which the service may be reached beside localhost and plain addresses."""

    most_bytes: int
    names: Collection[str] = ()


@dataclass(frozen=True)
class Asked:
    """What a caller wants of the clip that follows. key: "" or 32 hex digits that he chose, by which a second try finds the first."""

    name: str
    lang: Lang
    wait: float
    key: str = ""


async def taken(service: ScanService, limits: Limits, request: Request, asked: Asked) -> str:
    """The key of the clip, written and submitted. Raises HTTPException, ClientDisconnect; nothing of it is left then."""
    if asked.key and service.look(asked.key) is not None:  # the answer to a first try was lost
        await drained(request)
        return asked.key
    length = _length(request.headers, limits)
    if not service.works:
        raise _later(RESTING)
    try:
        served = await asyncio.to_thread(service.reserve, asked.name, asked.lang, expected=length or 0, key=asked.key)
    except TooManyWaitError as error:
        raise _later(error.args[0]) from None
    except NoRoomError as error:
        raise _full() from error
    try:
        await _written(service, request, served, _Announced(length, limits.most_bytes))
        service.submit(served)
    finally:
        service.stop_writing(served)
    return served.key


def _length(headers: Mapping[str, str], limits: Limits) -> int | None:
    """How many bytes are announced. Raises HTTPException for what can be refused before a byte has come."""
    if headers.get("content-type", "").lower().startswith("multipart/"):
        told = Sentence(
            "send the clip's bytes as the whole body, not as a form: curl -T clip.mp4 'http://HOST/v1/scans/'"
        )
        raise HTTPException(415, told)
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return None
    if int(length) > limits.most_bytes:
        raise _too_large(limits.most_bytes)
    return int(length)


@dataclass(frozen=True)
class _Announced:
    """length: of the body where it is told; most_bytes: that are taken."""

    length: int | None
    most_bytes: int


async def _written(service: ScanService, request: Request, served: Served, announced: _Announced) -> None:
    """Write the body to the clip's file as it comes, no slower than LEAST_RATE."""
    began, count, checked, chunks = time.monotonic(), 0, 0, aiter(request.stream())
    try:
        with served.media.open("xb") as file:
            while (chunk := await _next_chunk(service, served, chunks)) is not None:
                count += len(chunk)
                _refuse_to_go_on(count, announced.most_bytes, time.monotonic() - began)
                await asyncio.to_thread(file.write, chunk)
                if count - checked >= CHECK_BYTES:
                    checked = count
                    await asyncio.to_thread(_check_room, service, served, announced, count)
    except OSError as error:
        log.warning("cannot keep a clip: %s", error)
        raise _full() from error
    if not count:
        told = Sentence("the body is empty; send the clip's bytes: curl -T clip.mp4 'http://HOST/v1/scans/'")
        raise HTTPException(400, told)


async def _next_chunk(service: ScanService, served: Served, chunks: AsyncIterator[bytes]) -> bytes | None:
    """The next bytes of a body, None at its end. Raises HTTPException where they do not come, or the service ends."""
    coming = asyncio.ensure_future(anext(chunks, None))
    began = time.monotonic()
    try:
        while not (await asyncio.wait((coming,), timeout=LOOK_SECONDS))[0]:
            if service.stopping.is_set():
                raise _later(RESTING)
            if not service.wants(served):
                raise _unwanted()
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise _too_slow()
        if not service.wants(served):
            raise _unwanted()
        return coming.result()
    finally:
        coming.cancel()


def _check_room(service: ScanService, served: Served, announced: _Announced, count: int) -> None:
    """Tell the service what is still to come. Raises HTTPException where the disk fills up with what nobody announced."""
    service.expect(served, max(0, (announced.length or 0) - count))
    if announced.length is None and service.free_bytes() < 0:
        raise _full()


def _refuse_to_go_on(count: int, most_bytes: int, seconds: float) -> None:
    """Raises HTTPException where no more of a clip is taken."""
    if count > most_bytes:
        raise _too_large(most_bytes)
    if count < LEAST_RATE * (seconds - PATIENCE_SECONDS):
        raise _too_slow()


async def drained(request: Request) -> None:
    """Read what else comes of a clip that is not wanted, within limits, so that its sender hears why; who asked before he sends hears it at once."""
    if "expect" in request.headers:
        return
    with contextlib.suppress(ClientDisconnect, TimeoutError, RuntimeError):
        async with asyncio.timeout(DRAIN_SECONDS):
            count = 0
            async for chunk in request.stream():
                count += len(chunk)
                if count > DRAIN_BYTES:
                    break


def _full() -> HTTPException:
    return HTTPException(507, FULL, headers={"Retry-After": RETRY_SECONDS})


def _later(told: Sentence) -> HTTPException:
    return HTTPException(503, told, headers={"Retry-After": RETRY_SECONDS})


def _unwanted() -> HTTPException:
    return HTTPException(409, Sentence("the clip was removed, or handed in once more, while it was sent"))


def _too_slow() -> HTTPException:
    return HTTPException(408, Sentence("the clip comes too slowly or not at all; hand it in again"))


def _too_large(most_bytes: int) -> HTTPException:
    told = Sentence("the clip is larger than {most:g} MB, which this service takes (--max-mb)", most=most_bytes / 1e6)
    return HTTPException(413, told)
