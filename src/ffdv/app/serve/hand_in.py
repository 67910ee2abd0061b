"""A clip's bytes as they come over HTTP, into its file; refused with one sentence where they are too many, too slow, or nobody has room for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from ffdv.app.serve.service import NoRoomError, ScanService, Served, TooManyWaitError
from ffdv.sentences import Lang, Sentence

log = logging.getLogger("ffdv.serve")
PATIENCE_SECONDS = 60.0  # for the next bytes of a clip, and before LEAST_RATE is asked for
LEAST_RATE = 10_000  # bytes a second, on average: a modem's, and more than who only holds a place sends
DRAIN_SECONDS, DRAIN_BYTES = (
    10.0,
    64_000_000,
)  # of a refused clip that are read: many callers hear nothing before all is sent
RETRY_SECONDS = "10"


@dataclass(frozen=True)
class Limits:
    """most_bytes: of one clip; names: under which the service may be reached beside localhost and plain addresses."""

    most_bytes: int
    names: Collection[str] = ()


@dataclass(frozen=True)
class Asked:
    """What a caller wants of the clip that follows."""

    name: str
    lang: Lang
    wait: float


async def taken(service: ScanService, limits: Limits, request: Request, asked: Asked) -> Served:
    """The clip, written and submitted. Raises HTTPException, ClientDisconnect; nothing of it is left then."""
    length = _length(request.headers, limits)
    if not service.works:
        raise _later(Sentence("the service is being stopped; try again later"))
    try:
        served = await asyncio.to_thread(service.reserve, asked.name, asked.lang, expected=length)
    except TooManyWaitError as error:
        raise _later(error.args[0]) from None
    except NoRoomError as error:
        raise HTTPException(507, error.args[0], headers={"Retry-After": RETRY_SECONDS}) from None
    try:
        await _written(service, request, served, limits.most_bytes)
    except BaseException:
        service.forget(served.key)
        raise
    service.submit(served)
    return served


def _length(headers: Mapping[str, str], limits: Limits) -> int:
    """How many bytes are announced, the most where nothing is. Raises HTTPException for what can be refused before a byte has come."""
    if headers.get("content-type", "").lower().startswith("multipart/"):
        told = Sentence(
            "send the clip's bytes as the whole body, not as a form: curl -T clip.mp4 'http://HOST/v1/scans/'"
        )
        raise HTTPException(415, told)
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return limits.most_bytes
    if int(length) > limits.most_bytes:
        raise _too_large(limits.most_bytes)
    return int(length)


async def _written(service: ScanService, request: Request, served: Served, most_bytes: int) -> None:
    """Write the body to the clip's file as it comes, no slower than LEAST_RATE."""
    began, count, chunks = time.monotonic(), 0, aiter(request.stream())
    try:
        with served.media.open("xb") as file:
            while True:
                chunk = await asyncio.wait_for(anext(chunks, None), PATIENCE_SECONDS)
                if chunk is None:
                    break
                count += len(chunk)
                _refuse_to_go_on(service, count, most_bytes, time.monotonic() - began)
                await asyncio.to_thread(file.write, chunk)
    except TimeoutError:
        raise _too_slow() from None
    except OSError as error:
        log.warning("cannot keep a clip: %s", error)
        raise HTTPException(507, Sentence("the service's disk is full; try again later")) from error
    if not count:
        told = Sentence("the body is empty; send the clip's bytes: curl -T clip.mp4 'http://HOST/v1/scans/'")
        raise HTTPException(400, told)


def _refuse_to_go_on(service: ScanService, count: int, most_bytes: int, seconds: float) -> None:
    """Raises HTTPException where no more of a clip is taken."""
    if count > most_bytes:
        raise _too_large(most_bytes)
    if count < LEAST_RATE * (seconds - PATIENCE_SECONDS):
        raise _too_slow()
    if service.stopping.is_set():
        raise _later(Sentence("the service is being stopped; try again later"))


async def drained(request: Request) -> None:
    """Read what else comes of a refused clip, within limits, so that its sender hears why."""
    with contextlib.suppress(ClientDisconnect, TimeoutError, RuntimeError):
        async with asyncio.timeout(DRAIN_SECONDS):
            count = 0
            async for chunk in request.stream():
                count += len(chunk)
                if count > DRAIN_BYTES:
                    break


def _later(told: Sentence) -> HTTPException:
    return HTTPException(503, told, headers={"Retry-After": RETRY_SECONDS})


def _too_slow() -> HTTPException:
    return HTTPException(408, Sentence("the clip comes too slowly or not at all; hand it in again"))


def _too_large(most_bytes: int) -> HTTPException:
    told = Sentence("the clip is larger than {most:g} MB, which this service takes (--max-mb)", most=most_bytes / 1e6)
    return HTTPException(413, told)
