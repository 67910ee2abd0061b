"""`ffdv serve`: the detector as a service, for browsers and programs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import socket


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 for all of this machine's, which nothing protects.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0 for any that is free.")] = 8000,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Clips that are scanned at once; as many as there are cores when not given."),
    ] = None,
    max_mb: Annotated[float, typer.Option(min=0.001, help="Largest clip that is taken, in MB.")] = 500.0,
    max_minutes: Annotated[float, typer.Option(min=0.01, help="Look at so much of each clip.")] = 10.0,
    queue: Annotated[int, typer.Option(min=1, help="Clips that may be in hand at once; more are sent away.")] = 64,
    keep_minutes: Annotated[float, typer.Option(min=0, help="Keep clips and results so long.")] = 60.0,
    folder: Annotated[
        Path | None, typer.Option(help="Where they are kept; a temporary folder when not given.", show_default=False)
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A name that the service is reached by, behind a proxy say; may be repeated.", show_default=False
        ),
    ] = None,
) -> None:
    """The detector over HTTP: a page to drop clips on, and JSON for programs. Ctrl-C ends it and removes all clips."""
    try:
        import fastapi  # noqa: F401 -- whether it is there
        import uvicorn
    except ModuleNotFoundError as error:
        from ffdv.errors import ExtraMissing

        raise ExtraMissing("the service", "serve") from error
    from ffdv.app import console
    from ffdv.app.server import Limits, create_app
    from ffdv.app.service import ScanService
    from ffdv.detect.judging import shipped_detector

    shipped_detector().senses()  # weights that cannot be used are told before anybody is let in
    with tempfile.TemporaryDirectory(prefix="ffdv-serve-") as temporary, _listening(host, port) as listener:
        service = ScanService(
            folder=folder if folder is not None else Path(temporary) / "clips",
            workers=workers,
            max_minutes=max_minutes,
            most_waiting=queue,
            keep_seconds=60.0 * keep_minutes,
        )
        app = create_app(service, Limits(int(1e6 * max_mb), tuple(allow_host or ())))
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=5
        )
        shown = f"[{host}]" if ":" in host else host
        console.say(f"listening at http://{shown}:{listener.getsockname()[1]}/ (Ctrl-C ends it and removes all clips)")
        if host not in ("127.0.0.1", "::1", "localhost"):
            console.warn("whoever reaches this port may use the service; put a proxy that asks who they are before it")
        uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    """A socket at that address. Raises RecipeError where that cannot be had."""
    import socket

    from ffdv.errors import RecipeError

    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise RecipeError(f"cannot listen at {host}:{port} ({why}); choose another --port or --host") from error
