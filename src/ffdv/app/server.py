"""Clips in, verdicts out, over HTTP: what `ffdv serve` answers.

    GET    /                               a page: drop clips, see verdicts
    PUT    /v1/scans/NAME                  the body is a clip: curl -T clip.mp4 http://127.0.0.1:8000/v1/scans/
    POST   /v1/scans?name=NAME             the same
    GET    /v1/scans/KEY                   how far it is; when done its JSON (docs/scan-json.md)
    GET    /v1/scans/KEY/clips/page.html   its page, for people; .../media/clip is the clip in its player
    DELETE /v1/scans/KEY                   removed at once
    GET    /v1/health                      version, weights, how much waits

A clip's bytes are the whole body, so that they go to disk as they come, whatever their number. Who is no browser page of this service, and
every other name under which it might be reached, is refused (CSRF, DNS rebinding); there is no other lock: whoever reaches the port may use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import shutil
import time
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from ffdv.app.serve_page import front_page
from ffdv.app.service import MEDIA, ScanService, Served, Standing, State, TooManyWaitError
from ffdv.detect.judging import shipped_weights
from ffdv.detect.told import CLIPS
from ffdv.sentences import Lang

SWEEP_SECONDS = 10.0
LONGEST_WAIT = 300.0  # seconds that a caller may ask to be kept waiting
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 60.0  # for the next bytes of a clip
SPARE_BYTES = 1_000_000_000  # of the disk, kept for results and for others
RETRY_SECONDS = "10"
# What browsers play; everything else is a download. Nothing is ever served as a page that was not made here.
MEDIA_TYPES = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/webm", ".mp3": "audio/mpeg",
    ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".opus": "audio/ogg", ".m4a": "audio/mp4", ".aac": "audio/aac",
}  # fmt: skip
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


Language = Annotated[Lang, Query(description="of sentences and page")]
Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="seconds to be kept waiting for the result")]


class ScanState(BaseModel):
    """How far a clip is. ahead: clips begun before it; url, page: where to ask again, and its page for people; result: docs/scan-json.md."""

    key: str
    state: State
    ahead: int = 0
    url: str
    page: str | None = None
    result: dict[str, Any] | None = None


class Health(BaseModel):
    """in_hand: clips that are written, wait or are scanned; kept: results that can be seen; scanning: whether the workers work."""

    version: str
    weights: dict[str, str]
    scanning: bool
    in_hand: int
    kept: int


@dataclass(frozen=True)
class Limits:
    """most_bytes: of one clip; names: under which the service may be reached beside localhost and plain addresses."""

    most_bytes: int
    names: Collection[str] = ()


def create_app(service: ScanService, limits: Limits) -> FastAPI:
    """The application around a service, which begins and ends with it."""
    from ffdv import __version__

    app = FastAPI(
        title="ffdv",
        version=__version__,
        summary="How likely a video of a talking person is forged, by which sense, in which seconds, and why.",
        lifespan=lambda _: _life(service),
        docs_url=None,  # that page would fetch its scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(_OwnCallers, names=frozenset(name.lower() for name in limits.names))

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def front(request: Request, lang: Lang | None = None) -> HTMLResponse:
        return HTMLResponse(
            front_page(
                lang or _read_by(request.headers), most_bytes=limits.most_bytes, keep_seconds=service.keep_seconds
            )
        )

    @app.put("/v1/scans/{name}", status_code=202, openapi_extra=BODY)
    async def put(request: Request, response: Response, name: str, lang: Language = "en", wait: Wait = 0) -> ScanState:
        """Hand in a clip under its name; the body is its bytes. 202 and how far it is, 200 when it is done within `wait`."""
        return await _handed_in(service, limits, request, response, (name, lang, wait))

    @app.post("/v1/scans", status_code=202, openapi_extra=BODY)
    async def post(
        request: Request, response: Response, name: str = "clip", lang: Language = "en", wait: Wait = 0
    ) -> ScanState:
        """Hand in a clip; the body is its bytes. 202 and how far it is, 200 when it is done within `wait`."""
        return await _handed_in(service, limits, request, response, (name, lang, wait))

    @app.get("/v1/scans/{key}")
    async def look(key: str, wait: Wait = 0) -> ScanState:
        """How far a clip is; it is asked again every now and then, or kept waiting."""
        return _state_of(await _standing(service, key, wait))

    @app.delete("/v1/scans/{key}", status_code=204, response_class=Response)
    def forget(key: str) -> Response:
        """Remove a clip and what was found."""
        if not service.forget(key):
            raise _unknown()
        return Response(status_code=204)

    @app.get("/v1/scans/{key}/" + CLIPS + "/page.html", response_class=HTMLResponse)
    def page(key: str) -> FileResponse:
        """The page of a clip that was judged, for people."""
        return _file(service.page(key), "text/html; charset=utf-8")

    @app.get("/v1/scans/{key}/" + MEDIA + "/{name}", response_class=FileResponse)
    def media(key: str, name: str) -> FileResponse:
        """The clip itself, for the player of its page."""
        path = service.media(key)
        return _file(path if path is not None and path.name == name else None, _media_type(name))

    @app.get("/v1/health")
    def health() -> Health:
        """Whether clips are scanned, by what, and how many wait."""
        return Health(
            version=__version__,
            weights=dict(shipped_weights()),
            scanning=service.works,
            in_hand=service.in_hand,
            kept=service.kept,
        )

    return app


@contextlib.asynccontextmanager
async def _life(service: ScanService) -> AsyncIterator[None]:
    """The service's workers, and a task that forgets old clips, as long as the application lives."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await asyncio.to_thread(service.sweep)

    await asyncio.to_thread(service.begin)
    sweeping = asyncio.create_task(sweep())
    try:
        yield
    finally:
        sweeping.cancel()
        await asyncio.to_thread(service.end)


async def _handed_in(
    service: ScanService, limits: Limits, request: Request, response: Response, asked: tuple[str, Lang, float]
) -> ScanState:
    """Take a clip's bytes and have it scanned."""
    name, lang, wait = asked
    _refuse_early(request.headers, limits, service.folder)
    try:
        served = await asyncio.to_thread(service.reserve, name, lang)
    except TooManyWaitError as error:
        raise HTTPException(503, f"{error}", headers={"Retry-After": RETRY_SECONDS}) from None
    except OSError as error:
        raise HTTPException(507, f"the service cannot keep a clip ({error.strerror})") from error
    try:
        await _written(request, served, limits.most_bytes)
    except BaseException:  # also when the caller went away
        await asyncio.shield(asyncio.to_thread(service.forget, served.key))
        raise
    await asyncio.to_thread(service.submit, served)
    state = _state_of(await _standing(service, served.key, wait))
    response.headers["Location"] = state.url
    response.status_code = 200 if state.result is not None else 202
    return state


def _refuse_early(headers: Mapping[str, str], limits: Limits, folder: Path) -> None:
    """What can be told before a byte of the clip has come."""
    if headers.get("content-type", "").startswith("multipart/"):
        raise HTTPException(
            415, "send the clip's bytes as the whole body, not as a form: curl -T clip.mp4 http://.../v1/scans/"
        )
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.most_bytes:
        raise _too_large(limits.most_bytes)
    if shutil.disk_usage(folder).free < limits.most_bytes + SPARE_BYTES:
        raise HTTPException(507, "the service's disk is full; try again later", headers={"Retry-After": RETRY_SECONDS})


async def _written(request: Request, served: Served, most_bytes: int) -> None:
    """Write the body to the clip's file as it comes."""
    count, chunks = 0, aiter(request.stream())
    with served.media.open("xb") as file:
        while True:
            try:
                chunk = await asyncio.wait_for(anext(chunks, None), PATIENCE_SECONDS)
            except TimeoutError:
                raise HTTPException(408, f"no more of the clip came for {PATIENCE_SECONDS:.0f} s") from None
            if chunk is None:
                break
            count += len(chunk)
            if count > most_bytes:
                raise _too_large(most_bytes)
            try:
                await asyncio.to_thread(file.write, chunk)
            except OSError as error:
                raise HTTPException(507, f"the service cannot keep a clip ({error.strerror})") from error
    if not count:
        raise HTTPException(400, "the body is empty; send the clip's bytes: curl -T clip.mp4 http://.../v1/scans/")


async def _standing(service: ScanService, key: str, wait: float) -> Standing:
    """How far a clip is, when it is done or `wait` seconds are over."""
    until = time.monotonic() + wait
    while True:
        standing = service.look(key)
        if standing is None:
            raise _unknown()
        if standing.told is not None or time.monotonic() >= until:
            return standing
        await asyncio.sleep(LOOK_SECONDS)


def _state_of(standing: Standing) -> ScanState:
    url = f"/v1/scans/{standing.key}"
    return ScanState(
        key=standing.key,
        state=standing.state,
        ahead=standing.ahead,
        url=url,
        page=f"{url}/{CLIPS}/page.html" if standing.has_page else None,
        result=standing.told,
    )


def _unknown() -> HTTPException:
    return HTTPException(404, "there is no such clip here (any more); hand it in again")


def _too_large(most_bytes: int) -> HTTPException:
    return HTTPException(413, f"the clip is larger than {most_bytes / 1e6:.0f} MB, which this service takes (--max-mb)")


def _file(path: Path | None, media_type: str) -> FileResponse:
    if path is None or not path.is_file():
        raise _unknown()
    return FileResponse(path, media_type=media_type)


def _media_type(name: str) -> str:
    return MEDIA_TYPES.get(Path(name).suffix, "application/octet-stream")


def _read_by(headers: Mapping[str, str]) -> Lang:
    """The language that a browser asks for first."""
    return "zh" if headers.get("accept-language", "").lower().startswith("zh") else "en"


class _OwnCallers:
    """Refuses callers that a browser sends from other pages, and names that are not this service's; adds headers that keep pages apart."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(headers)
        if refusal is not None:
            await JSONResponse({"detail": refusal}, 403, headers=HEADERS)(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, headers: Mapping[str, str]) -> str | None:
        host = headers.get("host", "")
        name = _host_name(host)
        if name not in self._names and not _is_plain(name):
            return f"this service is not called {name[:100]!r}; start it with --allow-host to let it be"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return "pages of other sites may not use this service"
        return None


def _host_name(host: str) -> str:
    """The name in a Host header, without the port.

    >>> _host_name("localhost:8000"), _host_name("[::1]:80"), _host_name("192.0.2.7")
    ('localhost', '::1', '192.0.2.7')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


def _is_plain(name: str) -> bool:
    """Whether that is localhost or an address: no foreign site's name can be led to it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return True
