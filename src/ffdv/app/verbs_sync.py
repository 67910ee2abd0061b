"""The verb that tells how far lips and sound are out of step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sync(
    file: Annotated[list[Path], typer.Argument(help="Media files with a talking face.", show_default=False)],
    max_offset: Annotated[int, typer.Option(min=8, max=100, help="Look so many frames of 40 ms to both sides.")] = 15,
    window_seconds: Annotated[float, typer.Option(min=1.0, help="Length of a row of the course over time.")] = 2.0,
    step_seconds: Annotated[float, typer.Option(min=0.04, help="From one row to the next.")] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines, a line for each file.")] = False,
) -> None:
    """Offset of sound and lips in frames and ms, distance, confidence, and their course over time."""
    import json
    from dataclasses import asdict

    from ffdv.app import console
    from ffdv.app.show_sync import show_sync
    from ffdv.detect.sync import sync as estimate
    from ffdv.errors import MediaError

    failures = 0
    for path in file:
        try:
            found = estimate(path, max_offset=max_offset, window_seconds=window_seconds, step_seconds=step_seconds)
        except MediaError as error:
            failures += 1
            if as_json:
                failed = {"path": str(error.path), "status": "failed", "reason": error.reason}
                console.json_line(json.dumps(failed, ensure_ascii=False))
            else:
                console.say_error(error)
            continue
        if as_json:
            console.json_line(json.dumps({"status": "ok", **asdict(found)}, default=str, ensure_ascii=False))
        else:
            show_sync(found)
    raise typer.Exit(1 if failures else 0)
