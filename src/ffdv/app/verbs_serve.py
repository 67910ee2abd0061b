"""`ffdv serve`: the detector as a service, for browsers and programs."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import socket

    from ffdv.app.serve.service import ScanService


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 for all of this machine's, which nothing protects.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0 for any that is free.")] = 8000,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Clips that are scanned at once; as many as there are cores when not given."),
    ] = None,
    max_mb: Annotated[float, typer.Option(min=0.001, max=16_000, help="Largest clip that is taken, in MB.")] = 500.0,
    max_minutes: Annotated[float, typer.Option(min=0.01, max=100_000, help="Look at so much of each clip.")] = 10.0,
    queue: Annotated[int, typer.Option(min=1, help="Clips that may be in hand at once; more are sent away.")] = 64,
    keep_minutes: Annotated[float, typer.Option(min=0, max=1_000_000, help="Keep clips and results so long.")] = 60.0,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="They are kept in a folder ffdv-serve-clips in it; among the temporary files when not given.",
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A name that the service is reached by, behind a proxy say; may be repeated.", show_default=False
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="No line for each clip on stderr, only what went wrong.")
    ] = False,
) -> None:
    """The detector over HTTP: a page to drop clips on, and JSON for programs. Ctrl-C ends it and removes all clips."""
    try:
        import fastapi  # noqa: F401 -- whether it is there
        import uvicorn
    except ModuleNotFoundError as error:
        from ffdv.errors import ExtraMissing

        raise ExtraMissing("the service", "serve") from error
    from ffdv.app import console
    from ffdv.app.serve.discreet_log import DiscreetLog
    from ffdv.app.serve.hand_in import Limits
    from ffdv.app.serve.place import base_folder
    from ffdv.app.serve.server import create_app
    from ffdv.app.serve.service import ScanService

    names = [_plain_name(name) for name in allow_host or ()]
    _allow_many_files()
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING if quiet else logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.addFilter(DiscreetLog())
    service = ScanService(base_folder(folder), workers, max_minutes, queue, 60.0 * keep_minutes)
    config = uvicorn.Config(
        create_app(service, Limits(int(1e6 * max_mb), names)),
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    with _listening(host, port) as listener:
        try:
            service.begin()
            shown = f"[{host}]" if ":" in host else host
            at = f"http://{shown}:{listener.getsockname()[1]}/"
            console.say(f"listening at {at} (Ctrl-C ends it and removes all clips)")
            if host not in ("127.0.0.1", "::1", "localhost"):
                console.warn("whoever reaches this port may use it; put a proxy that asks who they are before it")
            _warn_of_little_room(service, max_mb)
            _server(config, service).run(sockets=[listener])
        finally:
            service.end()
    if service.is_broken:
        console.say_error("the machine failed too often; the log says how")
        raise typer.Exit(1)


def _server(config: Any, service: ScanService) -> Any:
    """A server that tells the service at once when it is to end, so that nobody is kept waiting."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            service.stopping.set()
            super().handle_exit(sig, frame)

    server = Server(config)
    service.on_broken = partial(setattr, server, "should_exit", True)
    return server


def _allow_many_files() -> None:
    """As many open files and connections as the system lets this process have."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _warn_of_little_room(service: ScanService, max_mb: float) -> None:
    """Say it before the first clip is refused."""
    from ffdv.app import console

    free = service.free_bytes() / 1e6
    if free < max_mb:
        console.warn(
            f"{service.base}: the disk has room for clips of {max(free, 0):.0f} MB alone, and {max_mb:g} MB are allowed; make room, or give another "
            "--folder or --max-mb"
        )


def _plain_name(name: str) -> str:
    """A host's name. Raises RecipeError for an address of the web, or a name with a port."""
    from ffdv.errors import RecipeError

    if not name or any(character in name for character in "/:@ "):
        raise RecipeError(
            f"--allow-host {name!r} is no name of a host; give it without http:// and port: clips.example.org"
        )
    return name


def _listening(host: str, port: int) -> socket.socket:
    """A socket at that address. Raises RecipeError where that cannot be had."""
    import os
    import socket

    from ffdv.errors import RecipeError

    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = (os.strerror(error.errno) if error.errno is not None and error.errno > 0 else str(error)).lower()
        raise RecipeError(f"cannot listen at {host}:{port} ({why}); choose another --port or --host") from error
