"""Clips in, verdicts out, over HTTP: what `ffdv serve` answers.

    GET    /                               a page: drop clips, see verdicts
    PUT    /v1/scans/NAME                  the body is a clip: curl -T clip.mp4 http://127.0.0.1:8000/v1/scans/
    POST   /v1/scans?name=NAME             the same
    GET    /v1/scans/KEY                   how far it is; when done its JSON (docs/scan-json.md)
    GET    /v1/scans?key=KEY&key=KEY       several at once
    GET    /v1/scans/KEY/clips/page.html   its page, for people; .../media/clip is the clip in its player
    DELETE /v1/scans/KEY                   removed at once
    GET    /v1/health                      version, weights, how much waits

A clip's bytes are the whole body, so that they go to disk as they come, whatever their number. Pages of other sites, and names that are not this
service's, are refused (CSRF, DNS rebinding); there is no other lock: whoever reaches the port may use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ffdv.app.serve.callers import OwnCallers
from ffdv.app.serve.hand_in import Asked, Limits, drained, taken
from ffdv.app.serve.page import front_page, gone_page
from ffdv.app.serve.service import MEDIA, ScanService, Standing, State
from ffdv.detect.judging import shipped_weights
from ffdv.detect.told import CLIPS
from ffdv.sentences import LANGUAGES, Lang, Sentence, worded

log = logging.getLogger("ffdv.serve")
SWEEP_SECONDS = 10.0
LONGEST_WAIT = 300.0  # seconds that a caller may ask to be kept waiting
LOOK_SECONDS = 0.2
MOST_KEYS = 200  # that may be asked for at once
TOO_SLOW, UNWANTED, CLIENT_GONE = 408, 409, 499  # the last as nginx calls it; nobody reads it
# What browsers play; everything else is a download. Nothing is ever served as a page that was not made here.
MEDIA_TYPES = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/webm", ".mp3": "audio/mpeg",
    ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".opus": "audio/ogg", ".m4a": "audio/mp4", ".aac": "audio/aac",
}  # fmt: skip
UNKNOWN = Sentence("there is no such clip here (any more); hand it in again")
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

Language = Annotated[Lang, Query(description="of sentences and page")]
Key = Annotated[
    str,
    Query(
        pattern="^([0-9a-f]{32})?$", description="32 hex digits that you chose by chance: a second try finds the first"
    ),
]
Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="seconds to be kept waiting for the result")]


class ScanState(BaseModel):
    """How far a clip is. ahead: clips that are scanned before it is begun; url, page: where to ask again, and its page for people."""

    key: str
    state: State
    ahead: int
    url: str
    page: str | None
    result: dict[str, Any] | None = Field(description="ffdv.scan/1 when done or failed: docs/scan-json.md")


class Health(BaseModel):
    """in_hand: clips that are written, wait or are scanned, of most_in_hand; kept: results that can be seen; scanning: whether the workers work."""

    version: str
    weights: dict[str, str]
    scanning: bool
    in_hand: int
    most_in_hand: int
    kept: int


class Refusal(BaseModel):
    """Why not, in one sentence, in the language that was asked for."""

    detail: str


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a route beside the good one, for its description."""
    return {status: {"model": Refusal} for status in (400, 403, *statuses)}


PAGES: dict[int | str, dict[str, Any]] = {404: {"description": "a page that says that the clip is gone"}, **_refusals()}
HANDED_IN: dict[int | str, dict[str, Any]] = {200: {"model": ScanState}, **_refusals(408, 409, 413, 415, 503, 507)}


def create_app(service: ScanService, limits: Limits) -> FastAPI:
    """The application around a service; whoever made that begins and ends it."""
    from ffdv import __version__

    app = FastAPI(
        title="ffdv",
        version=__version__,
        summary="How likely a video of a talking person is forged, by which sense, in which seconds, and why.",
        lifespan=lambda _: _life(service),
        docs_url=None,  # that page would fetch its scripts from elsewhere
        redoc_url=None,
        exception_handlers={AnyHTTPException: _refuse, RequestValidationError: _refuse_values},
    )
    app.add_middleware(OwnCallers, names=frozenset(name.lower() for name in limits.names))
    _take_clips(app, service, limits)
    _tell_of_clips(app, service)
    _show_pages(app, service, limits)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """The description for programs, without the answer to wrong values that FastAPI has and we have not."""
    if app.openapi_schema is None:
        told = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        for route in told["paths"].values():
            for answer in route.values():
                answer["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            told["components"]["schemas"].pop(name, None)
        app.openapi_schema = told
    return app.openapi_schema


def _take_clips(app: FastAPI, service: ScanService, limits: Limits) -> None:
    """Add what clips are handed in by."""

    @app.put(
        "/v1/scans/{name:path}", status_code=202, response_model=ScanState, openapi_extra=BODY, responses=HANDED_IN
    )
    async def put(
        request: Request, response: Response, name: str, lang: Language = "en", wait: Wait = 0, key: Key = ""
    ) -> ScanState | Response:
        """Hand in a clip under its name; the body is its bytes. 202 and how far it is, 200 when it is done within `wait`."""
        return await _handed_in(service, limits, request, response, Asked(name, lang, wait, key))

    @app.put("/v1/scans", status_code=202, response_model=ScanState, include_in_schema=False)  # a slash forgotten
    @app.post("/v1/scans", status_code=202, response_model=ScanState, openapi_extra=BODY, responses=HANDED_IN)
    async def post(
        request: Request, response: Response, name: str = "clip", lang: Language = "en", wait: Wait = 0, key: Key = ""
    ) -> ScanState | Response:
        """Hand in a clip; the body is its bytes. 202 and how far it is, 200 when it is done within `wait`."""
        return await _handed_in(service, limits, request, response, Asked(name, lang, wait, key))


def _tell_of_clips(app: FastAPI, service: ScanService) -> None:
    """Add what programs ask."""

    @app.get("/v1/scans", responses=_refusals())
    def look_at_several(key: Annotated[list[str], Query(max_length=MOST_KEYS)]) -> list[ScanState]:
        """How far these clips are; those that are not here (any more) are left out."""
        return [_state_of(standing) for one in key if (standing := service.look(one)) is not None]

    @app.get("/v1/scans/{key}", responses=_refusals(404))
    async def look(request: Request, key: str, wait: Wait = 0) -> ScanState:
        """How far a clip is; it is asked again every now and then, or kept waiting."""
        return _state_of(await _standing(service, key, wait, request))

    @app.delete("/v1/scans/{key}", status_code=204, response_class=Response, responses=_refusals(404))
    def forget(key: str) -> Response:
        """Remove a clip and what was found."""
        if not service.forget(key):
            raise HTTPException(404, UNKNOWN)
        return Response(status_code=204)

    @app.head("/v1/health", include_in_schema=False)
    @app.get("/v1/health", responses={503: {"model": Health}})
    def health(response: Response) -> Health:
        """Whether clips are scanned (503 where they are not), by what, and how many wait."""
        from ffdv import __version__

        scanning = service.works
        response.status_code = 200 if scanning else 503
        return Health(
            version=__version__,
            weights=dict(shipped_weights()),
            scanning=scanning,
            in_hand=service.in_hand,
            most_in_hand=service.most_waiting,
            kept=service.kept,
        )


def _show_pages(app: FastAPI, service: ScanService, limits: Limits) -> None:
    """Add what people look at."""

    @app.api_route("/", methods=["GET", "HEAD"], response_class=HTMLResponse, include_in_schema=False)
    def front(request: Request, lang: Lang | None = None) -> HTMLResponse:
        speech = lang or _read_by(request.headers)
        return HTMLResponse(front_page(speech, most_bytes=limits.most_bytes, keep_seconds=service.keep_seconds))

    @app.get("/v1/scans/{key}/" + CLIPS + "/page.html", response_class=HTMLResponse, responses=PAGES)
    def page(request: Request, key: str) -> Response:
        """The page of a clip that was judged, for people."""
        path = service.page(key)
        with contextlib.suppress(OSError):  # it may be removed just now
            if path is not None:
                return HTMLResponse(path.read_bytes())
        return HTMLResponse(gone_page(_asked_language(request)), 404)

    @app.get("/v1/scans/{key}/" + MEDIA + "/{name}", response_class=FileResponse, responses=_refusals(404))
    def media(key: str, name: str) -> FileResponse:
        """The clip itself, for the player of its page."""
        path = service.media(key)
        if path is None or path.name != name:
            raise HTTPException(404, UNKNOWN)
        return _PassingFile(path, media_type=MEDIA_TYPES.get(path.suffix, "application/octet-stream"))


@contextlib.asynccontextmanager
async def _life(service: ScanService) -> AsyncIterator[None]:
    """A task that forgets old clips, as long as the application lives."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await asyncio.to_thread(service.sweep)

    sweeping = asyncio.create_task(sweep())
    try:
        yield
    finally:
        sweeping.cancel()


async def _handed_in(
    service: ScanService, limits: Limits, request: Request, response: Response, asked: Asked
) -> ScanState | Response:
    """Take a clip's bytes and have it scanned."""
    try:
        key = await taken(service, limits, request, asked)
    except ClientDisconnect:
        return Response(status_code=CLIENT_GONE)
    except HTTPException as error:
        if error.status_code not in (TOO_SLOW, UNWANTED) and not service.stopping.is_set():
            await drained(request)
        raise
    state = _state_of(await _standing(service, key, asked.wait, request))
    response.headers["Location"] = state.url
    response.status_code = 200 if state.result is not None else 202
    return state


async def _standing(service: ScanService, key: str, wait: float, request: Request) -> Standing:
    """How far a clip is, when it is done, `wait` seconds are over, the caller has gone or the service ends."""
    until = time.monotonic() + wait
    while not service.is_over(key) and time.monotonic() < until and not service.stopping.is_set():
        if await request.is_disconnected():
            break
        await asyncio.sleep(LOOK_SECONDS)
    standing = service.look(key)
    if standing is None:
        raise HTTPException(404, UNKNOWN)
    return standing


def _state_of(standing: Standing) -> ScanState:
    url = f"/v1/scans/{standing.key}"
    page = f"{url}/{CLIPS}/page.html" if standing.has_page else None
    return ScanState(
        key=standing.key, state=standing.state, ahead=standing.ahead, url=url, page=page, result=standing.told
    )


class _PassingFile(FileResponse):
    """A file that may be removed before it is sent, or while it is."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def told(message: Any) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await super().__call__(scope, receive, told)
        except (RuntimeError, FileNotFoundError):  # the library's words for a file that is gone
            if not has_begun:  # else the connection ends too soon, which is what happened
                await JSONResponse({"detail": UNKNOWN}, 404)(scope, receive, send)


async def _refuse(request: Request, error: Exception) -> Response:
    """Why not, in the language that was asked for."""
    assert isinstance(error, AnyHTTPException)
    told = worded(error.detail, _asked_language(request)) if isinstance(error.detail, Sentence) else error.detail
    if error.status_code >= 500:
        log.warning("%d: %s", error.status_code, error.detail)
    return JSONResponse({"detail": told}, error.status_code, headers=error.headers)


async def _refuse_values(_: Request, error: Exception) -> Response:
    """What is wrong with the first value that is."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"detail": f"{first['loc'][-1]}: {first['msg']}"}, 400)


def _asked_language(request: Request) -> Lang:
    """By ?lang=, else as the browser asks."""
    asked = request.query_params.get("lang")
    return next((lang for lang in LANGUAGES if lang == asked), None) or _read_by(request.headers)


def _read_by(headers: Mapping[str, str]) -> Lang:
    """The language that a browser asks for first."""
    return "zh" if headers.get("accept-language", "").lower().startswith("zh") else "en"
